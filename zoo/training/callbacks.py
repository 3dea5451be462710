"""Callbacks: progress, preview images, history, best weights, the state to resume from, early stopping."""

from __future__ import annotations

import contextlib
import io
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from zoo.core.run_folder import RunFolder
from zoo.core.weight_files import save_file
from zoo.evaluation import images
from zoo.modeling.instance_methods import replace_steps
from zoo.training import checkpoints
from zoo.training.optimizers import Schedule, optimizers_of
from zoo.training.session import Session
from zoobase.errors import ZooError
from zoobase.files import write_atomic

if TYPE_CHECKING:
    from rich.progress import TaskID

FRAME_MS = 300  # duration of a frame of progress.gif
LAST_FRAME_MS = 2000


class StopOnNaN(keras.callbacks.Callback):
    """Raises an error if a loss is NaN or infinite; the message names the step and the last valid checkpoint."""

    def __init__(self, folder: RunFolder) -> None:
        super().__init__()
        self.folder = folder
        self.epoch = 0

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        for name, value in (logs or {}).items():
            if not np.all(np.isfinite(value)):
                states = checkpoints.states(self.folder.path / "checkpoints")
                checkpoint = (
                    f"the last valid checkpoint is {states[0]}"
                    if states
                    else "there is no checkpoint, because no epoch was finished"
                )
                raise ZooError(
                    f"{name} became {float(np.mean(value))} at step {batch + 1} of epoch {self.epoch + 1}; "
                    f"{checkpoint}. Try a lower --learning-rate or --set recipe.clip_norm=1"
                )


class AveragedWeights(keras.callbacks.Callback):
    """Temporarily replaces the weights of a model, as for validation, by the averages (EMA) of its optimizers.

    `keras.callbacks.SwapEMAWeights` swaps for the whole validation only, or for the rest of the training. Here the best
    weights are saved from the average as well, after validation and before the state from which a run resumes, which
    needs the raw weights: two more swaps in the same epoch. Keras 3.15 has no public attribute for the averages;
    `SwapEMAWeights` reads the same private one.
    """

    def __init__(self, model: keras.Model) -> None:
        """Use the averages of the model's optimizers, if the recipe has them."""
        super().__init__()
        self.stack = contextlib.ExitStack()
        self.optimizers = [optimizer for optimizer in optimizers_of(model).values() if optimizer.use_ema]
        self.active = False

    @contextlib.contextmanager
    def swapped(self) -> Iterator[None]:
        """Use the averages inside the block; may be nested."""
        built = [optimizer for optimizer in self.optimizers if optimizer.built]
        if not built or self.active:
            yield
            return
        pairs = [
            pair
            for optimizer in built
            for pair in zip(optimizer._trainable_variables, optimizer._model_variables_moving_average, strict=True)
        ]
        weights = [v.numpy() for v, _ in pairs]
        self.active = True
        try:
            for variable, average in pairs:  # an average of weights that are zero now need not be zero
                constraint = getattr(variable, "constraint", None)
                variable.assign(average if constraint is None else constraint(average))
            yield
        finally:
            for (variable, _), value in zip(pairs, weights, strict=True):
                variable.assign(value)
            self.active = False

    @contextlib.contextmanager
    def kept_raw(self) -> Iterator[None]:
        """Let a `fit` in the block end with the raw weights, not with the averages."""
        for optimizer in self.optimizers:
            optimizer.finalize_variable_values = lambda variables: None
        try:
            yield
        finally:
            for optimizer in self.optimizers:
                del optimizer.finalize_variable_values

    def on_test_begin(self, logs: dict | None = None) -> None:
        self.stack.enter_context(self.swapped())

    def on_test_end(self, logs: dict | None = None) -> None:
        self.stack.close()


class CheckpointCallback(keras.callbacks.Callback):
    """Saves the history, the best weights by validation loss and the state to resume from; stops early.

    This is one callback because the order of writing matters: a state on disk must not refer to a history or to best
    weights that are not written yet.
    """

    def __init__(self, session: Session, averaged: AveragedWeights, save: Callable[[Path], None] | None = None) -> None:
        """Save to the run folder of a session, if this process is the one that writes."""
        super().__init__()
        self.save = save or (lambda file: save_file(self.model, file))
        self.folder, self.averaged, self.patience = session.folder, averaged, session.plan.recipe.patience
        self.monitor, self.writes = session.plan.task.monitor, session.replicas.is_chief
        self.rows: list[dict[str, float]] = []
        self.best, self.best_epoch = math.inf, 0
        self.stop_reason = ""
        self.is_complete: Callable[[], bool] = lambda: True  # whether the weights are such as may be the best
        self.minutes = session.checkpoint_minutes if self.writes else 0.0
        self.is_alone = session.replicas.count == 1
        self.epoch, self.start, self.saved = 0, 0.0, 0.0
        # of an epoch that was interrupted: finished steps, what the metrics have counted, and the time that it took
        self.done, self.metrics, self.seconds = 0, [], 0.0

    def state(self) -> dict[str, Any]:
        return {"rows": self.rows, "best": self.best, "best_epoch": self.best_epoch, "stopped": self.stop_reason}

    def restore(self, state: dict[str, Any]) -> None:
        self.rows, self.stop_reason = state["rows"], state["stopped"]
        self.best, self.best_epoch = state["best"], state["best_epoch"]
        if state["step"]:
            self.done, self.metrics, self.seconds = state["step"], state["metrics"], state["seconds"]

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.saved = time.monotonic()
        self.epoch, self.start = epoch, self.saved - self.seconds
        for variable, value in zip(self._counted(), self.metrics, strict=True) if self.metrics else ():
            variable.assign(value)

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        if not self.minutes or time.monotonic() - self.saved < 60 * self.minutes:
            return
        step, state = self.done + batch + 1, self.state() | {"seconds": time.monotonic() - self.start}
        checkpoints.save(self.folder.path / "checkpoints", self.epoch, self.model, state, step, self._counted())
        self.folder.saved()
        self.saved = time.monotonic()

    def _counted(self) -> list[keras.Variable]:
        """Return the variables of the metrics; none with replicas, of which each has counted its own part."""
        return self.model.metrics_variables if self.is_alone else []

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        seconds = time.monotonic() - self.start
        row = {"epoch": epoch + 1, **{k: float(v) for k, v in (logs or {}).items()}, "seconds": round(seconds, 3)}
        rate = learning_rate(self.model)
        if rate is not None:
            row["learning_rate"] = rate
        self.rows.append(row)
        complete = self.is_complete()
        if complete and row[self.monitor] < self.best:
            self.best, self.best_epoch = row[self.monitor], epoch + 1
            if self.writes:
                with self.averaged.swapped():
                    self.save(self.folder.weights)
        if self.patience and complete and epoch + 1 - self.best_epoch >= self.patience:
            self.stop_reason = f"validation loss has not improved for {self.patience} epochs"
        if self.writes:
            self.folder.write_history(self.rows)
            checkpoints.save(self.folder.path / "checkpoints", epoch + 1, self.model, self.state())
            self.folder.saved()
        self.done, self.metrics, self.seconds = 0, [], 0.0
        if self.stop_reason:
            self.model.stop_training = True


class TimeBudget(keras.callbacks.Callback):
    """Ends the training, in the middle of an epoch if need be, so that its last validation ends with the time budget.

    The learning rate schedules are told what fraction of the budget has passed.
    """

    def __init__(self, minutes: float, checkpoint: CheckpointCallback) -> None:
        """Allow `minutes` minutes, of which the epochs of a resumed training have used a part."""
        super().__init__()
        self.checkpoint = checkpoint
        self.seconds = 60 * minutes
        self.start = time.monotonic() - sum(row["seconds"] for row in checkpoint.rows) - checkpoint.seconds
        self.validation_start = self.validation_seconds = 0.0
        self.schedules: list[Schedule] = []

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Find the schedules of the model's optimizers; one that `make_optimizer` did not make has none."""
        optimizers = optimizers_of(self.model).values()
        self.schedules = [optimizer.schedule for optimizer in optimizers if hasattr(optimizer, "schedule")]
        self._advance()  # a resumed training has used a part of its time before the first batch

    def on_test_begin(self, logs: dict | None = None) -> None:
        self.validation_start = time.monotonic()

    def on_test_end(self, logs: dict | None = None) -> None:
        self.validation_seconds = time.monotonic() - self.validation_start

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        if self._advance() >= 1:
            self.checkpoint.stop_reason = "the time budget is used up"
            self.model.stop_training = True

    def _advance(self) -> float:
        """Tell the schedules which fraction of the budget has passed, and return it."""
        fraction = (time.monotonic() - self.start) / max(self.seconds - self.validation_seconds, 1e-9)
        for schedule in self.schedules:
            schedule.elapsed.assign(min(fraction, 1.0))
        return fraction


def learning_rate(model: keras.Model) -> float | None:
    """Return the learning rate of the next step; None if the model has several optimizers, or none."""
    optimizer = getattr(model, "optimizer", None)
    return None if optimizer is None else float(keras.ops.convert_to_numpy(optimizer.learning_rate))


class ShowProgress(keras.callbacks.Callback):
    """A progress bar with remaining time, throughput, learning rate and losses on a terminal; else a line per epoch."""

    EVERY = 50  # batches between two updates of the learning rate, because computing it takes time

    def __init__(self, session: Session, steps: int, start: int = 0) -> None:
        """Show the progress of a training with `steps` steps an epoch, of which `start` steps are finished."""
        super().__init__()
        recipe = session.plan.recipe
        self.console, self.epochs, self.batch_size = session.console, recipe.epochs, recipe.batch_size
        self.steps, self.step, self.batches = steps, start, 0
        self.bar: Any = None
        self.task: TaskID | None = None
        self.epoch, self.epoch_start, self.rate = 0, 0.0, ""

    def on_train_begin(self, logs: dict | None = None) -> None:
        if not self.console.interactive or self.bar is not None:
            return
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        columns = ("[progress.description]{task.description}", BarColumn(), "{task.percentage:>3.0f}%")
        text = TextColumn("{task.fields[status]}")
        self.bar = Progress(
            *columns, TimeElapsedColumn(), "left", TimeRemainingColumn(), text, console=self.console.rich
        )
        self.bar.start()
        self.task = self.bar.add_task("training", total=self.epochs * self.steps, status="")

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.epoch, self.epoch_start = epoch, time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self.batches = batch + 1
        if self.bar is None:
            return
        self.step += 1
        seconds = time.monotonic() - self.epoch_start
        if batch % self.EVERY == 0:
            self.rate = self._learning_rate()
        throughput = (batch + 1) * self.batch_size / max(seconds, 1e-9)
        status = f"{throughput:,.0f}/s  {self.rate}{_losses(logs or {})}"
        self.bar.update(
            self.task, completed=self.step, description=f"epoch {self.epoch + 1}/{self.epochs}", status=status
        )

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        seconds = time.monotonic() - self.epoch_start
        throughput = self.batches * self.batch_size / max(seconds, 1e-9)  # validation included
        self.console.print(
            f"epoch {epoch + 1}/{self.epochs}  {seconds:.0f} s  {throughput:,.0f}/s  "
            f"{self._learning_rate()}{_losses(logs or {})}"
        )

    def _learning_rate(self) -> str:
        rate = learning_rate(self.model)
        return "" if rate is None else f"learning rate {rate:.1e}  "

    def close(self) -> None:
        """Remove the progress bar; also called after an error."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None


def _losses(logs: dict[str, Any]) -> str:
    return "  ".join(f"{k} {float(np.mean(v)):.4f}" for k, v in logs.items())


class PreviewImages(keras.callbacks.Callback):
    """Writes a preview image after every epoch, and an animation of all; a resumed run continues both."""

    def __init__(self, folder: Path, draw: Callable[[], np.ndarray]) -> None:
        super().__init__()
        self.folder, self.draw = folder, draw

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        images.write(self.folder / f"epoch-{epoch + 1:04}.png", self.draw())
        frames = [p for p in sorted(self.folder.glob("epoch-*.png")) if int(p.stem.partition("-")[2]) <= epoch + 1]
        write_atomic(self.folder / "progress.gif", animation(frames))


def animation(frames: list[Path]) -> bytes:
    """Return a looping GIF of image files."""
    from PIL import Image

    first, *others = (Image.open(path) for path in frames)
    content = io.BytesIO()
    durations = [FRAME_MS] * len(others) + [LAST_FRAME_MS]
    first.save(content, "GIF", save_all=True, append_images=others, duration=durations, loop=0)
    return content.getvalue()


class Throughput(keras.callbacks.Callback):
    """Writes the throughput of this process, and the share of its time in which it waited for a batch, per epoch.

    Validation is not counted, nor the first step, in which TensorFlow traces the model. The moment at which a batch
    arrives is taken in the graph of the training step, because `fit` reads the batch there.
    """

    def __init__(self, folder: Path, examples: float) -> None:
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

        replace_steps(model, train=train_step)

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.seconds, self.waiting, self.steps = 0.0, 0.0, 0

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        self.begin = time.time()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        if self.traced:
            self.steps += 1
            self.seconds += time.time() - self.begin
            self.waiting += max(0.0, float(self.arrival.numpy()) - self.begin)
        self.traced = True

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        if not self.steps:
            return
        if self.writer is None:
            self.writer = tf.summary.create_file_writer(str(self.folder))
        with self.writer.as_default(step=epoch):
            tf.summary.scalar("worker/examples per second", self.steps * self.examples / self.seconds)
            tf.summary.scalar("worker/share of time waiting for input", self.waiting / self.seconds)
        self.writer.flush()
