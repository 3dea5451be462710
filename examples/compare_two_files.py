"""Compare two model files of any format: do they compute the same function?

python examples/compare_two_files.py REFERENCE CANDIDATE
Without arguments it compares a .keras file with the TFLite file of the same model, and with a model of other weights.
"""

import sys
import tempfile
from pathlib import Path

import keras

from export import compare, export_model


def convolution(seed: int) -> keras.Model:
    """Return a small convolutional network with random weights."""
    keras.utils.set_random_seed(seed)
    image = keras.Input((12, 12, 1), name="image")
    x = keras.layers.Conv2D(4, 3, activation="relu")(image)
    return keras.Model(image, keras.layers.Dense(5, name="logits")(keras.layers.Flatten()(x)))


if len(sys.argv) == 3:
    pairs = [tuple(sys.argv[1:])]
else:
    folder = Path(tempfile.mkdtemp())
    export_model(convolution(seed=1), folder / "one", formats=("keras", "tflite"))
    convolution(seed=2).save(folder / "two.keras")
    reference = folder / "one" / "model.keras"
    pairs = [(reference, folder / "one" / "tflite" / "float32.tflite"), (reference, folder / "two.keras")]

for reference, candidate in pairs:
    comparison = compare(reference, candidate)
    print(comparison.verdict, *comparison.findings[:1], sep=": ")
