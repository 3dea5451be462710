"""Sound: recordings as samples in [-1, 1] at one rate, and frames of them."""

from pipelines.sound.frames import count, frames, frames_tensor, loudest
from pipelines.sound.reading import read

__all__ = ["count", "frames", "frames_tensor", "loudest", "read"]
