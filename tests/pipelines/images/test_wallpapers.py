"""Wallpapers of two packages: which files are used, the styles, missing packages and other versions."""

import pytest

import pipelines
from pipelines.datasets import wallpapers
from pipelines.sources import packages
from tests.photographs import photographs
from zoobase.errors import DataError, SourceUnavailable


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Folders of the two installed packages, with one picture more than is used; return them."""
    made, used, pictures = [], {}, iter(photographs().values())
    for attribute, names in (("BUDGIE", ("a", "b", "c", *wallpapers.STYLES)), ("LOMIRI", ("d", "e", "f"))):
        folder = tmp_path / attribute
        folder.mkdir()
        for name in (*names, "unused"):
            next(pictures).resize((64, 48)).save(folder / f"{name}.jpg")
        package = packages.Debian("no-such-package", str(folder), sha256="0")
        used[package] = {"photographs": [name for name in names if name not in wallpapers.STYLES]}
        used[package]["styles"] = [name for name in names if name in wallpapers.STYLES]
        made.append(folder)
    monkeypatch.setattr(wallpapers, "PICTURES", used)
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    return made


def test_photographs_and_styles_are_read_once(folders):
    data = pipelines.load("wallpapers")
    assert data.info.name == "wallpapers"
    assert sum(data.info.counts.values()) == 6
    splits = (data.train, data.validation, data.test)
    used = {example["image"] for split in splits for example in split.as_numpy_iterator()}
    files = [folders[0] / f"{name}.jpg" for name in "abc"] + [folders[1] / f"{name}.jpg" for name in "def"]
    assert used == {file.read_bytes() for file in files}
    for name in wallpapers.STYLES:
        assert wallpapers.style(name).read_bytes() == (folders[0] / f"{name}.jpg").read_bytes()
    (folders[0] / "a.jpg").unlink()
    assert pipelines.load("wallpapers").info.source.startswith("prepared cache")


def test_another_version_of_a_package_is_refused(folders, tmp_path):
    (folders[1] / "e.jpg").unlink()
    with pytest.raises(DataError, match=r"LOMIRI has no e\.jpg: it is of another version of the package"):
        pipelines.load("wallpapers")
    assert not list((tmp_path / "cache" / "wallpapers").glob("pictures*"))


def test_without_the_packages_the_error_names_the_way_out(folders, tmp_path, monkeypatch):
    def missing(*_):
        raise SourceUnavailable("no network")

    monkeypatch.setattr(packages, "fetch_debian", missing)
    for name in wallpapers.PICTURES:
        broken = {packages.Debian(name.package, str(tmp_path / "none")): {"photographs": ["a"]}}
        monkeypatch.setattr(wallpapers, "PICTURES", broken)
        with pytest.raises(DataError, match=r"wallpapers is not available; .*no network.*Try: .*--data-dir FOLDER"):
            pipelines.load("wallpapers")
