"""Export a Keras model that is not from the zoo, and read its certificate.

python examples/export_any_keras_model.py --out out/any
"""

import argparse

import keras
import numpy as np

from export import export_model, infer_contract

parser = argparse.ArgumentParser()
parser.add_argument("--out", default="out/any", help="the bundle; it must not exist")
options = parser.parse_args()

keras.utils.set_random_seed(0)
inputs = keras.Input((16,), name="measurements")
x = keras.layers.Dense(32, activation="relu")(inputs)
outputs = keras.layers.Dense(3, activation="softmax", name="probabilities")(x)
model = keras.Model(inputs, outputs)

# Real inputs by name: they are used as golden inputs, in addition to the generated edge cases.
samples = {"measurements": np.random.default_rng(0).normal(size=(64, 16)).astype("float32")}
contract = infer_contract(model, samples, labels=["setosa", "versicolor", "virginica"])

bundle = export_model(model, options.out, contract=contract, samples=samples)
for row in bundle.certificate.rows:
    print(f"{row.artifact:24} {row.runtime or '':12} {row.state}")
print(bundle.certificate.verdict)
