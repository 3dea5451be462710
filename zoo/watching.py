"""Trainings that are watched: a picture after every epoch, and an animation of them all."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import keras
import numpy as np

from pipelines.sources.storage import write_atomic
from zoo import pictures

if TYPE_CHECKING:
    from pipelines.dataset import Info
    from pipelines.feeding import Feed

MILLISECONDS = 300  # that each epoch is shown for
LAST = 2000  # that the last one is


@runtime_checkable
class Watches(Protocol):
    """A task whose training is judged by more than its loss: by looking, and by the validation quantity `monitor`."""

    monitor: str  # as the logs of an epoch call it; less is better

    def watch(self, model: keras.Model, validation: Feed, info: Info) -> Callable[[], np.ndarray]:
        """Return what draws uint8 (H, W, 1 or 3): the same questions, answered by the model as it is at that moment."""


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
