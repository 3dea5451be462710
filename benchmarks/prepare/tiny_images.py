"""Write 10^6 different PNG files of 8x8 pixels in 1,000 classes, and folders of 10^3 to 10^5 of them as hard links."""

import os
import shutil
import struct
import zlib
from pathlib import Path

LARGEST, CLASSES = 10**6, 1000


def png(number: int) -> bytes:
    """Return the file of an 8x8 image that depends on its number."""
    rows = b"".join(
        b"\0" + struct.pack(">Q", (number * 0x9E3779B97F4A7C15 + row * 0xD1B54A32D192ED03) % 2**64) for row in range(8)
    )
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows, 1)),
        (b"IEND", b""),
    )
    parts = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


root = Path(os.environ["BENCHMARK_DATA"]) / "tiny_images"
if not root.is_dir():
    part = root.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    for count in (LARGEST, 10**5, 10**4, 10**3):
        classes = min(CLASSES, count // 100)
        for name in range(classes):
            (part / str(count) / f"class{name:03}").mkdir(parents=True)
        for number in range(count):
            file = f"{part}/{count}/class{number % classes:03}/{number:06}.png"
            if count == LARGEST:
                with open(file, "wb") as target:
                    target.write(png(number))
            else:
                os.link(f"{part}/{LARGEST}/class{number % CLASSES:03}/{number:06}.png", file)
    part.rename(root)
