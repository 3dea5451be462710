import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from pipelines import DataError, images
from pipelines.images import decoding


@pytest.fixture(scope="module")
def garment(fashion, decode):
    grey = next(iter(fashion.train.map(decode)))[0].numpy()[..., 0]
    return Image.fromarray(grey)


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F"])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_mode_and_size_gives_the_shape(garment, mode, channels, tmp_path):
    image = garment.resize((61, 47)).convert("RGB" if mode in ("CMYK", "P", "RGBA", "LA") else "L")
    image = Image.fromarray(np.asarray(image).astype(np.uint16) * 257) if mode == "I;16" else image.convert(mode)
    path = tmp_path / ("p.tif" if mode in ("CMYK", "F", "I") else "p.png")
    image.save(path)
    array = images.read(path, 28, 20, channels)
    assert array.shape == (28, 20, channels)
    assert array.dtype == np.uint8
    expected = np.asarray(garment.resize((61, 47)).resize((20, 28), Image.Resampling.BILINEAR), float)
    if mode != "1":
        assert np.abs(array.mean(-1) - expected).mean() < 4


def test_transparency_is_white(garment, tmp_path):
    clear = Image.new("RGBA", (5, 5), (10, 20, 30, 0))
    clear.save(tmp_path / "clear.png")
    assert (images.read(tmp_path / "clear.png", 5, 5, 3) == 255).all()
    assert (images.decode_image((tmp_path / "clear.png").read_bytes()).numpy() == 255).all()


def huge_png(side):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty or not an image"),
        (b"plain text, no image", "empty or not an image"),
        ("truncated", "cannot be read as an image"),
        (huge_png(10_000), "pixels; make it smaller"),
        (huge_png(60_000), "pixels; make it smaller"),
    ],
    ids=["empty", "text", "truncated", "large", "bomb"],
)
def test_invalid_files_are_errors(content, message, garment, tmp_path):
    path = tmp_path / "bad.png"
    path.write_bytes(encoded(garment.resize((300, 300)), "PNG")[:3000] if content == "truncated" else content)
    with pytest.raises(DataError, match=message) as caught:
        images.read(path, 28, 28, 1)
    assert str(path) in str(caught.value)
    assert caught.value.exit_code == 1


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(DataError, match="there is no file") as caught:
        images.read(tmp_path / "none.png", 28, 28, 1)
    assert caught.value.exit_code == 3
    with pytest.raises(DataError, match="cannot be read"):
        images.read(tmp_path, 28, 28, 1)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_graph_decodes_what_pillow_decodes(garment, mode, channels, tmp_path):
    image = garment.resize((40, 30)).convert("RGBA")
    image.putalpha(garment.resize((40, 30)))
    path = tmp_path / "p.png"
    image.convert(mode).save(path)
    decode = tf.function(lambda content: images.decode_image(content, channels))
    inside = decode(path.read_bytes()).numpy().astype(int)
    assert np.abs(inside - images.read(path, 30, 40, channels)).max() <= 1


def test_cmyk_jpeg_in_the_graph(garment):
    content = encoded(garment.resize((40, 30)).convert("RGB").convert("CMYK"), "JPEG", quality=95)
    assert (
        np.abs(images.decode_image(content, 1).numpy()[..., 0] - np.asarray(garment.resize((40, 30)), float)).mean() < 6
    )


def test_resize_in_the_graph_agrees_with_pillow(garment):
    large = garment.resize((100, 80))
    inside = images.resize(np.asarray(large)[..., None], 28, 28).numpy()[..., 0].astype(int)
    assert np.abs(inside - np.asarray(large.resize((28, 28), Image.Resampling.BILINEAR))).max() <= 1


PHOTOGRAPHS = [(1000, 700), (300, 200), (201, 640), (97, 33)]


@pytest.fixture(scope="module")
def photograph(garment):
    return garment.convert("RGB").resize((1000, 700), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("size", PHOTOGRAPHS)
@pytest.mark.parametrize("fit", images.FITS)
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_every_fit_shows_what_pillow_shows(photograph, size, fit, kind):
    large = photograph.resize(size)
    inside = images.decode(encoded(large, kind, quality=95), 96, 64, 3, fit).numpy().astype(float)
    if fit == "stretch":
        expected = large.resize((64, 96), Image.Resampling.BILINEAR)
    elif fit == "crop":
        expected = ImageOps.fit(large, (64, 96), Image.Resampling.BILINEAR)
    else:
        expected = ImageOps.pad(large, (64, 96), Image.Resampling.BILINEAR)
    assert inside.shape == (96, 64, 3)
    assert np.abs(inside - np.asarray(expected, float)).mean() < 8  # a DCT scale rounds the size up


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(320, 200), (1200, 700)])
def test_a_turned_jpeg_is_the_upright_one(photograph, orientation, size):
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Maker", orientation
    turned = photograph.resize(size)
    content = encoded(turned, "JPEG", quality=95, exif=exif)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    expected = np.asarray(upright.resize((64, 96), Image.Resampling.BILINEAR), float)
    assert np.abs(images.decode(content, 96, 64).numpy() - expected).mean() < 3


def test_big_endian_exif(garment):
    entries = b"\x01\x0f\x00\x02\x00\x00\x00\x04Abc\x00" + b"\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00"
    exif = b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x02" + entries + b"\x00\x00\x00\x00"
    content = encoded(garment.resize((28, 14)), "JPEG", quality=100, exif=exif)
    expected = np.asarray(garment.resize((28, 14)).transpose(Image.Transpose.ROTATE_270), float)
    assert np.abs(images.decode(content, 28, 14, 1).numpy()[..., 0] - expected).mean() < 3


@pytest.mark.parametrize(
    ("size", "fit", "ratio"),
    [
        ((1792, 1792), "crop", 8),
        ((1791, 1792), "crop", 4),
        ((448, 2000), "crop", 2),
        ((448, 2000), "pad", 8),
        ((400, 300), "stretch", 1),
    ],
)
def test_a_jpeg_decodes_at_the_smallest_scale_that_covers_the_target(garment, size, fit, ratio, monkeypatch):
    content = encoded(garment.resize(size), "JPEG", quality=50)
    used = []
    real = tf.io.decode_jpeg
    monkeypatch.setattr(tf.io, "decode_jpeg", lambda *a, ratio, **k: used.append(ratio) or real(*a, ratio=ratio, **k))
    decoding._decoder(224, 224, 3, fit).python_function(tf.constant(content))  # only the branch that is taken runs
    assert used == [ratio]


def test_cmyk_and_grey_jpeg(photograph):
    for mode in ("CMYK", "L"):
        content = encoded(photograph.convert(mode), "JPEG", quality=95)
        expected = np.asarray(photograph.convert("L").resize((64, 96), Image.Resampling.BILINEAR), float)
        for channels in (1, 3):
            decoded = images.decode(content, 96, 64, channels).numpy().astype(float).mean(-1)
            assert np.abs(decoded - expected).mean() < 8, mode


def test_read_and_graph_are_the_same_pixels(photograph, tmp_path):
    photograph.save(tmp_path / "p.jpg", quality=90)
    inside = tf.function(lambda content: images.decode(content, 96, 64, 3, "crop"))
    expected = inside((tmp_path / "p.jpg").read_bytes()).numpy()
    assert (images.read(tmp_path / "p.jpg", 96, 64, 3, "crop") == expected).all()
    photograph.save(tmp_path / "p.webp", lossless=True)
    assert np.abs(images.read(tmp_path / "p.webp", 96, 64, 3, "crop").astype(float) - expected).mean() < 3


def test_unknown_fit_is_an_error():
    with pytest.raises(DataError, match="stretch, crop, pad"):
        images.decode(b"", 3, 3, 3, "squeeze")
