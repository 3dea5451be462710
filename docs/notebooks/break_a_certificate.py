# %% [markdown]
# # Break a certificate
#
# Any Keras model can be exported and verified. A verification is worth something only if it can fail: this page
# exports a small network, changes one weight of one file, and reads what the verification says.

# %%
import shutil

import h5py
import keras
import numpy as np

from export import compare, export_model, infer_contract, verify_bundle

keras.utils.set_random_seed(0)
inputs = keras.Input((16,), name="measurements")
x = keras.layers.Dense(32, activation="relu", name="hidden")(inputs)
outputs = keras.layers.Dense(3, activation="softmax", name="probabilities")(x)
model = keras.Model(inputs, outputs)

samples = {"measurements": np.random.default_rng(0).normal(size=(64, 16)).astype("float32")}
contract = infer_contract(model, samples, labels=["setosa", "versicolor", "virginica"])
bundle = export_model(model, "out/proven", contract=contract, samples=samples, formats=("keras", "weights", "tflite"))
for row in bundle.certificate.rows:
    print(f"{row.artifact:24} {row.runtime or '':10} {row.state}")
print(bundle.certificate.verdict)

# %% [markdown]
# One weight of the weights file is moved by 0.02. The checksum notices it first.

# %%
shutil.copytree("out/proven", "out/changed")
with h5py.File("out/changed/model.weights.h5", "r+") as file:
    kernels = []
    file.visititems(lambda name, item: kernels.append(name) if getattr(item, "shape", None) == (16, 32) else None)
    file[kernels[0]][3, 5] += 0.02
certificate = verify_bundle("out/changed")
print(certificate.verdict)
for row in certificate.rows:
    if row.state == "fail":
        print(f"{row.artifact}: {row.reason}")

# %% [markdown]
# A checksum finds damage, not a wrong conversion. `compare` runs two files of any format, without a bundle. The
# TFLite file computes the same as the Keras file; a Keras file with the changed weight, which is whole in itself,
# does not.

# %%
print(compare("out/proven/model.keras", "out/proven/tflite/float32.tflite").verdict)
model.load_weights("out/changed/model.weights.h5")
model.save("out/other.keras")
comparison = compare("out/proven/tflite/float32.tflite", "out/other.keras")
print(comparison.verdict, *comparison.findings[:1], sep=": ")
