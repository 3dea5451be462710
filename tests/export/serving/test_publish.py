"""Versions are published atomically."""

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from export import publish
from export.formats.saved_model import LARGEST, choose_version, served_version
from export.serving.publisher import STAGING, find_version_damage
from tests.export.conftest import reseal
from tests.export.test_cli import run
from zoobase.errors import CheckFailed, ExportError


@pytest.fixture
def bundle(bundles):
    return bundles("two_by_two").path


def tree(folder):
    return {p.relative_to(folder): (p.stat().st_mtime_ns, p.stat().st_ino) for p in sorted(folder.rglob("*"))}


@pytest.mark.parametrize(
    ("name", "version"),
    [("1", 1), ("007", 7), ("+3", 3), (" 4", 4), ("0", 0), (str(LARGEST), LARGEST)]
    + [(name, None) for name in ("-1", "1a", "", "v1", ".publishing-1", str(LARGEST + 1), "1.0", "\u0661")],
)
def test_numbers_as_tf_serving_reads_them(name, version):
    assert served_version(name) == version


@pytest.mark.parametrize("version", ["0", "-1", "01", "1.0", "newest", 0, LARGEST + 1, "²"])
def test_invalid_versions(tmp_path, version):
    with pytest.raises(ExportError, match=r"give next|larger"):
        choose_version(version, tmp_path)


def test_the_next_version(tmp_path):
    assert choose_version("next", tmp_path / "nowhere") == 1
    for name in ("3", "07", "v9", ".publishing-11"):
        (tmp_path / name).mkdir()
    assert choose_version("next", tmp_path) == 8
    (tmp_path / str(LARGEST)).mkdir()
    with pytest.raises(ExportError, match="larger than TF Serving can read"):
        choose_version("next", tmp_path)


def test_existing_versions_are_not_modified(bundle, tmp_path):
    base = tmp_path / "models" / "m"
    first = publish(bundle, base)
    assert (first.path, first.version) == (base / "1", 1)
    assert find_version_damage(first.path) == []
    assert (
        subprocess.run(["sha256sum", "-c", "assets.extra/SHA256SUMS"], cwd=first.path, capture_output=True).returncode
        == 0
    )
    before = tree(first.path)
    assert publish(bundle, base).version == 2
    assert publish(bundle, base, version=41).version == 41
    assert publish(bundle, base, version="time").version > 1_700_000_000
    (base / str(LARGEST - 1)).mkdir()  # written by a machine whose clock ran ahead
    assert publish(bundle, base, version="time").version == LARGEST
    with pytest.raises(ExportError, match="version 1 exists already"):
        publish(bundle, base, version="1")
    assert tree(first.path) == before
    assert [p.name for p in base.iterdir() if p.name.startswith(STAGING)] == []


def test_damage_of_a_published_version_is_found(bundle, tmp_path):
    folder = publish(bundle, tmp_path / "m").path
    (folder / "saved_model.pb").write_bytes(b"x")
    (folder / "more").write_text("x")
    assert find_version_damage(folder) == ["saved_model.pb was changed", "more was added"]


def test_eight_at_once(bundle, tmp_path):
    with ThreadPoolExecutor(8) as pool:
        published = list(pool.map(lambda _: publish(bundle, tmp_path / "m"), range(16)))
    assert sorted(p.version for p in published) == list(range(1, 17))
    assert not any(find_version_damage(p.path) for p in published)


def test_bundles_that_are_refused(damaged, tmp_path):
    folder = damaged("two_by_two")
    with pytest.raises(ExportError, match="not a folder of versions"):
        publish(folder, folder / "saved_model" / "1")
    (folder / "labels.txt").write_text("x")
    with pytest.raises(CheckFailed, match="damaged"):
        publish(folder, tmp_path / "m")
    (folder / "labels.txt").unlink()
    manifest, parity = (json.loads((folder / name).read_text()) for name in ("manifest.json", "parity.json"))
    rest, rows = ([a for a in data["artifacts"] if a["format"] != "saved_model"] for data in (manifest, parity))
    (folder / "parity.json").write_text(json.dumps(parity | {"artifacts": rows, "request": {}}))
    reseal(folder, artifacts=rest)
    with pytest.raises(ExportError, match="holds no SavedModel"):
        publish(folder, tmp_path / "m")
    assert not (tmp_path / "m").exists()


@pytest.mark.extended
def test_a_bundle_that_was_sealed_again_is_verified(with_saved_model, tmp_path):
    """Its certificate still says that it passed."""
    folder = with_saved_model("functional_cnn", lambda model, x: {"logits": model(x["image"], training=False) * 1.001})
    with pytest.raises(
        CheckFailed, match=r"is not published: it is fail here: saved_model/1 in tensorflow: .* differs by"
    ):
        publish(folder, tmp_path / "m")


def test_a_file_that_changes_while_it_is_copied(damaged, tmp_path, monkeypatch):
    folder = damaged("two_by_two")
    monkeypatch.setattr("export.bundle.layout.find_damage", lambda folder: [])
    monkeypatch.setattr("export.serving.publisher._verify", lambda *arguments: None)
    (folder / "saved_model/1/variables/variables.index").write_bytes(b"x")
    with pytest.raises(CheckFailed, match="changed while it was being published"):
        publish(folder, tmp_path / "m")
    assert list((tmp_path / "m").iterdir()) == []


def test_folders_of_killed_publishers_are_removed_and_those_of_running_ones_are_not(bundle, tmp_path):
    base = tmp_path / "m"
    (base / f"{STAGING}killed" / "content").mkdir(parents=True)
    running = base / f"{STAGING}running"
    running.mkdir()
    program = "import fcntl, os, sys; fcntl.flock(os.open(sys.argv[1], 0), 2); print('locked', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program, running], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        publish(bundle, base)
        assert sorted(os.listdir(base)) == [f"{STAGING}running", "1"]
        process.stdin.close()
        process.wait()
    publish(bundle, base)
    assert sorted(os.listdir(base)) == ["1", "2"]
    shutil.rmtree(base)


def test_the_command(bundle, tmp_path):
    process = run("publish", bundle, tmp_path / "m")
    assert "1: published. Next: python -m export serve-check" in process.stdout
    assert run("publish", bundle, tmp_path / "m", "--version", "1").returncode == 2
    assert run("publish", tmp_path, tmp_path / "m").returncode == 2
