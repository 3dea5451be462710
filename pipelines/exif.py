"""EXIF orientation inside a graph: TensorFlow's decoders ignore it, and most photographs of telephones have one.

Reference: EXIF 2.32 (CIPA DC-008-2019), tag 0x0112; for PNG the eXIf chunk of its third edition.
"""

from __future__ import annotations

import tensorflow as tf

_HEAD = 4096  # bytes of the file that are searched: EXIF stands at the beginning, its first directory at its beginning
_ENTRIES = r"\C\C(?:\C{12})*?"  # number of the directory's entries, and those before ours
_PATTERN = (
    r"(?s)^\C*?(?:Exif\x00\x00|eXIf)(?:"
    rf"II\*\x00\x08\x00\x00\x00{_ENTRIES}\x12\x01\x03\x00\x01\x00\x00\x00(\C)"
    rf"|MM\x00\*\x00\x00\x00\x08{_ENTRIES}\x01\x12\x00\x03\x00\x00\x00\x01\x00(\C)"
    r")\C*$"
)


def orientation(encoded: tf.Tensor) -> tf.Tensor:
    """Return the EXIF orientation of an image file.

    Args:
        encoded: String scalar, the bytes of the file.

    Returns:
        int32 scalar, 1 (upright) to 8; 1 where the file says nothing or nonsense.
    """
    head = tf.strings.substr(encoded, 0, _HEAD)
    found = tf.strings.regex_replace(head, _PATTERN, r"\1\2")  # the one byte of the value, or all where nothing matches
    value = tf.cond(
        tf.equal(tf.strings.length(found), 1),
        lambda: tf.cast(tf.io.decode_raw(found, tf.uint8)[0], tf.int32),
        lambda: tf.constant(1),
    )
    return tf.where((value >= 1) & (value <= 8), value, 1)


def upright(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Turn and mirror an image (H, W, C), as its orientation (int32 scalar, 1 to 8) asks for."""
    turns = (
        lambda: image,
        lambda: tf.reverse(image, [1]),
        lambda: tf.reverse(image, [0, 1]),
        lambda: tf.reverse(image, [0]),
        lambda: tf.transpose(image, [1, 0, 2]),
        lambda: tf.reverse(tf.transpose(image, [1, 0, 2]), [1]),
        lambda: tf.reverse(tf.transpose(image, [1, 0, 2]), [0, 1]),
        lambda: tf.reverse(tf.transpose(image, [1, 0, 2]), [0]),
    )
    return tf.switch_case(orientation - 1, turns)
