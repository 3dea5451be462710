"""Edge cases: damaged, too large and endless files, paths outside, inconsistent idx files, texts of any script."""

import gzip
import io
import random
import shutil
import struct
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from PIL import Image

import pipelines
from pipelines import DataError, images, tabular, text
from pipelines import __main__ as cli
from pipelines.images import class_folders, reading
from pipelines.sources import mnist_family, packages, storage
from pipelines.text import corpus, labelled
from tests.pipelines.conftest import FIXTURES
from zoobase.console import describe_error
from zoobase.errors import SourceUnavailable
from zoobase.files import write_atomic

FILES = FIXTURES / "fashion_mnist"
KINDS = [("PNG", "RGB"), ("PNG", "P"), ("JPEG", "RGB"), ("JPEG", "CMYK"), ("GIF", "P"), ("BMP", "RGB"), ("TIFF", "RGB")]
TRANSPOSITIONS = {  # EXIF orientation -> transformation of an upright image to the stored one
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.fixture(scope="module")
def colour(fashion, decode):
    faces = [image for image, _ in fashion.train.take(3).map(decode).as_numpy_iterator()]
    return Image.fromarray(np.concatenate(faces, axis=-1)).resize((40, 30))


def exif_with(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def read_error(path):
    """Return the error of `read` for a file, or None."""
    try:
        assert images.read(path, 28, 28, 3).shape == (28, 28, 3)
    except DataError as error:
        return error
    return None


def damage(raw, random_, trial):
    if trial % 4 == 0:
        return raw[: random_.randrange(len(raw))]
    broken = bytearray(raw)
    for _ in range(random_.choice((1, 3, 10))):
        broken[random_.randrange(min(len(broken), 200) if trial % 2 else len(broken))] = random_.randrange(256)
    return bytes(broken)


@pytest.mark.parametrize(("kind", "mode"), KINDS)
def test_damaged_files_are_read_or_raise_one_sentence(kind, mode, colour, tmp_path):
    file, random_, path = io.BytesIO(), random.Random(0), tmp_path / "damaged"
    exif = {"exif": exif_with(6)} if kind in ("PNG", "JPEG", "TIFF") else {}
    colour.convert(mode).save(file, kind, **exif)
    errors = []
    with warnings.catch_warnings(record=True, action="always") as warnings_:
        for trial in range(80):
            path.write_bytes(damage(file.getvalue(), random_, trial))
            errors.append(read_error(path))
    raised = [error for error in errors if error is not None]
    assert not warnings_  # the error is the only message
    assert len(raised) >= 8
    assert all(str(path) in str(error) and "\n" not in str(error) and error.exit_code == 1 for error in raised)


@pytest.mark.parametrize("orientation", TRANSPOSITIONS)
def test_every_exif_orientation_is_applied(orientation, colour, tmp_path):
    stored = colour if TRANSPOSITIONS[orientation] is None else colour.transpose(TRANSPOSITIONS[orientation])
    stored.save(tmp_path / "turned.png", exif=exif_with(orientation))
    assert (images.read(tmp_path / "turned.png", 30, 40, 3) == np.asarray(colour)).all()


def test_sixteen_bits_are_scaled_not_clipped(tmp_path):
    levels = np.array([[0, 257, 128 * 257, 65535]], np.uint16)
    Image.fromarray(levels).save(tmp_path / "deep.png")
    assert images.read(tmp_path / "deep.png", 1, 4, 1).ravel().tolist() == [0, 1, 128, 255]
    assert images.decode_image((tmp_path / "deep.png").read_bytes(), 1).numpy().ravel().tolist() == [0, 1, 128, 255]


@pytest.mark.parametrize("transparent", [True, False])
def test_a_palette_is_the_same_in_the_graph(transparent, colour, tmp_path):
    palette = colour.convert("P")
    palette.save(tmp_path / "p.png", **({"transparency": palette.getpixel((0, 0))} if transparent else {}))
    decoded = images.decode_image((tmp_path / "p.png").read_bytes()).numpy()
    assert (decoded == images.read(tmp_path / "p.png", 30, 40, 3)).all()
    assert (decoded[0, 0] == 255).all() == transparent


def test_the_graph_decodes_equally_directly_and_in_a_dataset(colour, tmp_path):
    colour.save(tmp_path / "p.png")
    content = (tmp_path / "p.png").read_bytes()
    mapped = tf.data.Dataset.from_tensors(content).map(images.decode_image).batch(1)
    assert (next(iter(mapped))[0].numpy() == images.decode_image(content).numpy()).all()
    assert (images.decode_image(content).numpy() == np.asarray(colour)).all()


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n half"])
def test_the_graph_raises_for_other_files(content):
    with pytest.raises(tf.errors.InvalidArgumentError):
        images.decode_image(content)


@pytest.mark.parametrize("member", ["plays/../../outside.txt", "/tmp/plays/../outside.txt", "plays/../../inside2/x"])
def test_archive_members_outside_the_folder_are_refused(member, tmp_path):
    with zipfile.ZipFile(tmp_path / "unsafe.zip", "w") as contents:
        contents.writestr("plays/good.txt", "yes")
        contents.writestr(member, "no")
    inside = tmp_path / "inside"
    inside.mkdir()
    with pytest.raises(DataError, match="outside"):
        packages.unzip(tmp_path / "unsafe.zip", inside, prefix=member[:6])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["inside", "unsafe.zip"]


def test_only_members_with_the_prefix_are_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as contents:
        contents.writestr("plays/good.txt", "yes")
        contents.writestr("code.py", "no")
    packages.unzip(tmp_path / "a.zip", tmp_path / "to", prefix="plays/")
    assert [path.name for path in (tmp_path / "to").rglob("*") if path.is_file()] == ["good.txt"]


def test_a_wheel_that_is_not_available(tmp_path, offline, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(SourceUnavailable, match="keras-proof-sample"):
        packages.fetch_wheel("keras-proof-sample==1.0", "0" * 64, tmp_path)


def idx(array):
    return gzip.compress(struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes())


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("train-images-idx3-ubyte.gz", np.zeros((600, 32, 32), np.uint8), r"\(600, 32, 32\), but"),
        ("train-images-idx3-ubyte.gz", np.zeros((599, 28, 28), np.uint8), "599 train images but labels"),
        ("t10k-images-idx3-ubyte.gz", np.zeros(200, np.uint8), r"\(200,\), but"),
        ("t10k-labels-idx1-ubyte.gz", np.zeros((200, 28, 28), np.uint8), "labels of the shape"),
    ],
)
def test_inconsistent_files(name, array, message, tmp_path):
    shutil.copytree(FILES, tmp_path / "files")
    (tmp_path / "files" / name).write_bytes(idx(array))
    with pytest.raises(DataError, match=message):
        pipelines.load("fashion_mnist", data_dir=tmp_path / "files", cache_dir=tmp_path / "cache")


@pytest.mark.parametrize(
    "original",
    [
        "",
        "\0\0",
        "\U0001f469\u200d\U0001f680",
        "\u05e9\u202e\u05dc",
        "e\u0301\u00e9",
        "\ufffd\ufeff",
        "\r\n\t",
        "x\n" * 500_000,
    ],
    ids=["empty", "nul", "emoji", "right-to-left", "combining", "unknown", "control", "1 MB"],
)
def test_any_text_is_restored_by_its_own_vocabulary(original):
    vocabulary = text.vocabulary([original])
    ids = text.encode(original, vocabulary)
    assert text.decode(ids, vocabulary) == original
    assert (text.encode_tensor(original, vocabulary).numpy() == ids).all()
    assert text.decode_tensor(ids, vocabulary).numpy().decode() == original


def test_characters_outside_the_vocabulary_are_unknown():
    vocabulary = text.vocabulary(["adz"])
    assert text.decode(text.encode("\0a\ud800cdyz{\U0001f600", vocabulary), vocabulary) == "?a??d?z??".replace(
        "?", "\ufffd"
    )
    assert (text.encode_tensor("\0acdyz{", vocabulary).numpy() == text.encode("\0acdyz{", vocabulary)).all()


ZERO = Path("/dev/zero")
READERS = {
    "image": lambda path: reading.read(path, 8, 8, 3),
    "size of an image": reading.upright_size,
    "text": corpus.read,
    "table": lambda path: tabular.read_csv(path, ["a"]),
    "texts": lambda path: labelled.read_table(path, ("text", "label")),
    "idx": mnist_family.read_idx,
}


@pytest.mark.parametrize("name", READERS)
def test_a_device_is_not_read(name):
    with pytest.raises(DataError, match="/dev/zero is not a plain file"):
        READERS[name](ZERO)


@pytest.mark.parametrize("name", READERS)
def test_a_file_that_is_too_large_is_not_read(name, tmp_path):
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(10**12)  # sparse: it takes no room on the disk
    with pytest.raises(DataError, match=r"has 1,000,000 MB; files of more than \d+ MB are not read"):
        READERS[name](path)


def test_an_idx_file_does_not_inflate_beyond_its_header(tmp_path):
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(b"\0\0\x08\x01" + struct.pack(">I", 10) + bytes(50_000_000)))
    with pytest.raises(DataError, match="holds another number of bytes"):
        mnist_family.read_idx(path)
    path.write_bytes(gzip.compress(b"\0\0\x08\x02" + struct.pack(">II", 2**31, 2**31)))
    with pytest.raises(DataError, match="more than 1,073,741,824 bytes"):
        mnist_family.read_idx(path)


def test_the_seed_of_a_preview_is_bounded():
    result = CliRunner().invoke(cli.verbs, ["preview", "image.png", "--seed", "9" * 20])
    assert result.exit_code == 2
    assert "is not in the range 0<=x<=4294967295" in result.output


@pytest.mark.parametrize("cell", ["3e38", "-3e38", "1e19", "1e400", "nan", "9" * 10_000])
def test_numbers_whose_squares_overflow_are_named(cell):
    with pytest.raises(DataError, match=r"row 2: a is .*(too large|not a number)") as error:
        tabular.numbers(["1", cell], "a", "table.csv")
    assert len(str(error.value)) < 200


def test_a_field_that_the_csv_module_refuses_is_one_sentence(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("text,label\n" + "a" * 131_073 + ",b\n")
    for name in ("table", "texts"):
        with pytest.raises(DataError, match="field larger than field limit") as error:
            tabular.read_csv(path, ["text"]) if name == "table" else READERS[name](path)
        assert describe_error(error.value)[1] == 1


@pytest.mark.parametrize("target", ["file", "missing"])
def test_a_lock_that_is_a_link_leaves_its_target_alone(tmp_path, target):
    file = tmp_path / "target"
    if target == "file":
        file.write_text("content")
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / ".lock").symlink_to(file)
    with pytest.raises(DataError, match="cannot write to the cache"), storage.preparing(cache):
        pass
    assert not file.exists() or file.read_text() == "content"


def test_a_full_disk_names_the_file(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(storage.os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device") as error:
        write_atomic(tmp_path / "file", b"content")
    assert describe_error(error.value) == (f"{tmp_path / 'file'}: cannot be written: No space left on device", 1)
    assert list(tmp_path.iterdir()) == []


def test_names_of_classes_are_utf8(tmp_path):
    folder = tmp_path / "a\udcff"
    folder.mkdir()
    for read, file in ((class_folders.load, "x.png"), (labelled.read, "x.txt")):
        (folder / file).write_text("x")
        (tmp_path / "b").mkdir(exist_ok=True)
        (tmp_path / "b" / file).write_text("x")
        with pytest.raises(DataError, match="is not UTF-8; rename it"):
            read("own", tmp_path, tmp_path / "cache") if read is class_folders.load else read(tmp_path)
