"""Settings, data and files of a run that cannot be right are one sentence and an exit code, and no folder is left."""

import csv
import json
import re

import keras
import pytest
from click.testing import CliRunner

from tests.zoo.conftest import DATA
from zoo import predict, train
from zoo.core import environment
from zoo.core.plan import make_plan, read_bundle
from zoo.core.run_folder import RunFolder
from zoo.prediction.tables import write_csv
from zoobase.console import describe_error
from zoobase.errors import MissingError, UsageError, ZooError

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
        ("detector", "fashion_mnist", "boxes"),
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
