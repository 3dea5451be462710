"""Images: decoding of files to pixels, and datasets of folders. Reading most files does not import TensorFlow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoobase.importing import lazy_attributes

if TYPE_CHECKING:
    from pipelines.images.decoding import decode as decode
    from pipelines.images.decoding import decode_image as decode_image
    from pipelines.images.decoding import decode_mask as decode_mask
    from pipelines.images.decoding import decode_upright as decode_upright
    from pipelines.images.decoding import grey as grey
    from pipelines.images.decoding import resize as resize
    from pipelines.images.pixels import FITS as FITS
    from pipelines.images.pixels import IGNORE as IGNORE
    from pipelines.images.reading import MAX_PIXELS as MAX_PIXELS
    from pipelines.images.reading import NATIVE as NATIVE
    from pipelines.images.reading import header as header
    from pipelines.images.reading import read as read
    from pipelines.images.reading import reason as reason
    from pipelines.images.reading import upright_size as upright_size

_lazy = lazy_attributes(__name__, __file__)

if not TYPE_CHECKING:  # a type checker reports names that are not imported above
    __getattr__, __all__ = _lazy, sorted(_lazy.modules)
