"""Transfer learning: shipped weights, a new head for three classes, training with the body frozen.

python examples/replace_the_head.py --out out/footwear
"""

import argparse

import pipelines
import zoo
from export import export_model

FOOTWEAR = ("Sandal", "Sneaker", "Ankle boot")

parser = argparse.ArgumentParser()
parser.add_argument("--out", default="out/footwear")
parser.add_argument("--data-dir", help="the four idx files of Fashion-MNIST; by default they are downloaded")
options = parser.parse_args()

# Every layer but the last, "logits", keeps the weights that ship with the package.
model = zoo.build("fashion_mnist", weights="default", num_classes=len(FOOTWEAR))
for layer in model.layers:
    layer.trainable = layer.name == "logits"

import tensorflow as tf  # after zoo.build, which prepares the environment of TensorFlow  # noqa: E402

data = pipelines.load("fashion_mnist", data_dir=options.data_dir)
old_labels = tf.constant([data.info.class_names.index(name) for name in FOOTWEAR], tf.int64)


def footwear(split: tf.data.Dataset) -> tf.data.Dataset:
    """Return batches of (pixels, new label) of the three classes."""
    chosen = split.filter(lambda example: tf.reduce_any(example["label"] == old_labels))
    return chosen.map(lambda e: (tf.io.decode_png(e["image"]), tf.argmax(e["label"] == old_labels))).batch(64)


model.compile("adam", tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
model.fit(footwear(data.train).cache(), epochs=5, verbose=0)
print("test accuracy:", model.evaluate(footwear(data.test), verbose=0)[1])
print(export_model(model, options.out, formats=("keras", "saved_model", "tflite")).certificate.verdict)
