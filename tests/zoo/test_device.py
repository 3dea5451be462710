"""From a folder to a file that the libraries of phones open: photographs, texts and masks."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from export import ExportFailed, verify_bundle
from export.formats.tflite_metadata import read
from export.inputs import golden_files
from export.proof.certificate import Finding
from export.runners.environments import MEDIAPIPE
from tests.commands import run as command
from tests.export.device_runtimes import needs_devices
from tests.photographs import save, write
from zoo import device, export
from zoobase.errors import UsageError

pytestmark = needs_devices
TINY = {
    "photographs": {"model.backbone": "efficientnet_lite_tiny", "task.height": 64, "task.width": 64},
    "texts": {"model.pairs": 500, "model.parts": 500, "task.length": 24},
    "images with masks": {"model.width": 4, "model.depth": 2, "task.height": 32, "task.width": 32},
}


@pytest.fixture(autouse=True, scope="module")
def environments(cache):
    """Use the environments of runtimes that are installed in the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("ZOO_CACHE")
        installed = MEDIAPIPE.folder.parent
    if not (cache / "servers").exists():
        (cache / "servers").symlink_to(installed)


def texts(folder, count=180):
    rng = np.random.default_rng(0)
    common = ["film", "plot", "actors", "scene", "it's", "the", "a", "of"]
    for label, own in (("bad", ["dull", "awful", "boring"]), ("good", ["great", "moving", "fine"])):
        (folder / label).mkdir(parents=True)
        for i in range(count):
            words = [*rng.choice(common, 6), *rng.choice(own, 2)]
            (folder / label / f"{i}.txt").write_text(" ".join([words[0].title(), *words[1:]]) + f" {i}!\n")
    return folder


def masks(folder, count=120):
    """Write images of a bright square, and its mask."""
    rng = np.random.default_rng(0)
    for i in range(count):
        pixels, mask = rng.integers(0, 90, (32, 32, 3), dtype=np.uint8), np.zeros((32, 32), np.uint8)
        top, left = rng.integers(0, 16, 2)
        pixels[top : top + 16, left : left + 16] += 150
        mask[top : top + 16, left : left + 16] = 1
        save(folder / "images" / f"{i}.png", pixels)
        save(folder / "masks" / f"{i}.png", mask)
    (folder / "classes.txt").write_text("background\nsquare\n")
    return folder


TASKS = {kind.name: kind.task for kind in device.KINDS}
WRITERS = {"photographs": lambda folder: write(folder, 120, 3), "texts": texts, "images with masks": masks}


@pytest.mark.proof
@pytest.mark.parametrize("kind", ["photographs", "images with masks"])
def test_a_folder_becomes_a_file_that_a_task_of_mediapipe_opens(kind, tmp_path):
    data = WRITERS[kind](tmp_path / "data")
    settings = TINY[kind] | {"recipe.epochs": 2}
    summary = device.run(data, tmp_path / "out", settings=settings, max_drop=0.9)["device"]
    fed = check(summary, kind, tmp_path)
    if kind == "photographs":  # the tables of a few texts are smaller than what surrounds them
        assert summary["smallest"] != "tflite/float32.tflite"
        names = {f"input {name}" for name in ("contract", *golden_files.RUN_HERE, "c", "mediapipe")}
        assert {name: row["state"] for name, row in fed.items()} == dict.fromkeys(names, "pass")
        assert re.search(r"resizes images itself, .* \d of 8 answers change", fed["input mediapipe"]["note"])


def check(summary, kind, folder):
    """Check what holds for every kind; return the rows of golden files by runtime."""
    assert (summary["kind"], summary["task"]) == (kind, TASKS[kind])
    assert summary["runtimes"]["mediapipe"] == summary["runtimes"]["litert_c"] == "pass"
    files = {file["file"]: file for file in summary["files"]}
    assert "tflite/float32.tflite" in files
    assert all(isinstance(file["drop"], float) for name, file in files.items() if name != "tflite/float32.tflite")
    bundle = Path(summary["bundle"])
    rows = json.loads((bundle / "parity.json").read_text())["artifacts"]
    (graph,) = read((bundle / summary["smallest"]).read_bytes()).metadata["subgraph_metadata"]
    assert graph["output_tensor_metadata"][0]["name"] == "probabilities"
    assert (bundle / "DEVICES.md").is_file()
    assert not list(folder.glob("out/bundle*.failed"))
    certificate = verify_bundle(bundle, runtimes=["litert"])
    assert certificate.verdict == "pass", certificate.problems()
    return {row["runtime"]: row for row in rows if row["artifact"] == golden_files.FOLDER}


@pytest.mark.proof
def test_a_compressed_file_beyond_the_budget_is_left_out(monkeypatch, tmp_path):
    """The file of int8 fails at first, and the bundle is then written without it."""
    real, asked = export.run, []

    def run(folder, *, quantize, **options):
        asked.append(tuple(quantize))
        bundles = real(folder, quantize=quantize, out=tmp_path / f"b{len(asked)}", **options)
        if "int8" in quantize:
            certificate = verify_bundle(bundles[0]["path"], runtimes=["litert"])
            rows = tuple(
                row.with_findings(device_finding) if row.artifact == "tflite/int8.tflite" else row
                for row in certificate.rows
            )
            raise ExportFailed("no", Path(bundles[0]["path"]), type(certificate)(rows))
        return bundles

    device_finding = Finding("accuracy drops by 0.5")
    monkeypatch.setattr(export, "run", run)
    settings = TINY["texts"] | {"recipe.epochs": 1}
    summary = device.run(texts(tmp_path / "data"), tmp_path / "out", settings=settings, max_drop=0.9)["device"]
    assert asked == [("int8", "float16"), ("float16",)]
    assert [file["file"] for file in summary["files"]] == ["tflite/float32.tflite", "tflite/float16.tflite"]
    assert not (tmp_path / "b1").exists()


def test_what_is_no_such_folder_is_one_sentence(tmp_path):
    with pytest.raises(UsageError, match="there is no folder"):
        device.kind_of(tmp_path / "missing")
    (tmp_path / "notes.md").touch()
    with pytest.raises(UsageError, match="holds no data that this command knows: one sub-folder per class"):
        device.kind_of(tmp_path)
    (tmp_path / "table.csv").write_text("text,label\na,b\n")
    assert device.kind_of(tmp_path / "table.csv").name == "texts"
    result = command("-m", "zoo.device", "-o", tmp_path / "out")
    assert result.returncode == 2
    assert "--data-dir is missing" in result.stderr


@pytest.mark.extended
def test_the_command_writes_a_file_of_texts_and_prints_what_is_smallest(tmp_path):
    data = texts(tmp_path / "data")
    sets = [
        word for name, value in (TINY["texts"] | {"recipe.epochs": 1}).items() for word in ("--set", f"{name}={value}")
    ]
    result = command(
        "-m", "zoo.device", "--data-dir", data, "-o", tmp_path / "out", "--max-drop", "0.9", "--json", *sets
    )
    assert result.returncode == 0, result.stderr
    check(json.loads(result.stdout)["device"], "texts", tmp_path)
