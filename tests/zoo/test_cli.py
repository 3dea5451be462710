"""Commands as subprocesses: exit codes, one-line errors, and only JSON on standard output with --json."""

import csv
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from tests import commands
from tests.zoo.conftest import DATA
from zoo import train
from zoo.core import environment
from zoo.train import main
from zoobase.errors import MissingError

FASHION = str(DATA["fashion_mnist"])

QUANTISED = {"tflite/float16.tflite", "tflite/dynamic.tflite"}


TINY = ["--set", "model.filters=[8,16]", "--set", "model.depths=[1,1]", "--precision", "float32"]


def cli(*words, code=0, fresh=False, **environment):
    process = commands.run("-m", *words, fresh=fresh, env=os.environ | environment)
    assert process.returncode == code, f"exit {process.returncode}\n{process.stdout}\n{process.stderr}"
    assert "Traceback" not in process.stderr
    return process


def error(*words, code=2, **environment):
    lines = [x for x in cli(*words, code=code, **environment).stderr.splitlines() if x.startswith("error: ")]
    assert len(lines) == 1
    return lines[0]


def test_table_and_json():
    assert "fashion_mnist" in cli("zoo").stdout
    rows = json.loads(cli("zoo", "--json").stdout)
    assert {"name", "task", "data", "summary"} <= set(rows[0])


def test_info_has_shapes_parameters_and_recipes():
    card = json.loads(cli("zoo", "info", "fashion_mnist", "--json").stdout)
    assert card["inputs"] == {"image": "float32 (B, 28, 28, 1)"}
    assert card["parameters"] > 10_000
    assert card["recipes"]["default"]["epochs"] > 0


def test_options_of_a_model_are_not_accepted_for_another_in_the_same_process():
    runner = CliRunner()
    before = [parameter.name for parameter in main.params]
    assert "--backbone" in runner.invoke(main, ["flowers", "--help"]).output
    shown = runner.invoke(main, ["mnist", "--help"]).output
    assert "--units" in shown
    assert "--backbone" not in shown
    result = runner.invoke(main, ["mnist", "--backbone", "xception"])
    assert "--backbone" in str(result.exception or "") + result.output
    assert result.exit_code != 0
    assert [parameter.name for parameter in main.params] == before


def test_help_of_every_verb_needs_no_tensorflow():
    code = (
        "import sys, click.testing\n"
        "from zoo.__main__ import VERBS, main_command\n"
        "for verb in VERBS:\n"
        "    r = click.testing.CliRunner().invoke(main_command.get_command(None, verb), ['--help'])\n"
        "    assert r.exit_code == 0 and '--json' in r.output, (verb, r.output)\n"
        "assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["zoo", "trian"], "did you mean train"),
        (["zoo.train", "fashion_mnist", "--set", "recipe.augment=flipp", "--data-dir", FASHION], "did you mean flip"),
        (["zoo.train", "fashion_mnist", "--init", "nowhere", "--data-dir", FASHION], "unknown weights"),
    ],
)
def test_wrong_usage_is_a_one_line_error_with_exit_code_2(words, expected, tmp_path):
    assert expected in error(*words, *(["--out", tmp_path / "run"] if "--set" in words or "--init" in words else []))


def test_own_data_that_is_not_there_needs_no_tensorflow(monkeypatch):
    monkeypatch.setattr(environment, "prepare", lambda: pytest.fail("TensorFlow is imported"))
    for name in ("table", "flowers", "mnist_cnn"):
        with pytest.raises(MissingError, match="there is no folder or file nowhere"):
            train.run(name, data_dir="nowhere")


def test_errors_name_the_unsupported_environment():
    assert "KERAS_BACKEND" in error("zoo.info", "fashion_mnist", ZOO_CACHE="nowhere", KERAS_BACKEND="jax")
    assert "TF_USE_LEGACY_KERAS" in error("zoo.info", "fashion_mnist", ZOO_CACHE="nowhere", TF_USE_LEGACY_KERAS="1")


def test_a_run_is_never_overwritten(trained):
    run = trained("fashion_mnist")
    before = (run / "config.json").read_bytes()
    assert "already holds a finished run" in error("zoo.train", "fashion_mnist", "--out", run, "--data-dir", FASHION)
    assert (run / "config.json").read_bytes() == before


def test_nan_error_names_step_and_checkpoint(tmp_path):
    words = [*TINY, "--data-dir", FASHION, "--out", tmp_path / "run", "--set", "recipe.optimizer=sgd", "--epochs", 30]
    words += ["--learning-rate", "1e30", "--set", "recipe.schedule=constant", "--api", "sequential", "--no-export"]
    message = error("zoo.train", "fashion_mnist", *words, code=1)
    assert "at step" in message
    assert "of epoch" in message


def test_train_prints_the_next_command_and_nothing_on_stderr(tmp_path):
    words = [*TINY, "--data-dir", FASHION, "--epochs", 1, "--out", tmp_path / "r", "--no-export"]
    done = cli("zoo.train", "fashion_mnist", *words, "--candidates", "network", fresh=True)
    assert "next: python -m zoo.evaluate" in done.stdout
    assert done.stderr == ""


def test_evaluate_writes_what_it_prints(trained):
    run = trained("table")
    assert json.loads(cli("zoo.evaluate", run, "--json").stdout) == json.loads((run / "evaluation.json").read_text())


def test_an_evaluation_has_the_metrics_of_each_class_and_the_confusion_matrix(trained):
    evaluation = json.loads((trained("fashion_mnist") / "evaluation.json").read_text())
    assert set(evaluation["per_class"]["Sneaker"]) == {"precision", "recall", "f1", "support"}
    assert np.sum(evaluation["confusion_matrix"]) == evaluation["examples"] == 200


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
    Image.fromarray(pixels).save(folder / "a.jpg")
    Image.fromarray(pixels).convert("RGBA").save(folder / "b.png")
    Image.fromarray(pixels).convert("L").save(folder / "c.png")
    Image.fromarray(pixels).convert("CMYK").save(folder / "d.jpg")
    return folder


def test_predictions_of_run_and_bundle_are_equal(trained, images):
    run = trained("fashion_mnist")
    files = sorted(images.iterdir())
    predictions = [
        json.loads(cli("zoo.predict", source, *files, "--top-k", 2, "--json").stdout)["predictions"]
        for source in (run, run / "bundle")
    ]
    assert len(predictions[0]) == 2 * len(files)
    for one, other in zip(*predictions, strict=True):
        assert one["label"] == other["label"]
        assert one["probability"] == pytest.approx(other["probability"], abs=1e-5)


def test_predict_writes_a_folder_as_csv(trained, images, tmp_path):
    cli("zoo.predict", trained("fashion_mnist"), images, "-o", tmp_path / "out.csv", "--top-k", 1)
    with open(tmp_path / "out.csv", newline="") as f:
        rows = list(csv.DictReader(f))
    assert [os.path.basename(r["input"]) for r in rows] == ["a.jpg", "b.png", "c.png", "d.jpg"]


def test_predict_continues_after_a_file_that_is_not_an_image(trained, images):
    (images / "e.png").write_text("not an image")
    done = cli("zoo.predict", trained("fashion_mnist"), images, "-o", "-", code=1)
    assert "e.png" in done.stderr
    assert len(done.stdout.splitlines()) == 1 + 3 * 4


@pytest.mark.proof
def test_export_again_keeps_the_first_bundle(trained, tmp_path):
    run = shutil.copytree(trained("fashion_mnist"), tmp_path / "run")  # the run is shared with other tests
    (bundle,) = json.loads(
        cli("zoo.export", run, "--quantize", "float16,dynamic", "--max-drop", "0.5", "--json").stdout
    )
    assert bundle["verdict"] == "pass"
    assert bundle["path"] == str(run / "bundle-2")
    assert (run / "bundle" / "parity.json").is_file()
    certificate = json.loads((run / "bundle-2" / "parity.json").read_text())
    quantised = {r["artifact"]: r for r in certificate["artifacts"] if r["artifact"] in QUANTISED}
    assert set(quantised) == QUANTISED
    for row in quantised.values():
        drop = row["endpoints"]["serving_default"]["evaluation"]
        assert (drop["metric"], drop["max_drop"]) == ("accuracy", 0.5)
        assert drop["low"] <= drop["drop"] <= drop["high"]


def test_an_unknown_precision_is_rejected_first(tmp_path):
    for verb in (("zoo.export", tmp_path), ("zoo.train", "fashion_mnist", "--out", tmp_path / "run")):
        assert "int8" in error(*verb, "--quantize", "int9", code=2)
    assert list(tmp_path.iterdir()) == []


def test_sampling_images_writes_an_image(trained, tmp_path):
    cli("zoo.sample", trained("autoencoder"), "-o", tmp_path / "grid.png", "--count", 9, "--runtime", "tflite")
    assert Image.open(tmp_path / "grid.png").size == (84, 84)
