"""What a reader sees of versions while their publishers are killed."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from export.servecheck.poller import provoke

NAIVE = """
import pathlib, shutil, sys
source, base = map(pathlib.Path, sys.argv[1:])
print("publishing", flush=True)
shutil.copytree(source, base / str(1 + max([int(p.name) for p in base.iterdir()], default=0)))
"""
TOUCHING = """
import json, pathlib, sys
sys.path.insert(0, sys.argv.pop(1))
from export.bundle.publisher import main
source, base = map(pathlib.Path, sys.argv[1:])
for folder in base.glob("1"):
    (folder / "saved_model.pb").touch()
main(source, base)
"""
KILLS = 10


@pytest.fixture(scope="module")
def version(tmp_path_factory):
    """Return a folder that looks like a version of ours, large enough to be caught half written."""
    from export.bundle.publisher import publish_folder

    source = tmp_path_factory.mktemp("version")
    rng = np.random.default_rng(0)
    (source / "saved_model.pb").write_bytes(rng.bytes(100_000))
    for number in range(8):
        (source / f"variables.data-{number}").write_bytes(rng.bytes(1_000_000))
    from export.bundle.layout import files_of, sha256

    promised = {name: sha256(source / name) for name in files_of(source)}
    return publish_folder(source, tmp_path_factory.mktemp("base"), promised, {"schema": 1}).path


def test_killed_publishers_are_never_seen_in_part(version, tmp_path):
    reader = provoke(version, tmp_path / "base", KILLS)
    assert reader.found == []
    assert reader.killed == KILLS
    assert len(reader.seen) >= 3
    record = json.loads((tmp_path / "base" / "1" / "assets.extra" / "published.json").read_text())
    assert record == {"schema": 1}


@pytest.mark.proof
def test_two_hundred_kills(version, tmp_path):
    reader = provoke(version, tmp_path / "base", 200)
    assert (reader.found, reader.killed) == ([], 200)
    assert len(reader.seen) >= 40


def test_a_publisher_that_copies_into_place_is_caught(version, tmp_path):
    reader = provoke(version, tmp_path / "base", KILLS, (sys.executable, "-c", NAIVE))
    assert "was seen in part" in reader.found[0]


def test_a_publisher_that_touches_a_version_is_caught(version, tmp_path):
    from pathlib import Path

    home = str(Path(__file__).parents[3])
    reader = provoke(version, tmp_path / "base", 1, (sys.executable, "-c", TOUCHING, home))
    assert "version 1 was touched after it was seen" in reader.found


def test_a_publisher_that_fails_is_caught(version, tmp_path):
    failing = (sys.executable, "-c", "print(1, flush=True); raise SystemExit('no space')")
    assert "a publisher failed: no space" in provoke(version, tmp_path / "base", 1, failing).found
