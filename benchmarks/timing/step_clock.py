"""The time of a range of training steps; requires only Keras, on any backend."""

import time
from typing import Any

import keras


class StepClock(keras.callbacks.Callback):
    """Measures the time of `steps` steps after `warm_up` others.

    Attributes:
        seconds: The time, when they have ended.
        cpu_seconds: The time of all threads of the process, which other work on the machine prolongs less.
    """

    def __init__(self, warm_up: int, steps: int) -> None:
        """See the class."""
        super().__init__()
        self.warm_up, self.steps, self.start, self.seconds = warm_up, steps, 0.0, 0.0
        self.cpu_start, self.cpu_seconds = 0.0, 0.0

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Start the clock at the first measured step."""
        if batch == self.warm_up:
            self.start, self.cpu_start = time.perf_counter(), time.process_time()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Stop the clock after the last one."""
        if batch == self.warm_up + self.steps - 1:
            self.seconds = time.perf_counter() - self.start
            self.cpu_seconds = time.process_time() - self.cpu_start
