import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from pipelines import DataError, images


@pytest.fixture(scope="module")
def picture(fashion, decode):
    grey = next(iter(fashion.train.map(decode)))[0].numpy()[..., 0]
    return Image.fromarray(grey)


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def test_the_same_size_is_read_exactly(picture, tmp_path):
    picture.save(tmp_path / "p.png")
    assert (images.read(tmp_path / "p.png", 28, 28, 1)[..., 0] == np.asarray(picture)).all()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F"])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_mode_and_size_gives_the_shape(picture, mode, channels, tmp_path):
    image = picture.resize((61, 47)).convert("RGB" if mode in ("CMYK", "P", "RGBA", "LA") else "L")
    image = Image.fromarray(np.asarray(image).astype(np.uint16) * 257) if mode == "I;16" else image.convert(mode)
    path = tmp_path / ("p.tif" if mode in ("CMYK", "F", "I") else "p.png")
    image.save(path)
    array = images.read(path, 28, 20, channels)
    assert array.shape == (28, 20, channels)
    assert array.dtype == np.uint8
    expected = np.asarray(picture.resize((61, 47)).resize((20, 28), Image.Resampling.BILINEAR), float)
    if mode != "1":
        assert np.abs(array.mean(-1) - expected).mean() < 4


def test_transparency_is_white(picture, tmp_path):
    clear = Image.new("RGBA", (5, 5), (10, 20, 30, 0))
    clear.save(tmp_path / "clear.png")
    assert (images.read(tmp_path / "clear.png", 5, 5, 3) == 255).all()
    assert (images.decode_image((tmp_path / "clear.png").read_bytes()).numpy() == 255).all()


def test_exif_orientation_is_respected(picture, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn 90 degrees clockwise to view
    tall = picture.resize((28, 14))
    tall.save(tmp_path / "turned.png", exif=exif)
    expected = np.asarray(tall.transpose(Image.Transpose.ROTATE_270))
    assert (images.read(tmp_path / "turned.png", 28, 14, 1)[..., 0] == expected).all()


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
def test_bad_files_are_one_sentence(content, message, picture, tmp_path):
    path = tmp_path / "bad.png"
    path.write_bytes(encoded(picture.resize((300, 300)), "PNG")[:3000] if content == "truncated" else content)
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
def test_the_graph_decodes_what_pillow_decodes(picture, mode, channels, tmp_path):
    image = picture.resize((40, 30)).convert("RGBA")
    image.putalpha(picture.resize((40, 30)))
    path = tmp_path / "p.png"
    image.convert(mode).save(path)
    decode = tf.function(lambda content: images.decode_image(content, channels))
    inside = decode(path.read_bytes()).numpy().astype(int)
    assert np.abs(inside - images.read(path, 30, 40, channels)).max() <= 1


def test_cmyk_jpeg_in_the_graph(picture):
    content = encoded(picture.resize((40, 30)).convert("RGB").convert("CMYK"), "JPEG", quality=95)
    assert (
        np.abs(images.decode_image(content, 1).numpy()[..., 0] - np.asarray(picture.resize((40, 30)), float)).mean() < 6
    )


def test_resize_in_the_graph_agrees_with_pillow(picture):
    large = picture.resize((100, 80))
    inside = images.resize(np.asarray(large)[..., None], 28, 28).numpy()[..., 0].astype(int)
    assert np.abs(inside - np.asarray(large.resize((28, 28), Image.Resampling.BILINEAR))).max() <= 1
