"""What the arguments of a prediction stand for, and many of them by Ray Data."""

import os
import sys
from pathlib import Path

import pytest
from PIL import Image

from pipelines import DataError
from tests import commands
from zoo import predict
from zoo.prediction import inputs
from zoo.prediction.inputs import expand, local_file
from zoobase.errors import MissingError, UsageError


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
    with pytest.raises(DataError, match=f"{root}/z.png cannot be read") as error, local_file(f"{root}/z.png"):
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
        ("nosuch://host/*.png", DataError, "cannot be read"),
    ],
)
def test_what_cannot_be_listed(folder, argument, kind, sentence):
    with pytest.raises(kind, match=sentence):
        list(expand([argument]))


def test_a_large_object_is_not_read(folder, monkeypatch):
    monkeypatch.setattr(inputs, "LARGEST_FILE", 10)
    with pytest.raises(DataError, match="not read"), local_file(f"file://{folder}/a.png"):
        pass


def test_without_the_library_of_a_store_one_sentence_names_it(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(DataError, match="Install s3fs"):
        list(expand(["s3://bucket-of-a-test/*.png"]))
    with pytest.raises(DataError, match="Install s3fs"), local_file("s3://bucket-of-a-test/a.png"):
        pass


@pytest.mark.proof
def test_ray_predicts_on_many_images(trained, folder):
    from pyarrow import parquet

    script = Path(__file__).parents[3] / "examples" / "cluster" / "ray_predict.py"
    (folder / "c.txt").write_text("not an image")
    bundle, out = trained("fashion_mnist") / "bundle", folder.parent / "out"
    process = commands.Command(
        script, bundle, out, folder / "?.*", 1, env=os.environ | {"RAY_USAGE_STATS_ENABLED": "0"}
    )
    process.finish()
    rows = parquet.read_table(out).to_pylist()
    assert [Path(row["input"]).name for row in rows] == ["a.png", "b.png", "c.txt"]
    expected = predict.run(bundle, [str(folder / "a.png")], top_k=1).rows[0]
    assert (rows[0]["label"], rows[0]["error"]) == (expected["label"], "")
    assert rows[0]["probability"] == pytest.approx(expected["probability"], abs=1e-5)
    assert "c.txt" in rows[2]["error"]
