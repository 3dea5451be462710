"""Images: decoding of files to pixels, and datasets of folders. Reading most files does not import TensorFlow."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from pipelines.images.pixels import FITS, IGNORE
from pipelines.images.reading import MAX_PIXELS, NATIVE, header, read, reason, upright_size

if TYPE_CHECKING:
    from pipelines.images.decoding import decode, decode_image, decode_mask, decode_upright, grey, resize

__all__ = [
    "FITS",
    "IGNORE",
    "MAX_PIXELS",
    "NATIVE",
    "decode",
    "decode_image",
    "decode_mask",
    "decode_upright",
    "grey",
    "header",
    "read",
    "reason",
    "resize",
    "upright_size",
]


def __getattr__(name: str) -> Any:
    """Import the functions of graphs, and TensorFlow, on first access (PEP 562)."""
    if name in __all__:
        return getattr(importlib.import_module("pipelines.images.decoding"), name)
    raise AttributeError(f"module 'pipelines.images' has no attribute {name!r}")
