"""The command line as people type it: names, options of models, texts named like folders, JSON without NaN."""

import json

import click
import numpy as np
import pytest

from commandline import Console
from zoo.predict import _write_csv
from zoo.train import main as train


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
    assert json.loads(out, parse_constant=pytest.fail) == {
        "loss": None,
        "rows": [{"a": None, "b": 1.5}],
        "text": "NaN",
    }


def test_rows_with_other_columns_share_a_file(tmp_path):
    _write_csv(str(tmp_path / "out.csv"), [{"input": "", "label": "a"}, {"input": "hello", "label": "b", "words": "x"}])
    assert (tmp_path / "out.csv").read_text() == "input,label,words\n,a,\nhello,b,x\n"


def test_control_characters_of_names_do_not_reach_the_terminal(capsys):
    Console().print("\x1b[31mred\r\x07")
    Console().table("\x1b]0;title", ["", "n"], [("[/x]pos\x1b[2J", 1)])
    out = capsys.readouterr().out
    assert "\x1b" not in out.replace("\x1b[0m", "")
    assert "[/x]pos\\x1b[2J" in out
    assert np.all([c.isprintable() or c == "\n" for c in out])
