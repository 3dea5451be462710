"""Files of the user that have no end, are too large or inflate without bound are refused in one sentence."""

import gzip
import struct
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipelines import __main__ as cli
from pipelines import tabular
from pipelines.images import class_folders, reading
from pipelines.sources import mnist_family, storage
from pipelines.text import corpus, labelled
from zoobase.console import describe_error
from zoobase.errors import DataError
from zoobase.files import write_atomic

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
