"""The command line as people type it: names, options of models, texts named like folders, JSON without NaN."""

import json
import os
import re
import subprocess
import sys

import click
import numpy as np
import pytest
from PIL import Image

from tests import commands
from tests.zoo.test_cli import cli, error
from zoo import export
from zoo.__main__ import main_command as list_models
from zoo.core import run_folder
from zoo.predict import main as predict
from zoo.prediction.table_files import write_csv
from zoo.train import _show
from zoo.train import main as train
from zoobase import Console, suggestion
from zoobase.console import run as run_command
from zoobase.errors import step


@pytest.mark.parametrize(
    ("words", "model"),
    [
        (("fashion_mnist",), "fashion_mnist"),
        (("--out", "mnist", "fashion_mnist", "--api", "functional"), "fashion_mnist"),
        (("--out=mnist", "fashion_mnist"), "fashion_mnist"),
        (("--api", "functional", "fashion_mnist"), "fashion_mnist"),
        (("--quiet", "mnist", "--out", "fashion_mnist"), "mnist"),
        (("--json", "--no-export", "mnist"), "mnist"),
    ],
)
def test_the_model_is_the_argument_and_no_value_of_an_option(words, model):
    with click.Context(train) as ctx:
        train.parse_args(ctx, list(words))
    assert ctx.params["name"] == model
    assert ("model_api" in ctx.params) is (model == "fashion_mnist")


def test_help_shows_defaults_as_they_are_typed():
    with click.Context(train) as ctx, pytest.raises(click.exceptions.Exit):
        train.parse_args(ctx, ["fashion_mnist", "--help"])
    parameter = next(p for p in train.get_params(ctx) if p.name == "model_filters")
    assert parameter.help.endswith("default [32, 64, 128, 256].")


def test_json_has_no_nan(capsys):
    Console(json=True).result({"loss": float("nan"), "rows": [{"a": float("inf"), "b": 1.5}], "text": "NaN"})
    out = capsys.readouterr().out
    assert json.loads(out, parse_constant=pytest.fail) == {"loss": None, "rows": [{"a": None, "b": 1.5}], "text": "NaN"}


def test_rows_with_other_columns_share_a_file(tmp_path):
    write_csv(str(tmp_path / "out.csv"), [{"input": "", "label": "a"}, {"input": "hello", "label": "b", "words": "x"}])
    assert (tmp_path / "out.csv").read_text() == "input,label,words\n,a,\nhello,b,x\n"


def test_control_characters_of_names_do_not_reach_the_terminal(capsys):
    Console().print("\x1b[31mred\r\x07")
    Console().table("\x1b]0;title", ["", "n"], [("[/x]pos\x1b[2J", 1)])
    out = capsys.readouterr().out
    assert "\x1b" not in out.replace("\x1b[0m", "")
    assert "[/x]pos\\x1b[2J" in out
    assert np.all([c.isprintable() or c == "\n" for c in out])


WRONG_USAGE = {
    ("train", "mnsit"): "did you mean mnist",
    ("train", "mnist", "--recipe", "defualt"): "did you mean default",
    ("train", "mnist", "--lr", "1"): "",
    ("train", "mnist", "--from", "bundle"): "",
    ("train", "fashion_mnist", "--api", "keras"): "functional",
    ("train", "mnist", "--set", "epochs"): "KEY=VALUE",
    ("train", "mnist", "--set", "recipe.epochs=many"): "is not a whole number, such as",
    ("train", "mnist", "--set", "recipe.learning_rate=-1"): "must be a positive number",
    ("train", "mnist", "--set", "recipe.lr=1"): "did you mean learning_rate",
    ("train", "mnist", "--set", "recipe.epochs=-1"): "must be a positive whole number",
    ("train", "mnist", "--set", "recipe.optimizer=shampoo"): "one of adadelta",
    ("train", "mnist", "--set", "model.units=a"): "is not a list",
    ("train", "mnist", "--set", "task.heigth=3"): "did you mean height",
    ("train", "mnist", "--set", "data=mnits"): "did you mean mnist",
    ("evaluate", "nowhere"): "is not a run folder",
    ("export", "nowhere"): "is not a run folder",
    ("sample", "nowhere"): "is not a run folder",
    ("predict", "mnits", "x.png"): "did you mean the model mnist",
}


def test_wrong_usage_is_reported_without_tensorflow():
    code = (
        "import importlib, sys\n"
        f"for (verb, *words), expected in {WRONG_USAGE}.items():\n"
        "    try:\n"
        "        importlib.import_module('zoo.' + verb).main(words, standalone_mode=False)\n"
        "    except Exception as error:\n"
        "        assert expected in str(error), (verb, words, error)\n"
        "    else:\n"
        "        raise AssertionError(words)\n"
        "    assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules, (verb, words)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@pytest.mark.parametrize(
    ("name", "names", "expected"),
    [
        ("lr", ("l1", "l2", "learning_rate"), "did you mean learning_rate?"),
        ("wd", ("warmup", "weight_decay"), "did you mean weight_decay?"),
        ("--bs", ("--batch-size", "--seed"), "did you mean --batch-size?"),
        ("lion", ("adam", "muon"), "one of adam, muon"),
        ("randaugment", ("flip", "landmarks"), "one of flip, landmarks"),
        ("smoothing", ("label_smoothing", "split"), "did you mean label_smoothing?"),
        ("epcohs", ("epochs", "ema"), "did you mean epochs?"),
    ],
)
def test_suggestions_are_aliases_or_similar_names(name, names, expected):
    assert suggestion(name, names) == expected


@click.command()
@click.option("--learning-rate")
@click.argument("message", required=False)
def failing(learning_rate, message):
    with step("while the model was built"):
        raise ValueError(message)


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        ("Exception encountered when calling Dense.call().\n\n\x1b[1mbad shape (2,)\x1b[0m\n\nArguments received by "
         "Dense.call():\n  • inputs=tf.Tensor\n  • kwargs=<class 'inspect._empty'>", "bad shape (2,)"),
        ("Graph execution error:\n\nDetected at node x\nlabels out of range", "labels out of range"),
    ],
)  # fmt: skip
def test_an_error_of_a_library_has_its_cause_and_the_step(message, cause, capsys):
    with pytest.raises(SystemExit):
        run_command(failing, [message])
    assert capsys.readouterr().err == (
        f"error: ValueError: {cause} (while the model was built; run again with --debug for the traceback)\n"
    )


def test_an_unknown_option_is_answered_with_a_near_one_or_none(capsys):
    for option, hint in (("--lr", "did you mean --learning-rate?"), ("--bogus", "--help lists them")):
        with pytest.raises(SystemExit):
            run_command(failing, [option, "1"])
        assert capsys.readouterr().err == f"error: no such option {option}; {hint}\n"


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """Make a folder with an image the current one; return a function that runs `predict` in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "great").mkdir()
    Image.new("L", (28, 28)).save(tmp_path / "great" / "a.png")

    def run(*words):
        with pytest.raises(SystemExit) as ended:
            run_command(predict, [*words, "--quiet"])
        return ended.value.code, (tmp_path / "predictions.csv").exists()

    return run


@pytest.mark.proof
def test_a_text_is_not_the_name_of_a_folder(folder, tmp_path):
    row = {"season": "summer", "month": "06", "hour": "08", "weekday": "Mon", "holiday": "No", "workingday": "Yes"}
    text = json.dumps(row | {"weather": "Clear"})
    (tmp_path / text).mkdir()
    assert folder("bike_sharing", text) == (0, False)


@pytest.mark.extended
def test_images_of_a_folder_are_written_but_an_empty_name_is_no_folder(folder, capsys):
    assert folder("fashion_mnist", "") == (2, False)
    assert capsys.readouterr().err == "error: '' is not the name of a file\n"
    assert folder("fashion_mnist", "great") == (0, True)


def test_files_of_a_run_have_no_nan(tmp_path):
    run_folder.RunFolder(tmp_path).write("evaluation.json", {"metrics": {"mae": np.inf, "r2": float("nan")}})
    assert json.loads((tmp_path / "evaluation.json").read_text(), parse_constant=pytest.fail) == {
        "metrics": {"mae": None, "r2": None}
    }


def test_a_training_ends_with_the_comparison(capsys):
    compared = {"this model": {"mae": 39.5}, "gradient boosting": {"mae": 40.9}}
    summary = {"metrics": {"mae": 39.5}, "compared": compared, "examples": 502, "data": "bike_sharing", "run": "runs/x"}
    _show(Console(), "bike_sharing", summary | {"best_epoch": 1, "epochs": 2, "train_seconds": 3.0})
    shown = capsys.readouterr().out
    assert "bike_sharing on bike_sharing, 502 test examples" in shown
    assert all(word in shown for word in ("compared", "gradient boosting", "40.9"))


def test_the_list_of_models_names_the_data_of_a_figure(capsys):
    with pytest.raises(SystemExit):
        run_command(list_models, ["--match", "mnist"])
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("mnist"))
    assert "0.931" in line
    assert "mnist_5k" in line


def test_the_list_of_models_is_whole_in_eighty_columns():
    lines = cli("zoo", COLUMNS="80").stdout.splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert "…" not in "".join(lines)  # nothing is cut
    assert any(line.startswith("detector") and "mean_average_precision" in line for line in lines)
    assert not any(line.startswith(("cyclegan", "mnist", "table")) for line in lines), "exercises are in the course"
    (others,) = (line for line in lines if line.startswith("to train on data of your own: "))
    assert {"flowers", "forecast", "table"} <= set(re.split("[:,] ", others))
    assert "mnist" not in others


def test_the_table_of_a_bundle_has_titles_and_whole_names(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    row = {"artifact": "model.weights.h5", "runtime": "tensorflow", "state": "unsupported", "max_error": 1e-6}
    row |= {"bytes": 10_000}
    export.show(Console(), {"path": "runs/x/bundle", "verdict": "pass", "artifacts": [row | {"reason": "why " * 40}]})
    shown = capsys.readouterr().out
    assert "model.weights.h5" in shown
    assert f"model.weights.h5, tensorflow: {'why ' * 40}\n" in shown  # a line, and no column of 20 characters


def test_an_unknown_backbone_is_the_first_complaint():
    line = error("zoo.train", "flowers", "--backbone", "resnet", "--data-dir", ".")
    assert "unknown backbone 'resnet'; did you mean resnet50_v2" in line


def test_a_card_is_printed_without_tensorflow_the_second_time(tmp_path):
    first = cli("zoo", "info", "mnist", "--json", ZOO_CACHE=str(tmp_path)).stdout
    code = "import sys, zoo; print(zoo.info.run('mnist')['parameters']); assert 'tensorflow' not in sys.modules"
    second = commands.run("-c", code, fresh=True, env=os.environ | {"ZOO_CACHE": str(tmp_path)})
    assert second.stdout.strip() == str(json.loads(first)["parameters"]), second.stderr
