"""Data at URLs, in zip files and on the Hub: fetched once, with path checks, and without credentials."""

import functools
import http.server
import importlib.util
import threading
import zipfile

import numpy as np
import pytest
from PIL import Image

import pipelines
from pipelines.sources import remote
from zoobase.errors import DataError


@pytest.fixture
def served(tmp_path):
    """A folder with a table and a zip file of images, served by HTTP."""
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "notes.csv").write_text("text,label\n" + "".join(f"note {i},{'ab'[i % 2]}\n" for i in range(60)))
    with zipfile.ZipFile(folder / "photos.zip", "w") as archive:
        for i in range(16):
            Image.fromarray(np.random.default_rng(i).integers(0, 255, (32, 32, 3), np.uint8)).save(tmp_path / "a.png")
            archive.write(tmp_path / "a.png", f"photos/class{i % 2}/{i}.png")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_a_table_at_a_url_is_fetched_once(served, tmp_path):
    folder, url = served
    data = pipelines.load("movie_reviews", data_dir=f"{url}/notes.csv", cache_dir=tmp_path / "cache")
    assert (data.info.name, data.info.source) == ("notes", f"your own texts in {url}/notes.csv")
    (folder / "notes.csv").unlink()
    again = pipelines.load("movie_reviews", data_dir=f"{url}/notes.csv", cache_dir=tmp_path / "cache")
    assert again.info == data.info
    with pytest.raises(DataError, match=r"cannot be read .*404"):
        pipelines.load("movie_reviews", data_dir=f"{url}/none.csv", cache_dir=tmp_path / "cache")


def test_a_file_system_of_fsspec(served, tmp_path):
    import fsspec

    with fsspec.open("memory://bucket/notes.csv", "wb") as file:
        file.write((served[0] / "notes.csv").read_bytes())
    info = pipelines.load("movie_reviews", data_dir="memory://bucket/notes.csv", cache_dir=tmp_path).info
    assert info.name == "notes"
    with pytest.raises(DataError, match="cannot be read"):
        remote.local("nosuch://bucket/a.csv" if _has_s3() else "s3://bucket/a.csv", tmp_path)


def _has_s3():
    return importlib.util.find_spec("s3fs") is not None


def test_a_zip_of_folders(served, tmp_path):
    folder, url = served
    for place in (folder / "photos.zip", f"{url}/photos.zip"):
        info = pipelines.load("image_folder", data_dir=place, cache_dir=tmp_path / "cache").info
        assert (info.name, info.class_names, sum(info.counts.values())) == ("photos", ("class0", "class1"), 16)


@pytest.mark.parametrize("member", ["../outside.png", "/etc/outside.png"])
def test_a_member_outside_the_archive_is_refused(member, tmp_path):
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr(member, b"x")
    with pytest.raises(DataError, match=r"has a member \S+ outside .*; do not trust it"):
        pipelines.load("image_folder", data_dir=tmp_path / "bad.zip", cache_dir=tmp_path / "cache")
    assert not [*tmp_path.rglob("outside.png")]


def test_an_archive_that_would_fill_the_disk_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(remote, "LARGEST_ARCHIVE", 3_000_000)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("photos/a.png", bytes(4_000_000))
    with pytest.raises(DataError, match=r"bomb\.zip holds .* GB, more than .*: unpack it yourself"):
        pipelines.load("image_folder", data_dir=tmp_path / "bomb.zip", cache_dir=tmp_path / "cache")
    monkeypatch.undo()
    monkeypatch.setattr(remote.storage, "LARGEST_FILE", 3_000_000)  # a file that would be refused once it is unpacked
    with pytest.raises(DataError, match=r"bomb\.zip holds photos/a\.png of 4 MB; files of more than 3 MB are not read"):
        pipelines.load("image_folder", data_dir=tmp_path / "bomb.zip", cache_dir=tmp_path / "cache")
    assert not [*tmp_path.rglob("a.png")]


@pytest.mark.parametrize(
    "url",
    [
        "https://me:hunter2@example.org/a.csv",
        "https://hunter2@example.org/a.csv",  # a token as the user
        "https://example.org/a.csv?token=hunter2",
        "https://example.org/a.csv?X-Amz-Signature=hunter2",
        "https://example.org/a.csv?x=1&sig=hunter2",
        "s3://AKIA:hunter2@bucket/a.csv",
    ],
)
def test_credentials_in_a_url_are_refused_and_not_repeated(url, tmp_path):
    with pytest.raises(DataError, match="holds a credential") as caught:
        pipelines.load("movie_reviews", data_dir=url, cache_dir=tmp_path)
    assert "hunter2" not in str(caught.value)
    assert not any(tmp_path.rglob("*.csv"))


@pytest.mark.needs("huggingface")
def test_a_dataset_of_hugging_face_by_name(tmp_path, monkeypatch):
    """A folder, which the library reads without a network, stands for a name of the Hub."""
    import datasets

    rows = {"text": [f"note {i}" for i in range(60)], "label": [i % 2 for i in range(60)]}
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["bad", "good"])}
    )
    made = datasets.DatasetDict({"train": datasets.Dataset.from_dict(rows, features=features)})
    monkeypatch.setattr(datasets, "load_dataset", lambda name, configuration: made)
    info = pipelines.load("huggingface", data_dir="owner/notes", cache_dir=tmp_path).info
    assert (info.name, info.class_names) == ("huggingface/notes", ("bad", "good"))
    assert (info.homepage, info.counts["train"]) == ("https://huggingface.co/datasets/owner/notes", 48)
    monkeypatch.setattr(datasets, "load_dataset", lambda *_: (_ for _ in ()).throw(FileNotFoundError("not on the Hub")))
    with pytest.raises(DataError, match=r"the dataset nosuch cannot be loaded .*not on the Hub"):
        pipelines.load("huggingface", data_dir="nosuch")
