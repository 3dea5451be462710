"""Images: from the bytes of a file to pixels, and folders of them to data sets."""

from pipelines.images.decoding import (
    FITS,
    MAX_PIXELS,
    NATIVE,
    decode,
    decode_image,
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
    "MAX_PIXELS",
    "NATIVE",
    "decode",
    "decode_image",
    "decode_upright",
    "grey",
    "header",
    "read",
    "reason",
    "resize",
    "upright_size",
]
