"""Photographs of Tux Paint: which stamps are photographs, licence and classes, the folds of the benchmark."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

import pipelines
from benchmarks import transfer
from pipelines.datasets import stamps
from pipelines.sources import packages


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A folder like that of the installed package, of six photographs a class and of stamps that are none."""
    folder, random = tmp_path / "stamps", np.random.default_rng(0)
    for below in stamps.CLASSES.values():
        for name in ("a", "b", "c", "more/a", "more/b", "more/c", "drawn", "a_mirror", "cartoon/d"):
            file = folder / below / f"{name}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(random.integers(0, 256, (20, 30, 4), np.uint8)).save(file)
        (folder / below / "drawn.svg").touch()
    installed = packages.Debian("no-such-package", str(folder))
    monkeypatch.setattr(stamps, "PHOTOGRAPHS", dataclasses.replace(stamps.PHOTOGRAPHS, origin=installed))
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    return folder


def test_stamps_that_are_drawn_are_left_out(package):
    data = pipelines.load("stamps")
    assert (data.info.name, data.info.licence) == ("stamps", "GPL-2")
    assert data.info.class_names == tuple(sorted(stamps.CLASSES))
    rows = [row for split in ("train", "validation", "test") for row in data[split].as_numpy_iterator()]
    assert len(rows) == sum(data.info.counts.values()) == 6 * len(stamps.CLASSES)
    contents = {(package / below / f"{name}.png").read_bytes() for below in stamps.CLASSES.values() for name in "abc"}
    assert contents < {row["image"] for row in rows}
    assert not any(part in row["file"].decode() for row in rows for part in ("drawn", "mirror", "cartoon"))
    assert pipelines.load("stamps").info.source.startswith("prepared cache")


def test_each_photograph_is_tested_in_one_fold(package):
    parts = transfer.folds(pipelines.load("stamps"))
    files = [
        [row["file"] for s in ("train", "validation", "test") for row in part[s].as_numpy_iterator()] for part in parts
    ]
    assert all(sorted(names) == sorted(files[0]) and len(set(names)) == len(names) for names in files)
    tested = [row["file"] for part in parts for row in part.test.as_numpy_iterator()]
    assert sorted(tested) == sorted(files[0])
    assert len({part.info.split for part in parts}) == transfer.FOLDS
