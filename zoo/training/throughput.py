"""Examples per second and the time spent waiting for input, of each process, in TensorBoard."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf


class Throughput(keras.callbacks.Callback):
    """Writes the throughput of this process, and the share of its time in which it waited for a batch, per epoch.

    Validation is not counted, nor the first step, in which TensorFlow traces the model. The moment at which a batch
    arrives is taken in the graph of the training step, because `fit` reads the batch there.
    """

    def __init__(self, folder: Path, examples: float) -> None:
        """Write to a folder of TensorBoard.

        Args:
            folder: The folder of this process.
            examples: Examples per step of this process.
        """
        super().__init__()
        self.folder, self.examples = folder, examples
        with tf.device("CPU:0"):  # reading it does not wait for a GPU
            self.arrival = tf.Variable(0.0, dtype=tf.float64, trainable=False)
        self.writer: Any = None
        self.traced = False
        self.begin = self.seconds = self.waiting = 0.0
        self.steps = 0

    def watch(self, model: keras.Model) -> None:
        """Take the time in the training step of a compiled model, which has not been traced yet."""
        step = model.train_step

        def train_step(data: Any) -> dict[str, tf.Tensor]:
            with tf.control_dependencies(tf.nest.flatten(data)):
                self.arrival.assign(tf.timestamp())
            return step(data)

        model.train_step = train_step

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Start from zero."""
        self.seconds, self.waiting, self.steps = 0.0, 0.0, 0

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        """Start the timer of a step."""
        self.begin = time.time()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Add the time of a step."""
        if self.traced:
            self.steps += 1
            self.seconds += time.time() - self.begin
            self.waiting += max(0.0, float(self.arrival.numpy()) - self.begin)
        self.traced = True

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Write both numbers."""
        if not self.steps:
            return
        if self.writer is None:
            self.writer = tf.summary.create_file_writer(str(self.folder))
        with self.writer.as_default(step=epoch):
            tf.summary.scalar("worker/examples per second", self.steps * self.examples / self.seconds)
            tf.summary.scalar("worker/share of time waiting for input", self.waiting / self.seconds)
        self.writer.flush()
