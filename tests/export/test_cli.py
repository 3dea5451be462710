"""The command line."""

import json

import numpy as np
import pytest

from tests import commands


def run(*arguments, python=("-m", "export")):
    return commands.run(*python, *arguments, fresh=python[0] == "-c", timeout=300)


def test_help_and_import_do_not_import_tensorflow():
    code = "import sys, export, export.__main__; export.export_model; print('tensorflow' in sys.modules)"
    assert run(python=("-c", code)).stdout == "False\n"
    assert run("--help").returncode == 0


def test_formats():
    rows = json.loads(run("formats", "--json").stdout)
    assert {row["format"] for row in rows} >= {"keras", "hdf5", "weights", "saved_model", "tflite"}
    assert "ai_edge" not in run("formats").stderr


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("verify", "/nowhere"), 2, "there is no such folder"),
        (("verify", "."), 2, "is not a bundle"),
        (("model", "/nowhere.keras", "-o", "/tmp/never"), 3, "there is no file /nowhere.keras"),
        (("model", "setup.cfg", "-o", "/tmp/never"), 2, "Keras cannot load setup.cfg"),
        (("verfy",), 2, "unknown command 'verfy'; did you mean verify"),
    ],
)
def test_errors_are_one_sentence(arguments, code, text):
    process = run(*arguments)
    assert process.returncode == code, process.stderr
    assert text in process.stderr
    assert "Traceback" not in process.stderr


def test_a_model_from_a_file(tmp_path, bundles):
    source = bundles("functional_cnn").path / "model.keras"
    (tmp_path / "labels.txt").write_text("a\nb\nc\nd\n")
    np.savez(tmp_path / "x.npz", image=np.ones((4, 12, 12, 1)))
    out = tmp_path / "b"
    files = ("--labels", tmp_path / "labels.txt", "--samples", tmp_path / "x.npz")
    process = run("model", source, "-o", out, "--formats", "tflite", *files)
    assert process.returncode == 0, process.stderr
    assert f"python -m export verify {out}" in process.stdout
    assert (out / "labels.txt").read_text() == "a\nb\nc\nd\n"
    assert run("model", source, "-o", out).returncode == 2
