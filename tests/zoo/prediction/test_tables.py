"""What the arguments of a prediction stand for, and the parts of the table that it writes."""

import csv
import os
import sys
from pathlib import Path

import pytest
from PIL import Image
from pyarrow import parquet

from pipelines import DataError
from zoo.prediction.inputs import expand, local_file
from zoo.prediction.tables import Parts
from zoobase.errors import MissingError, UsageError


def test_parts_are_merged_in_order_whatever_their_columns(tmp_path):
    parts = Parts(tmp_path / "out.parquet")
    with parts.opened({"top_k": 3}):
        parts.write(2, [{"input": "c", "score": 0.5, "word": "x"}], [])
        parts.write(0, [{"input": "a", "score": 1, "word": None}], [("=bad", "it's broken")])
        assert parts.missing(4) == [1, 3]
        parts.write(1, [], [("b", "no image")])
        parts.write(3, [{"input": os.fsdecode(b"d\xff"), "score": 2}], [])
        assert parts.merge(4) == (3, 2)
    assert parquet.read_table(parts.out).to_pylist() == [
        {"input": "a", "score": 1.0, "word": None},
        {"input": "c", "score": 0.5, "word": "x"},
        {"input": "d\\xff", "score": 2.0, "word": None},
    ]
    with open(tmp_path / "out.errors.csv", newline="") as file:
        assert list(csv.reader(file)) == [["input", "reason"], ["'=bad", "it's broken"], ["b", "no image"]]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.errors.csv", "out.parquet"]


def test_no_rows_no_table_and_no_problems_no_side_table(tmp_path):
    parts = Parts(tmp_path / "out.parquet")
    for rows, problems in (([{"input": "a"}], []), ([], [("a", "no image")])):
        for path in (parts.out, parts.errors):
            path.write_text("of an earlier prediction")
        with parts.opened({}):
            parts.write(0, rows, problems)
            parts.merge(1)
        assert (parts.out.exists(), parts.errors.exists()) == (bool(rows), bool(problems))


def test_other_settings_and_a_second_process_are_refused(tmp_path):
    parts = Parts(tmp_path / "out.parquet")
    with parts.opened({"top_k": 3, "runtime": "c_api"}):
        with pytest.raises(UsageError, match="another process writes"), Parts(parts.out).opened({}):
            pass
        parts.write(0, [], [])
    with pytest.raises(UsageError, match=r"other settings \(top k\)"), parts.opened({"top_k": 4, "runtime": "c_api"}):
        pass
    with parts.opened({"top_k": 3, "runtime": "c_api"}):
        assert parts.missing(2) == [1]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name in ("b.png", "a.png", "c.txt", "sub/d.JPG", "[e].png"):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4)).save(path, "PNG")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "images"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["images/b.png", "images/a.png"], ["images/b.png", "images/a.png"]),
        (["images"], ["images/[e].png", "images/a.png", "images/b.png", "images/sub/d.JPG"]),
        (["images/*.png"], ["images/[e].png", "images/a.png", "images/b.png"]),
        (["images/**/d*"], ["images/sub/d.JPG"]),
        (["images/[e].png"], ["images/[e].png"]),  # a file of this name goes before the pattern
        (["images/?.txt", "images/[ab].png"], ["images/c.txt", "images/a.png", "images/b.png"]),
        (["nowhere.png"], ["nowhere.png"]),
    ],
)
def test_order_is_that_of_the_arguments_and_sorted_within(folder, arguments, expected):
    assert list(expand(arguments)) == expected


def test_urls_are_listed_and_read(folder):
    root = f"file://{folder}"
    expected = [f"{root}/{name}" for name in ("a.png", "b.png", "sub/d.JPG")]
    assert [name for name in expand([f"{root}/"]) if "[" not in name] == expected
    assert list(expand([f"{root}/[ab].png", f"{root}/c.txt"])) == [*expected[:2], f"{root}/c.txt"]
    with local_file(expected[0]) as path:
        assert Path(path).read_bytes() == (folder / "a.png").read_bytes()
    assert not os.path.exists(path)
    with pytest.raises(DataError, match=f"there is no file {root}/z.png") as error, local_file(f"{root}/z.png"):
        pass
    assert error.value.exit_code == 3


def test_an_error_names_the_url_and_not_the_temporary_file(folder):
    with (
        pytest.raises(DataError, match=f"^file://{folder}/a.png is grey$"),
        local_file(f"file://{folder}/a.png") as path,
    ):
        raise DataError(f"{path} is grey")


@pytest.mark.parametrize(
    ("argument", "kind", "sentence"),
    [
        ("", UsageError, "not the name of a file"),
        ("images/*.gif", MissingError, "no file matches images/.*gif"),
        ("file:///nowhere/*.png", MissingError, "nowhere"),
        ("https://host/a.png", UsageError, "begin with s3://, gs://, file://"),
    ],
)
def test_what_cannot_be_listed(folder, argument, kind, sentence):
    with pytest.raises(kind, match=sentence):
        list(expand([argument]))


@pytest.mark.both
def test_without_pyarrow_one_sentence_names_the_extra(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow.fs", None)
    monkeypatch.setitem(sys.modules, "fsspec.implementations.arrow", None)
    with pytest.raises(MissingError, match=r"pip install .ray\["):
        list(expand(["s3://bucket-of-a-test/*.png"]))
    with pytest.raises(MissingError, match=r"pip install .ray\["), local_file("gs://bucket-of-a-test/a.png"):
        pass
