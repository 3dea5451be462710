"""Images: decoding of files to pixels, and datasets of folders. Reading most files does not import TensorFlow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.images.pixels import FITS, IGNORE
from pipelines.images.reading import MAX_PIXELS, NATIVE, header, read, reason, upright_size
from zoobase.importing import lazy_attributes

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


__getattr__ = lazy_attributes(__name__, __file__)
