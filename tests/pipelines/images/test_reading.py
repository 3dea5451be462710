"""Reading without TensorFlow gives the pixels that the graph gives, bit for bit."""

import io
import itertools
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from pipelines import images
from pipelines.images import pixels, reading
from zoobase.errors import DataError

MODES = {"PNG": ["1", "L", "LA", "P", "RGB", "RGBA"], "JPEG": ["L", "RGB"]}
SIZES = [(700, 500), (91, 333), (60, 40), (17, 9)]  # shrunk with and without antialiasing, and enlarged


@pytest.fixture(scope="module")
def picture():
    """A smooth image with some noise, RGBA."""
    rows, columns = np.mgrid[0:500, 0:700]
    waves = [np.sin(rows / a + columns / b) for a, b in ((31, 17), (9, 50), (70, 23), (40, 40))]
    noise = np.random.default_rng(0).normal(0, 0.1, (500, 700, 4))
    return Image.fromarray(np.clip((np.stack(waves, -1) + noise) * 100 + 128, 0, 255).astype(np.uint8), "RGBA")


def encoded(image, kind, **options):
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
        content = encoded(image, kind, exif=exif)
        array = reading._exact(content, 48, 36, fit)
        if array is not None:
            without_tensorflow += 1
            assert (array == images.decode(content, 48, 36, 3, fit).numpy()).all(), (size, fit, orientation)
            assert (pixels.grey(array) == images.decode(content, 48, 36, 1, fit).numpy()).all()
    assert without_tensorflow >= (3 if kind == "JPEG" else 12)


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_reduced_jpeg(picture, subsampling, progressive):
    content = encoded(picture.convert("RGB"), "JPEG", quality=80, subsampling=subsampling, progressive=progressive)
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
    expected = images.decode_image(encoded(Image.fromarray(values, "LA"), "PNG")).numpy()
    assert (pixels.on_white(values) == expected).all()


@pytest.mark.parametrize("kind", ["full-size JPEG", "16 bits", "transparent colour", "GIF", "damaged"])
def test_what_only_tensorflow_decodes(picture, kind):
    small = picture.resize((40, 30))
    content = {
        "full-size JPEG": lambda: encoded(small.convert("RGB"), "JPEG"),
        "16 bits": lambda: encoded(Image.fromarray(np.zeros((30, 40), np.uint16)), "PNG"),
        "transparent colour": lambda: encoded(small.convert("L"), "PNG", transparency=0),
        "GIF": lambda: encoded(small.convert("P"), "GIF"),
        "damaged": lambda: encoded(small, "PNG")[:-200],
    }[kind]()
    assert reading._exact(content, 20, 20, "stretch") is None


def test_a_wrong_checksum_is_refused_as_in_the_graph(picture, tmp_path):
    """Pillow alone reads such files; every byte of the last two chunks' ends in turn."""
    content = encoded(picture.resize((40, 30)).convert("RGB"), "PNG")
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
