"""Settings from files and options, also those that cannot be right: one sentence, an exit code and no folder."""

import csv
import dataclasses
import json
import re
from pathlib import Path

import click
import keras
import pytest
from click.testing import CliRunner

from tests.zoo.conftest import DATA
from zoo import predict, train
from zoo.core import environment
from zoo.core.plan import make_plan, read_bundle
from zoo.core.run_folder import RunFolder, flatten
from zoo.core.settings import TABLES, TrainSettings, read_config
from zoo.prediction.table_files import write_csv
from zoobase.console import describe_error
from zoobase.errors import MissingError, UsageError, ZooError

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
    assert others == {"data.name", "candidate", "selected"}


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
    (tmp_path / "a.toml").write_text(TOML.replace("epochs", "epoch"))
    with pytest.raises(UsageError, match="did you mean epochs"):
        train.main(["--config", str(tmp_path / "a.toml")], standalone_mode=False)
    with pytest.raises(click.UsageError, match="for the model mnist, not for gan"):
        train.main(["gan", "--config", str(tmp_path / "a.toml")], standalone_mode=False)


FASHION, SHAKESPEARE = str(DATA["fashion_mnist"]), str(DATA["shakespeare"])


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--seed", "4294967296"], r"a whole number in \[0, 4294967295\]"),
        (["--seed", "4294967295", "--set", "recipe.restarts=2"], r"must be in \[0, 4294967294\]"),
        (["--set", "recipe.restarts=1000000000"], "a whole number from 1 to 1000"),
        (["--epochs", "1" + "0" * 30], r"below 2\*\*31"),
        (["--batch-size", "99999999999"], r"below 2\*\*31"),
        (["--learning-rate", "1e400"], "must be a positive number"),
        (["--learning-rate", "nan"], "must be a positive number"),
        (["--set", "recipe.epochs=1e400"], "is not a whole number"),
        (["--set", "recipe.epochs=NaN"], "is not a whole number"),
        (["--set", "model.filters=" + "[" * 100_000], "is not a list"),
        (["--set", "model.filters=" + "[" * 300 + "]" * 300], "1 filters and 4 depths"),
        (
            ["--precision", "float32", "--filters", '["a"]', "--depths", "[1]"],
            "cannot be built with these arguments: .*'str' and 'int'",
        ),
        (["--set", "data=shakespeare", "--data-dir", SHAKESPEARE], "needs examples with image, label"),
        (["--set", "data=bike_sharing", "--data-dir", str(DATA["bike_sharing"])], "needs examples with image, label"),
    ],
)
def test_settings_that_cannot_be_right_leave_no_folder(words, sentence, tmp_path):
    out = tmp_path / "run"
    result = CliRunner().invoke(
        train.main, ["fashion_mnist", "--no-export", "--data-dir", FASHION, "--out", str(out), *words]
    )
    text, code = (
        describe_error(result.exception) if not isinstance(result.exception, SystemExit) else (result.output, 2)
    )
    assert code == 2
    assert "run again with --debug" not in text
    assert re.search(sentence, text), text
    assert not out.exists()


@pytest.mark.parametrize(
    ("model", "data", "needed"),
    [
        ("bike_sharing", "fashion_mnist", "named columns"),
        ("sentiment", "fashion_mnist", "text"),
        ("text_rnn", "fashion_mnist", "text"),
        ("autoencoder", "shakespeare", "image"),
        ("pix2pix", "fashion_mnist", "a, b"),
        ("attention", "shakespeare", "source, target"),
        ("word2vec", "fashion_mnist", "text"),
        ("style_transfer", "shakespeare", "image"),
        ("unet", "fashion_mnist", "mask"),
        ("detector", "fashion_mnist", "boxes, labels, ignored, size"),
    ],
)
def test_data_of_another_kind_is_refused(model, data, needed):
    plan = make_plan(model, settings={"data": data}, data_dir=str(DATA[data]))
    with pytest.raises(UsageError, match=f"{model} needs examples with {needed}, and those of own_{data} have"):
        plan.load_data()


@pytest.mark.parametrize("precision", ["float16", "float64"])
def test_another_precision_of_keras_is_refused(monkeypatch, precision):
    monkeypatch.setattr(environment, "_ready", False)
    monkeypatch.setattr(keras.config, "floatx", lambda: precision)
    with pytest.raises(UsageError, match=f"Keras is configured for {precision}, and this zoo needs float32"):
        environment.prepare()


@pytest.mark.parametrize("content", ["[]", "3", "null", "{", "", "[" * 100_000, "{}", '{"requested": 3}', "\udcff"])
def test_a_config_that_is_none_is_one_sentence(tmp_path, content):
    (tmp_path / "config.json").write_bytes(content.encode(errors="surrogateescape"))
    run = RunFolder.open(tmp_path)
    for call in (run.plan, run.info, lambda: run.differences(make_plan("fashion_mnist")), run.model):
        with pytest.raises(ZooError, match=r"config\.json is damaged"):
            call()


@pytest.mark.parametrize("content", ["epoch,loss\n1,many\n", "epoch,loss\n1,2,3\n", "\0", "a" * 200_000 + "\n1\n"])
def test_a_history_that_is_none_is_one_sentence(tmp_path, content):
    (tmp_path / "history.csv").write_text(content)
    try:
        RunFolder(tmp_path).history()
    except ZooError as error:
        assert "history.csv is damaged" in str(error)  # noqa: PT017


@pytest.mark.parametrize("zoo", [3, [], {"plan": 3}, {"plan": {}, "info": {}}, {"plan": {"model": "fashion_mnist"}}])
def test_metadata_of_a_bundle_that_are_none_are_one_sentence(tmp_path, zoo):
    source = DATA["fashion_mnist"].parent / "bundle/manifest.json"
    manifest = json.loads(source.read_text()) | {"metadata": {"zoo": zoo}}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ZooError, match=r"manifest\.json is damaged|was not written by the zoo"):
        read_bundle(tmp_path)


def test_cells_are_no_formulas_and_names_need_not_be_utf8(tmp_path):
    labels = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "plain", "1-1"]
    write_csv(str(tmp_path / "out.csv"), [{"input": "a\udcff", "label": x, "probability": -0.5} for x in labels])
    with open(tmp_path / "out.csv", newline="", encoding="utf-8", errors="surrogateescape") as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == ["'=1+1", "'+1", "'-1", "'@SUM(A1)", "'\t=1", "plain", "1-1"]
    assert {row["probability"] for row in rows} == {"-0.5"}
    assert rows[0]["input"] == "a\udcff"


def test_files_that_do_not_exist_have_their_own_exit_code(tmp_path):
    with pytest.raises(MissingError, match=r"there is no file .*a\.png; there is no file .*b\.png"):
        predict.run("fashion_mnist", [str(tmp_path / "a.png"), str(tmp_path / "b.png")])
    (tmp_path / "c.png").write_text("no image")
    assert len(predict.run("fashion_mnist", [str(tmp_path / "a.png"), str(tmp_path / "c.png")]).problems) == 2
    (problem,) = predict.run("fashion_mnist", ["/dev/zero"]).problems
    assert "/dev/zero is not a plain file" in problem
