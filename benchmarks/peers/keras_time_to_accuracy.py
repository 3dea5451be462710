"""Training seconds of the convnet of keras.io to a test accuracy: keras_time_to_accuracy.py EPOCHS.

Source: https://keras.io/examples/vision/mnist_convnet/, adapted to Fashion-MNIST and run for EPOCHS (15 in the
example). Network, batch size, optimizer and validation split are those of the example.
"""

import json
import os
import sys

import keras
import numpy as np
from keras import layers

from benchmarks.timing.time_to_accuracy import AccuracyTimer


class TestAccuracy(keras.callbacks.Callback):
    """Evaluates the test split after every epoch."""

    def __init__(self, timer, x, y):
        super().__init__()
        self.timer, self.x, self.y = timer, x, y

    def on_epoch_end(self, epoch, logs=None):
        self.timer.pause()
        _, accuracy = self.model.evaluate(self.x, self.y, batch_size=256, verbose=0)
        self.model.stop_training = self.timer.record(accuracy)


def network() -> keras.Model:
    """Return the model of the example."""
    return keras.Sequential(
        [
            keras.Input(shape=(28, 28, 1)),
            layers.Conv2D(32, kernel_size=(3, 3), activation="relu"),
            layers.MaxPooling2D(pool_size=(2, 2)),
            layers.Conv2D(64, kernel_size=(3, 3), activation="relu"),
            layers.MaxPooling2D(pool_size=(2, 2)),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )


def main(epochs: str) -> dict:
    """Train; return the times."""
    keras.utils.set_random_seed(int(os.environ["BENCHMARK_TURN"]))
    arrays = np.load(os.path.join(os.environ["BENCHMARK_DATA"], "fashion_mnist.npz"))
    x_train, x_test = (arrays[f"{split}_images"].astype("float32") / 255 for split in ("train", "test"))
    y_train, y_test = (keras.utils.to_categorical(arrays[f"{split}_labels"], 10) for split in ("train", "test"))
    timer = AccuracyTimer()
    model = network()
    model.compile(loss="categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
    evaluation = TestAccuracy(timer, x_test, y_test)
    model.fit(
        x_train, y_train, batch_size=128, epochs=int(epochs), validation_split=0.1, callbacks=[evaluation], verbose=0
    )
    return timer.result()


print(json.dumps(main(sys.argv[1])))
