"""Polling of versions while their publishers are killed."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from export.bundle.layout import files_of, sha256
from export.serving.publisher import publish_folder
from tests.export.serving.servecheck.polling import kill_publishers

# A slow disk: a reader that polls sees a part of the files, however busy the machine is.
NAIVE = """
import pathlib, shutil, sys, time
source, base = map(pathlib.Path, sys.argv[1:])
print("publishing", flush=True)
version = base / str(1 + max([int(p.name) for p in base.iterdir()], default=0))
shutil.copytree(source, version, copy_function=lambda *paths: (time.sleep(0.05), shutil.copy2(*paths)))
"""
MODIFYING = """
import json, pathlib, sys
sys.path.insert(0, sys.argv.pop(1))
from export.serving.publisher import republish
source, base = map(pathlib.Path, sys.argv[1:])
for folder in base.glob("1"):
    (folder / "saved_model.pb").touch()
print("publishing", flush=True)
republish(source, base)
"""
KILLS = 10


@pytest.fixture(scope="module")
def version(tmp_path_factory):
    """Return a version folder, large enough that a partial copy is visible."""
    source = tmp_path_factory.mktemp("version")
    rng = np.random.default_rng(0)
    (source / "saved_model.pb").write_bytes(rng.bytes(100_000))
    for number in range(8):
        (source / f"variables.data-{number}").write_bytes(rng.bytes(1_000_000))

    checksums = {name: sha256(source / name) for name in files_of(source)}
    return publish_folder(source, tmp_path_factory.mktemp("base"), checksums, {"schema": 1}).path


@pytest.mark.extended
def test_versions_of_killed_publishers_are_complete(version, tmp_path):
    reader = kill_publishers(version, tmp_path / "base", KILLS)
    assert reader.problems == []
    assert reader.killed == KILLS
    assert len(reader.seen) >= 3
    record = json.loads((tmp_path / "base" / "1" / "assets.extra" / "published.json").read_text())
    assert record == {"schema": 1}


@pytest.mark.proof
def test_two_hundred_kills(version, tmp_path):
    reader = kill_publishers(version, tmp_path / "base", 200)
    assert (reader.problems, reader.killed) == ([], 200)
    assert len(reader.seen) >= 40


@pytest.mark.extended
@pytest.mark.parametrize(
    ("words", "kills", "problem"),
    [
        ((NAIVE,), KILLS, "was visible before it was complete"),
        ((MODIFYING, str(Path(__file__).parents[4])), 1, "version 1 was modified after it was published"),
        (("print(1, flush=True); raise SystemExit('no space')",), 1, "a publisher failed: no space"),
    ],
)
def test_a_publisher_that_is_wrong_is_detected(version, tmp_path, words, kills, problem):
    reader = kill_publishers(version, tmp_path / "base", kills, (sys.executable, "-c", *words))
    assert any(problem in text for text in reader.problems)
