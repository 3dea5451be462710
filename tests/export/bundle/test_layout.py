"""Bundles are published atomically."""

import subprocess
import sys

import pytest

from export.bundle import layout
from zoobase import files
from zoobase.errors import ExportError
from zoobase.files import staging

KILLED = """
import os, signal, sys
from export.runtime.backend import load_tensorflow
load_tensorflow()
from export import export_model
from tests.export.models import two_by_two
stage = sys.argv[2]
def progress(text):
    if text.startswith(stage):
        os.kill(os.getpid(), signal.SIGKILL)
export_model(two_by_two(), sys.argv[1], formats=("keras", "hdf5"), progress=progress)
"""


@pytest.mark.extended  # tests/export/test_interrupted.py stops one in the first tier
@pytest.mark.parametrize("stage", ["publishing", "writing hdf5"])
def test_killed_while_exporting(tmp_path, stage):
    out = tmp_path / "b"
    process = subprocess.run([sys.executable, "-c", KILLED, str(out), stage], capture_output=True, timeout=300)
    assert process.returncode == -9
    assert not out.exists()
    assert [path.name.startswith(".b.staging-") for path in tmp_path.iterdir()] == [True]


def test_failed_bundles_are_numbered(tmp_path):
    for name in ("b.failed", "b.failed-2", "b.failed-3"):
        with staging(tmp_path, ".b.staging-") as folder:
            (folder / "x").write_text("x")
            assert layout.publish_marked(folder, tmp_path / "b", "failed") == tmp_path / name


def test_two_publishers_with_one_target(tmp_path):
    with staging(tmp_path, ".b.staging-") as first, staging(tmp_path, ".b.staging-") as second:
        (first / "x").write_text("1")
        (second / "x").write_text("2")
        layout.publish(first, tmp_path / "b")
        with pytest.raises(ExportError, match="created by another process meanwhile"):
            layout.publish(second, tmp_path / "b")
    assert (tmp_path / "b" / "x").read_text() == "1"
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_folders_of_dead_processes_are_removed_by_the_next_export(tmp_path):
    (tmp_path / ".b.staging-dead").mkdir()
    (tmp_path / ".b.staging-dead" / "x").write_text("x")
    for name in (".c.staging-dead", ".b.staging", "b.staging-1"):  # of other bundles
        (tmp_path / name).mkdir()
    with staging(tmp_path, ".b.staging-") as alive, staging(tmp_path, ".b.staging-") as other:
        names = {path.name for path in tmp_path.iterdir()}
    assert names == {".c.staging-dead", ".b.staging", "b.staging-1", alive.name, other.name}


def test_a_folder_is_removed_if_a_signal_is_received_as_it_is_made(tmp_path, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(files, "locked", stop)
    with pytest.raises(KeyboardInterrupt), staging(tmp_path, ".b.staging-"):
        pass
    assert not any(tmp_path.iterdir())


def a_bundle(folder, text):
    folder.mkdir()
    (folder / "x").write_text(text)
    layout.seal(folder, {})
    return folder


def test_only_a_bundle_is_replaced(tmp_path, monkeypatch):
    out = a_bundle(tmp_path / "b", "old")
    with pytest.raises(ExportError, match="exists already"):
        layout.publish_bundle(a_bundle(tmp_path / ".1", "new"), out, "error")
    assert layout.publish_bundle(a_bundle(tmp_path / ".2", "new"), out, "replace") == out
    assert ((out / "x").read_text(), layout.find_damage(out)) == ("new", [])
    monkeypatch.setattr("ctypes.CDLL", lambda *a, **k: object())  # a system without renameat2
    layout.publish_bundle(a_bundle(tmp_path / ".3", "newer"), out, "replace")
    assert ((out / "x").read_text(), layout.find_damage(out)) == ("newer", [])
    assert sorted(p.name for p in tmp_path.iterdir()) == [".1", "b"]
    (tmp_path / "mine").mkdir()
    with pytest.raises(ExportError, match="only a bundle is replaced"):
        layout.choose_path(tmp_path / "mine", "replace")


def test_new_versions_get_numbered_paths(tmp_path):
    out = a_bundle(tmp_path / "b", "first")
    assert layout.publish_bundle(a_bundle(tmp_path / ".1", "second"), out, "new-version") == tmp_path / "b-2"
    assert layout.publish_bundle(a_bundle(tmp_path / ".2", "third"), out, "new-version") == tmp_path / "b-3"
    (tmp_path / "b-2" / "saved_model" / "5").mkdir(parents=True)
    assert layout.choose_saved_model_version(out, "next") == 6
    assert layout.choose_saved_model_version(tmp_path / "c", "next") == 1
    assert (out / "x").read_text() == "first"


def test_links_are_refused(tmp_path):
    (tmp_path / "x").symlink_to("/etc/passwd")
    with pytest.raises(ExportError, match="neither a plain file nor a folder"):
        list(layout.files_of(tmp_path))


def test_a_staging_folder_that_another_process_removes_before_it_is_locked_is_not_a_file(tmp_path, monkeypatch):
    removed, locked = [], files.locked

    def racing(path, **options):
        if not removed:
            removed.append(path)
            path.rmdir()
        return locked(path, **options)

    monkeypatch.setattr(files, "locked", racing)
    with files.staging(tmp_path, ".b.staging-") as folder:
        assert folder.is_dir()
        assert [*tmp_path.iterdir()] == [folder]
    assert removed
