"""SIGTERM, or the end of the disk, in the middle of an export: nothing half-written stays."""

import contextlib
import os
import resource
import signal
import subprocess
import sys
import time

import pytest

from tests import commands
from tests.plugins.tiers import only

ENVIRONMENT = os.environ | {"PYTHONPATH": commands.ROOT}


def terminated(command, when):
    """Wait until `when()` holds, send SIGTERM, and return the exit code."""
    end = time.monotonic() + 120
    while not when():
        assert command.poll() is None, command.stderr
        assert time.monotonic() < end
        time.sleep(0.01)
    os.kill(command.pid, signal.SIGTERM)
    return command.wait(60)


@pytest.fixture
def model_file(tmp_path):
    from tests.export.models import two_by_two

    two_by_two().save(tmp_path / "two.keras")
    return tmp_path / "two.keras"


def test_a_terminated_export_leaves_nothing(model_file, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    words = ("-m", "export", "model", model_file, "-o", out / "b")
    command = commands.Command(*words, env=ENVIRONMENT, cwd=tmp_path, fresh=True)
    code = terminated(command, lambda: any(out.glob(".b.staging-*/golden")))
    assert (code, command.stderr.splitlines()[-1]) == (143, "error: stopped")
    assert list(out.iterdir()) == []


# === The end of the disk ===


@contextlib.contextmanager
def small_disk(folder, size):
    """Mount a disk of this size where that is permitted; yield how commands are limited where not."""
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", folder], capture_output=True)
    try:
        yield None if mounted.returncode == 0 else lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    finally:
        if mounted.returncode == 0:
            subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("size", only([40_960, 8_192, 122_880], [40_960], [8_192, 122_880]))
def test_an_export_to_a_full_disk_is_one_sentence_and_leaves_nothing(size, model_file, tmp_path):
    with small_disk(tmp_path / "disk", size) as limit:
        command = [sys.executable, "-m", "export", "model", model_file, "-o", tmp_path / "disk/b", "--quiet"]
        ended = subprocess.run(
            command, env=ENVIRONMENT, cwd=tmp_path, capture_output=True, text=True, preexec_fn=limit, timeout=300
        )
        assert (ended.returncode, len(ended.stderr.splitlines())) == (1, 1), ended.stderr
        assert "there is no space left" in ended.stderr
        assert list((tmp_path / "disk").iterdir()) == []
