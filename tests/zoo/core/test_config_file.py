"""Settings from a file give the plan that the same options give."""

import dataclasses
import json
from pathlib import Path

import pytest

from zoo import train
from zoo.core.plan import make_plan
from zoo.core.run_folder import flatten
from zoo.core.settings import TABLES, TrainSettings, read_config
from zoobase.errors import UsageError

EXAMPLES = Path(__file__).parents[3] / "examples"
TOML = """
model = "mnist"
seed = 4
data.name = "digits"
recipe.epochs = 3
model_arguments.units = [8]
"""


def printed(capsys, *words):
    train.main([*map(str, words), "--print-config"], standalone_mode=False)
    return json.loads(capsys.readouterr().out)


def test_toml_gives_the_plan_of_the_options(tmp_path, capsys):
    (tmp_path / "a.toml").write_text(TOML)
    options = printed(
        *(capsys, "mnist", "--seed", 4, "--set", "data=digits", "--set", "recipe.epochs=3", "--units", "[8]")
    )
    assert printed(capsys, "--config", tmp_path / "a.toml") == options
    assert options["recipe"]["epochs"] == 3


def test_the_example_is_a_config(capsys):
    assert printed(capsys, "--config", EXAMPLES / "digits.toml")["recipe"]["optimizer"] == "lion"


def test_a_printed_config_gives_the_same_plan(tmp_path, capsys):
    printed_first = printed(
        capsys, "fashion_mnist", "--recipe", "full", "--precision", "float32", "--set", "task.fit=pad"
    )
    path = tmp_path / "config.json"
    path.write_text(json.dumps(printed_first))
    assert printed(capsys, "--config", path) == printed_first
    arguments = read_config(path)
    assert json.loads(json.dumps(make_plan(arguments.pop("name"), **arguments).to_json())) == printed_first


def test_every_setting_with_a_key_is_stored_there_and_nothing_else_is():
    stored = flatten(make_plan("mnist").to_json())
    keys = [f.metadata["key"] for f in dataclasses.fields(TrainSettings) if "key" in f.metadata]
    assert set(keys) < stored.keys()
    others = {key for key in stored if key.partition(".")[0] not in TABLES} - set(keys)
    assert others == {"data.name", "candidate"}


def test_an_unknown_setting_is_answered_with_the_nearest(tmp_path):
    for name, hint in (
        ("seeed", "did you mean seed"),
        ("epochs", "did you mean .*recipe.epochs"),
        ("data_dri", "did you mean data_dir"),
    ):
        with pytest.raises(UsageError, match=hint):
            train.run("mnist", **{name: "1"}, out=str(tmp_path / "run"))
    assert not list(tmp_path.iterdir())


def test_options_take_precedence(tmp_path, capsys):
    (tmp_path / "a.toml").write_text(TOML)
    got = printed(
        capsys, "mnist", "--config", tmp_path / "a.toml", "--epochs", 7, "--seed", 5, "--precision", "float32"
    )
    assert (got["recipe"]["epochs"], got["seed"], got["precision"]) == (7, 5, "float32")
    assert got["model_arguments"] == {"units": [8]}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("seed = 1", "names no model"),
        ('model = "mnist"\nsed = 1', "did you mean seed"),
        ('model = "mnist"\nrecipe = 3', "recipe of .* is not a table"),
        ("model = ", "is not valid TOML"),
    ],
)
def test_errors(text, sentence, tmp_path):
    (tmp_path / "a.toml").write_text(text)
    with pytest.raises(UsageError, match=sentence):
        read_config(tmp_path / "a.toml")


def test_errors_of_the_command(tmp_path):
    import click

    (tmp_path / "a.toml").write_text(TOML.replace("epochs", "epoch"))
    with pytest.raises(UsageError, match="did you mean epochs"):
        train.main(["--config", str(tmp_path / "a.toml")], standalone_mode=False)
    with pytest.raises(click.UsageError, match="for the model mnist, not for gan"):
        train.main(["gan", "--config", str(tmp_path / "a.toml")], standalone_mode=False)
