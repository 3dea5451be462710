"""Your own training loop on a dataset of the zoo: the feed shuffles, augments and batches.

python examples/own_training_loop.py --out out/loop
"""

import argparse

import keras
import tensorflow as tf

import pipelines
import zoo
from export import export_model

parser = argparse.ArgumentParser()
parser.add_argument("--out", default="out/loop")
parser.add_argument("--data-dir", help="the four idx files of Fashion-MNIST; by default they are downloaded")
parser.add_argument("--epochs", type=int, default=2)
options = parser.parse_args()

data = pipelines.load("fashion_mnist", data_dir=options.data_dir)
feed = pipelines.feed(
    data.train,
    decode=lambda example: (tf.io.decode_png(example["image"]), example["label"]),
    augment=pipelines.augment.policy("flip,shift"),
)
model = zoo.build("fashion_mnist", filters=[8, 16], depths=[1, 1])
loss_function = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
optimizer = keras.optimizers.Adam(1e-3)

steps = feed.steps(64)  # batches per epoch; the same seed gives the same batches on every machine
for step, (images, labels) in enumerate(feed.epochs(64, seed=0, stop=options.epochs), start=1):
    with tf.GradientTape() as tape:
        loss = loss_function(labels, model(images, training=True))
    optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
    if step % steps == 0:
        print(f"epoch {step // steps}: loss {float(loss):.4f}")

print(export_model(model, options.out, formats=("keras", "tflite")).certificate.verdict)
