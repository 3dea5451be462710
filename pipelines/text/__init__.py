"""Text: characters, words and sequences as numbers, corpora, labelled texts and pairs."""

from pipelines.text.characters import (
    UNKNOWN,
    decode,
    decode_tensor,
    encode,
    encode_tensor,
    streams,
    vocabulary,
    windows,
)

__all__ = ["UNKNOWN", "decode", "decode_tensor", "encode", "encode_tensor", "streams", "vocabulary", "windows"]
