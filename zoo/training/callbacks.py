"""What happens around `fit`: progress, pictures, history, the best weights, the state to resume from, and the stops."""

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

from commandline.console import Console
from pipelines.sources.storage import write_atomic
from zoo.core.errors import ZooError
from zoo.core.run_folder import Run
from zoo.evaluation import images as pictures
from zoo.training import checkpoints

if TYPE_CHECKING:
    from rich.progress import TaskID

MILLISECONDS = 300  # that each epoch is shown for
LAST = 2000  # that the last one is


class StopOnNaN(keras.callbacks.Callback):
    """Stops a run whose loss is no longer a number, naming the step and the last good checkpoint."""

    def __init__(self, run: Run) -> None:
        """Watch a run."""
        super().__init__()
        self.run = run
        self.epoch = 0

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Remember the epoch."""
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Raise ZooError when any loss is NaN or infinite."""
        for name, value in (logs or {}).items():
            if not np.all(np.isfinite(value)):
                good = checkpoints.states(self.run.path / "checkpoints")
                kept = (
                    f"the last good checkpoint is {good[0]}"
                    if good
                    else "no epoch had ended, so there is no checkpoint"
                )
                raise ZooError(
                    f"{name} became {float(np.mean(value))} at step {batch + 1} of epoch {self.epoch + 1}; {kept}. "
                    "Try a lower --learning-rate or --set recipe.clip_norm=1"
                )


class Averaged:
    """The exponential moving average that the optimizer keeps, put in the place of the weights for a while.

    `keras.callbacks.SwapEMAWeights` swaps for the whole validation only, or for the rest of the training. Here the best
    weights, too, are saved from the average, after validation and before the state from which a run resumes, which
    needs the plain weights: two more swaps in the same epoch. The averages have no public name in Keras 3.15; that
    callback reads the same attribute.
    """

    def __init__(self, model: keras.Model) -> None:
        """Find the average, if the recipe keeps one."""
        self.model = model
        self.optimizer = getattr(model, "optimizer", None)
        self.active = False

    @property
    def kept(self) -> bool:
        """Whether there is an average."""
        return bool(getattr(self.optimizer, "use_ema", False)) and self.optimizer.built

    @contextlib.contextmanager
    def swapped(self) -> Iterator[None]:
        """Use the average inside the block; nesting is harmless."""
        if not self.kept or self.active:
            yield
            return
        pairs = list(zip(self.model.trainable_variables, self.optimizer._model_variables_moving_average, strict=True))
        before = [v.numpy() for v, _ in pairs]
        self.active = True
        try:
            for variable, average in pairs:
                variable.assign(average)
            yield
        finally:
            for (variable, _), value in zip(pairs, before, strict=True):
                variable.assign(value)
            self.active = False


class ValidateAverage(keras.callbacks.Callback):
    """Validates the averaged weights where the recipe keeps an average."""

    def __init__(self, averaged: Averaged) -> None:
        """Use this average."""
        super().__init__()
        self.averaged = averaged
        self.stack = contextlib.ExitStack()

    def on_test_begin(self, logs: dict | None = None) -> None:
        """Swap the average in."""
        self.stack.enter_context(self.averaged.swapped())

    def on_test_end(self, logs: dict | None = None) -> None:
        """Swap it out."""
        self.stack.close()


class Keep(keras.callbacks.Callback):
    """Keeps history, the best weights by validation loss, and the state to resume from; stops when patience ends.

    One callback, so that the order of writing is plain: a state on disk never speaks of a history or of best weights
    that are not there yet.
    """

    def __init__(
        self, run: Run, averaged: Averaged, patience: int, deadline: float | None = None, monitor: str = "val_loss"
    ) -> None:
        """Keep what `run` needs.

        Args:
            run: The run folder.
            averaged: The average, whose weights are the ones judged and kept.
            patience: Epochs without improvement before the stop; 0 never stops.
            deadline: `time.monotonic()` after which no further epoch may end, or None.
            monitor: What is least at the best epoch.
        """
        super().__init__()
        self.run, self.averaged, self.patience, self.deadline = run, averaged, patience, deadline
        self.monitor = monitor
        self.rows: list[dict[str, float]] = []
        self.best, self.best_epoch = math.inf, 0
        self.stopped = ""
        self.began = 0.0

    def state(self) -> dict[str, Any]:
        """Return what a resumed run needs to know."""
        return {"rows": self.rows, "best": self.best, "best_epoch": self.best_epoch, "stopped": self.stopped}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up a state."""
        self.rows, self.best, self.best_epoch = state["rows"], state["best"], state["best_epoch"]
        self.stopped = state["stopped"]

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Start the clock."""
        self.began = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Write the epoch down."""
        seconds = time.monotonic() - self.began
        row = {"epoch": epoch + 1, **{k: float(v) for k, v in (logs or {}).items()}, "seconds": round(seconds, 3)}
        rate = learning_rate(self.model)
        if rate is not None:
            row["learning_rate"] = rate
        self.rows.append(row)
        if row[self.monitor] < self.best:
            self.best, self.best_epoch = row[self.monitor], epoch + 1
            with self.averaged.swapped():
                save_weights(self.model, self.run)
        if self.patience and epoch + 1 - self.best_epoch >= self.patience:
            self.stopped = f"validation loss has not improved for {self.patience} epochs"
        elif (
            self.deadline is not None
            and time.monotonic() + seconds > self.deadline
            and epoch + 1 < self.params["epochs"]
        ):
            self.stopped = "the time budget is used up"
        self.run.write_history(self.rows)
        checkpoints.save(self.run.path / "checkpoints", epoch + 1, self.model, self.state())
        if self.stopped:
            self.model.stop_training = True


def learning_rate(model: keras.Model) -> float | None:
    """Return the rate of the next step; None where the model has several optimizers, or none."""
    optimizer = getattr(model, "optimizer", None)
    return None if optimizer is None else float(keras.ops.convert_to_numpy(optimizer.learning_rate))


def save_weights(model: keras.Model, run: Run) -> None:
    """Write the best weights, whole or not at all."""
    run.weights.parent.mkdir(parents=True, exist_ok=True)
    partial = run.weights.with_name(".partial.weights.h5")  # Keras insists on the ending
    model.save_weights(partial, overwrite=True)
    partial.replace(run.weights)


class ShowProgress(keras.callbacks.Callback):
    """A bar with time left, throughput, learning rate and losses on a terminal; one plain line an epoch elsewhere."""

    EVERY = 50  # batches between two looks at the learning rate, which is computed anew at each

    def __init__(self, console: Console, epochs: int, steps: int, batch_size: int, start: int = 0) -> None:
        """Show `epochs` epochs of `steps` steps."""
        super().__init__()
        self.console, self.epochs, self.steps, self.batch_size, self.start = console, epochs, steps, batch_size, start
        self.bar: Any = None
        self.task: TaskID | None = None
        self.step, self.epoch, self.began, self.rate = 0, start, 0.0, ""

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Open the bar."""
        if not self.console.interactive:
            return
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        columns = ("[progress.description]{task.description}", BarColumn(), "{task.percentage:>3.0f}%")
        text = TextColumn("{task.fields[shown]}")
        self.bar = Progress(
            *columns, TimeElapsedColumn(), "left", TimeRemainingColumn(), text, console=self.console.rich
        )
        self.bar.start()
        self.task = self.bar.add_task("training", total=self.epochs * self.steps, shown="")
        self.step = self.start * self.steps

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Start the epoch's clock."""
        self.epoch, self.began = epoch, time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Move the bar."""
        if self.bar is None:
            return
        self.step += 1
        seconds = time.monotonic() - self.began
        if batch % self.EVERY == 0:
            self.rate = self._learning_rate()
        throughput = (batch + 1) * self.batch_size / max(seconds, 1e-9)
        shown = f"{throughput:,.0f}/s  {self.rate}{_losses(logs or {})}"
        self.bar.update(
            self.task, completed=self.step, description=f"epoch {self.epoch + 1}/{self.epochs}", shown=shown
        )

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Say how the epoch went."""
        seconds = time.monotonic() - self.began
        throughput = self.steps * self.batch_size / max(seconds, 1e-9)  # validation included
        self.console.print(
            f"epoch {epoch + 1}/{self.epochs}  {seconds:.0f} s  {throughput:,.0f}/s  "
            f"{self._learning_rate()}{_losses(logs or {})}"
        )

    def _learning_rate(self) -> str:
        rate = learning_rate(self.model)
        return "" if rate is None else f"learning rate {rate:.1e}  "

    def close(self) -> None:
        """Take the bar away; also after an error."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None


def _losses(logs: dict[str, Any]) -> str:
    return "  ".join(f"{k} {float(np.mean(v)):.4f}" for k, v in logs.items())


class DrawEpochs(keras.callbacks.Callback):
    """Writes a picture after every epoch, and all of them as an animation; a resumed run goes on with both."""

    def __init__(self, folder: Path, draw: Callable[[], np.ndarray]) -> None:
        """Write into `folder` what `draw` returns."""
        super().__init__()
        self.folder, self.draw = folder, draw

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Draw."""
        pictures.write(self.folder / f"epoch-{epoch + 1:04}.png", self.draw())
        drawn = [p for p in sorted(self.folder.glob("epoch-*.png")) if int(p.stem.partition("-")[2]) <= epoch + 1]
        write_atomic(self.folder / "progress.gif", animation(drawn))


def animation(frames: list[Path]) -> bytes:
    """Return a GIF that shows picture files one after the other, for ever."""
    from PIL import Image

    images = [Image.open(path) for path in frames]
    content = io.BytesIO()
    durations = [MILLISECONDS] * (len(images) - 1) + [LAST]
    images[0].save(content, "GIF", save_all=True, append_images=images[1:], duration=durations, loop=0)
    return content.getvalue()
