"""Images decoded by the graph, by Pillow, and without TensorFlow: the same pixels, of any kind and fit."""

import io
import itertools
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from pipelines import DataError, images
from pipelines.images import decoding, pixels, reading


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


MODES = {"PNG": ["1", "L", "LA", "P", "RGB", "RGBA"], "JPEG": ["L", "RGB"]}
SIZES = [(700, 500), (91, 333), (60, 40), (17, 9)]  # shrunk with and without antialiasing, and enlarged


@pytest.fixture(scope="module")
def picture():
    rows, columns = np.mgrid[0:500, 0:700]
    waves = [np.sin(rows / a + columns / b) for a, b in ((31, 17), (9, 50), (70, 23), (40, 40))]
    noise = np.random.default_rng(0).normal(0, 0.1, (500, 700, 4))
    return Image.fromarray(np.clip((np.stack(waves, -1) + noise) * 100 + 128, 0, 255).astype(np.uint8), "RGBA")


def content_of(image, kind, **options):
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


@pytest.mark.parametrize(("kind", "mode"), [(kind, mode) for kind, modes in MODES.items() for mode in modes])
def test_the_same_pixels_as_in_the_graph(picture, kind, mode):
    without_tensorflow = 0
    for (size, fit), orientation in zip(itertools.product(SIZES, images.FITS), itertools.cycle(range(1, 9))):
        image = picture.convert("RGB" if mode == "P" else mode.replace("LA", "RGBA")).resize(size).convert(mode)
        exif = Image.Exif()
        exif[0x0112] = orientation
        content = content_of(image, kind, exif=exif)
        array = reading._exact(content, 48, 36, fit)
        if array is not None:
            without_tensorflow += 1
            assert (array == images.decode(content, 48, 36, 3, fit).numpy()).all(), (size, fit, orientation)
            assert (pixels.grey(array) == images.decode(content, 48, 36, 1, fit).numpy()).all()
    assert without_tensorflow >= (3 if kind == "JPEG" else 12)


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_reduced_jpeg(picture, subsampling, progressive):
    content = content_of(picture.convert("RGB"), "JPEG", quality=80, subsampling=subsampling, progressive=progressive)
    for height, width in ((100, 100), (28, 28)):  # a quarter, an eighth
        array = reading._exact(content, height, width, "stretch")
        assert (array == images.decode(content, height, width, 3).numpy()).all()


@pytest.mark.parametrize("target", [(28, 28), (1, 1), (64, 300), (251, 17)])
def test_resize(target):
    random = np.random.default_rng(1)
    for size in ((301, 17), (28, 28), (57, 56), (1, 1), (5, 640)):
        image = random.integers(0, 256, (*size, 3)).astype(np.uint8)
        assert (pixels.resize(image, *target) == np.asarray(images.resize(image, *target))).all(), size


def test_grey_and_transparency():
    levels = np.arange(256, dtype=np.uint8)
    colours = np.stack(np.meshgrid(levels[::3], levels[::5], levels, indexing="ij"), -1)
    assert (pixels.grey(colours) == images.grey(colours).numpy()).all()
    values = np.stack(np.meshgrid(levels, levels, indexing="ij"), -1)
    expected = images.decode_image(content_of(Image.fromarray(values, "LA"), "PNG")).numpy()
    assert (pixels.on_white(values) == expected).all()


@pytest.mark.parametrize("kind", ["full-size JPEG", "16 bits", "transparent colour", "GIF", "damaged"])
def test_what_only_tensorflow_decodes(picture, kind):
    small = picture.resize((40, 30))
    content = {
        "full-size JPEG": lambda: content_of(small.convert("RGB"), "JPEG"),
        "16 bits": lambda: content_of(Image.fromarray(np.zeros((30, 40), np.uint16)), "PNG"),
        "transparent colour": lambda: content_of(small.convert("L"), "PNG", transparency=0),
        "GIF": lambda: content_of(small.convert("P"), "GIF"),
        "damaged": lambda: content_of(small, "PNG")[:-200],
    }[kind]()
    assert reading._exact(content, 20, 20, "stretch") is None


def test_a_wrong_checksum_is_refused_as_in_the_graph(picture, tmp_path):
    """Pillow alone reads such files; every byte of the last two chunks' ends in turn."""
    content = content_of(picture.resize((40, 30)).convert("RGB"), "PNG")
    assert reading._exact(content, 20, 20, "stretch") is not None
    for position in (*range(-16, 0), 41, 43):
        damaged = bytearray(content)
        damaged[position] ^= 4
        assert reading._exact(bytes(damaged), 20, 20, "stretch") is None
        (tmp_path / "damaged.png").write_bytes(damaged)
        with pytest.raises(DataError, match="cannot be read as an image"):
            images.read(tmp_path / "damaged.png", 20, 20, 3)


def test_tensorflow_is_not_imported(picture, tmp_path):
    picture.save(tmp_path / "a.png")
    picture.convert("RGB").save(tmp_path / "b.webp")
    picture.convert("RGB").save(tmp_path / "c.jpg")
    code = (
        "import sys; from pipelines import images; from pipelines.images import masks\n"
        "for name in sys.argv[1:]: print(images.read(name, 28, 28, 1).shape)\n"
        "print('tensorflow' in sys.modules)"
    )
    files = [str(tmp_path / name) for name in ("a.png", "b.webp", "c.jpg")]
    done = subprocess.run([sys.executable, "-c", code, *files], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:4] == ["(28, 28, 1)"] * 3 + ["False"]


def test_the_reason_of_a_graph_is_its_last_line():
    """`model.predict` puts a traceback before it."""
    text = "Graph execution error:\n\nDetected at node Decode\n<no stack traces>\nInvalid JPEG data.\n\t [[{{node"
    assert reading.reason(ValueError(text)) == "Invalid JPEG data."
