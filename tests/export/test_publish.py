"""A bundle appears whole or not at all."""

from __future__ import annotations

import subprocess
import sys

import pytest

from export import bundle
from export.errors import ExportError

KILLED = """
import os, signal, sys
from export.backend import load_tensorflow
load_tensorflow()
from export import export_model
from tests.export.models import two_by_two
stage = sys.argv[2]
def tell(text):
    if text.startswith(stage):
        os.kill(os.getpid(), signal.SIGKILL)
export_model(two_by_two(), sys.argv[1], formats=("keras", "hdf5"), progress=tell)
"""


@pytest.mark.parametrize("stage", ["writing hdf5", "publishing"])
def test_killed_while_exporting(tmp_path, stage):
    out = tmp_path / "b"
    ended = subprocess.run([sys.executable, "-c", KILLED, str(out), stage], capture_output=True, timeout=300)
    assert ended.returncode == -9
    assert not out.exists()
    assert [path.name.startswith(".b.staging-") for path in tmp_path.iterdir()] == [True]


def test_failed_bundles_are_numbered(tmp_path):
    for wanted in ("b.failed", "b.failed-2", "b.failed-3"):
        folder = bundle.stage(tmp_path / "b")
        (folder / "x").write_text("x")
        assert bundle.keep(folder, tmp_path / "b", "failed") == tmp_path / wanted


def test_two_that_publish_to_one_place(tmp_path):
    first, second = (bundle.stage(tmp_path / "b") for _ in range(2))
    (first / "x").write_text("1")
    (second / "x").write_text("2")
    bundle.publish(first, tmp_path / "b")
    with pytest.raises(ExportError, match="something else has taken the place"):
        bundle.publish(second, tmp_path / "b")
    assert (tmp_path / "b" / "x").read_text() == "1"


def test_links_are_refused(tmp_path):
    (tmp_path / "x").symlink_to("/etc/passwd")
    with pytest.raises(ExportError, match="neither a plain file nor a folder"):
        list(bundle.files_of(tmp_path))
