"""Images/s of Keras layers, arrays and `fit`, as in the convnet of keras.io: keras_fit.py NETWORK PRECISION.

Source: https://keras.io/examples/vision/mnist_convnet/ (with the layers and sizes of our networks).
"""

import json
import os
import sys

import keras
import numpy as np
from keras import layers

from benchmarks.timing import networks
from benchmarks.timing.step_clock import StepClock

WARM_UP, STEPS, BATCH = 20, 80, 128


def fashion_mnist() -> keras.Model:
    """Build our default architecture from Keras layers."""
    model = keras.Sequential([keras.Input((28, 28, 1)), layers.Rescaling(1 / 255)])
    for block, (filters, depth) in enumerate(((32, 1), (64, 2), (128, 2), (256, 2))):
        for _ in range(depth):
            model.add(layers.Conv2D(filters, 3, padding="same", use_bias=False))
            model.add(layers.BatchNormalization())
            model.add(layers.ReLU())
        model.add(layers.MaxPooling2D() if block < 3 else layers.GlobalAveragePooling2D())
    model.add(layers.Dropout(0.2))
    model.add(layers.Dense(10))
    return model


def main(network: str, precision: str) -> float:
    """Train some steps; return images per second."""
    keras.config.set_dtype_policy("mixed_bfloat16" if precision == "bfloat16" else "float32")
    arrays = np.load(os.path.join(os.environ["BENCHMARK_DATA"], "fashion_mnist.npz"))
    count = BATCH * (WARM_UP + STEPS)
    x, y = arrays["train_images"][:count], arrays["train_labels"][:count]
    model, clock = {"fashion_mnist": fashion_mnist, "resnet20": networks.resnet20}[network](), StepClock(WARM_UP, STEPS)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer="adam", loss=loss, metrics=["accuracy"])
    model.fit(x, y, batch_size=BATCH, callbacks=[clock], verbose=0)
    return BATCH * STEPS / clock.seconds


if __name__ == "__main__":
    print(json.dumps({"value": main(*sys.argv[1:])}))
