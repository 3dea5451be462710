"""Modules of the SWORD project: Bible texts as compressed blocks, divided into chapters by their own markers.

Format:    zText of libsword, https://wiki.crosswire.org/DevTools:Modules. A testament is three files: `.bzs`, for each
           block its offset, compressed and full size (3 x uint32, little endian); `.bzv`, for each slot of the
           versification its block, and offset and size in it (2 x uint32, uint16); `.bzz`, the blocks, zlib.
Markup:    OSIS, https://crosswire.org/osis/. A slot holds a verse, or the heading of a chapter, a book or the module.
           The heading of a chapter has `<chapter osisID="Gen.1" sID=...>`, so no table of the versification is needed.
"""

import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import unescape

from zoobase.errors import MISSING, DataError

TESTAMENTS = ("ot", "nt")
_BLOCK, _SLOT = struct.Struct("<III"), struct.Struct("<IIH")
_LARGEST = 2**26  # bytes of a decompressed block; a book has at most 2 MB of markup

_CHAPTER = re.compile(r'<chapter\b[^>]*\bosisID="([^"]+)"')
_BOOK = re.compile(r'<div\b(?=[^>]*\btype="book")(?=[^>]*\bsID=)')
_OMITTED = re.compile(r'<note\b.*?</note>|<title\b(?![^>]*canonical="true").*?</title>', re.DOTALL)
_INSIDE_WORDS = re.compile(r"</?[wq]\b[^>]*>")  # lemmas and speakers; all other tags separate words
_TAG = re.compile(r"<[^>]*>")


def chapters(folder: Path) -> dict[str, list[str]]:
    """Return the verses of each chapter as plain text, by the OSIS name of the chapter, in the order of the module."""
    found: dict[str, list[str]] = {}
    for testament in TESTAMENTS:
        verses: list[str] | None = None
        for markup in _slots(folder / testament):
            if names := _CHAPTER.findall(markup):
                verses = found.setdefault(names[-1], [])
            elif _BOOK.search(markup):  # what precedes the first chapter is an introduction
                verses = None
            elif verses is not None:
                verses.append(plain(markup))
    if not found:
        raise DataError(f"{folder} has no chapters: it is not a Bible module in OSIS", MISSING)
    return found


def plain(markup: str) -> str:
    """Return the text of a verse in OSIS on one line, without notes, and without titles that editors added."""
    text = _OMITTED.sub(" ", markup).replace("</q><w", "</q> <w")
    text = unescape(_TAG.sub(" ", _INSIDE_WORDS.sub("", text)), {"&quot;": '"', "&apos;": "'"})
    return re.sub(r" (?=[,.;:!?)\u2019\u201d])", "", " ".join(text.split()))


def _slots(path: Path) -> Iterator[str]:
    """Yield the markup of every slot of a testament in order."""
    data = _read(path.with_suffix(".bzz"))
    blocks = []
    for i, (offset, compressed, size) in enumerate(_records(path.with_suffix(".bzs"), _BLOCK)):
        try:
            blocks.append(_decompress(data[offset : offset + compressed], size))
        except (ValueError, zlib.error) as error:
            raise _damaged(path.with_suffix(".bzz"), f"block {i}: {error}") from error
    for i, (block, start, size) in enumerate(_records(path.with_suffix(".bzv"), _SLOT)):
        if size and (block >= len(blocks) or start + size > len(blocks[block])):
            raise _damaged(path.with_suffix(".bzv"), f"entry {i} is outside of its block")
        try:
            yield blocks[block][start : start + size].decode("utf-8") if size else ""
        except UnicodeDecodeError as error:
            raise _damaged(path.with_suffix(".bzz"), f"entry {i} is not UTF-8") from error


def _records(path: Path, record: struct.Struct) -> list[tuple[int, ...]]:
    data = _read(path)
    if not data or len(data) % record.size:
        raise _damaged(path, f"{len(data)} bytes are not entries of {record.size}")
    return list(record.iter_unpack(data))


def _decompress(data: bytes, size: int) -> bytes:
    """Return a block of a stated size; ValueError or zlib.error for another size."""
    if size > _LARGEST:
        raise ValueError(f"it would have {size} bytes")
    block = zlib.decompressobj().decompress(data, size + 1)
    if len(block) != size:
        raise ValueError(f"it has not the {size} bytes that the index states")
    return block


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}", MISSING) from error


def _damaged(path: Path, reason: str) -> DataError:
    return DataError(f"{path} is damaged ({reason}); install its package again")
