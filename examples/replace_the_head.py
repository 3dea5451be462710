"""Transfer learning: shipped weights, a new head for three classes, training with the body frozen.

python examples/replace_the_head.py --out out/footwear
"""

import argparse

import keras
import tensorflow as tf

import pipelines
import zoo
from export import export_model

FOOTWEAR = ("Sandal", "Sneaker", "Ankle boot")

parser = argparse.ArgumentParser()
parser.add_argument("--out", default="out/footwear")
parser.add_argument("--data-dir", help="the four idx files of Fashion-MNIST; by default they are downloaded")
options = parser.parse_args()

data = pipelines.load("fashion_mnist", data_dir=options.data_dir)
old_labels = tf.constant([data.info.class_names.index(name) for name in FOOTWEAR], tf.int64)


def footwear(split: tf.data.Dataset) -> pipelines.Feed:
    """Return the feed of (pixels, new label) of the three classes."""
    chosen = split.filter(lambda example: tf.reduce_any(example["label"] == old_labels))
    return pipelines.feed(chosen, decode=lambda e: (tf.io.decode_png(e["image"]), tf.argmax(e["label"] == old_labels)))


keras.utils.set_random_seed(0)  # for the new head; every other layer has its shipped weights
model = zoo.build("fashion_mnist", weights="default", num_classes=len(FOOTWEAR))
for layer in model.layers:
    layer.trainable = layer.name == "logits"
model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
train = footwear(data.train)
model.fit(train.epochs(64, seed=0, stop=5), steps_per_epoch=train.steps(64), epochs=5, verbose=0)
print("test accuracy:", model.evaluate(footwear(data.test).batches(64), verbose=0)[1])
print(export_model(model, options.out, formats=("keras", "tflite")).certificate.verdict)
