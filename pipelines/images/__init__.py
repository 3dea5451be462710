"""Images: decoding of files to pixels, and datasets of folders."""

from pipelines.images.decoding import (
    FITS,
    IGNORE,
    MAX_PIXELS,
    NATIVE,
    decode,
    decode_image,
    decode_mask,
    decode_upright,
    grey,
    header,
    read,
    reason,
    resize,
    upright_size,
)

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
