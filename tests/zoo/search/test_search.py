"""A search on real digits: interrupted, killed, shared by two processes, extended; it never reads the test split."""

import os
import re
import shlex
import signal
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from click.testing import CliRunner

from pipelines import datasets
from tests import commands
from zoo import evaluate, train, tune
from zoo.core.run_folder import RunFolder
from zoo.search import study as studies
from zoo.search.study import counted, run_of
from zoobase.console import EXIT_TERMINATED
from zoobase.errors import MissingError, UsageError, ZooError

DATASET = '''
import dataclasses
import tensorflow as tf
from pipelines.datasets import digits

NAME = "sealed_digits"

def load(data_dir, cache_dir, split):
    """The digits, with a test split that cannot be read."""
    def unreadable(example):
        with tf.control_dependencies([tf.debugging.Assert(tf.constant(False), ["the test split was read"])]):
            return tf.nest.map_structure(tf.identity, example)

    data = digits.load(None, None, split)
    return dataclasses.replace(data, test=data.test.map(unreadable), info=dataclasses.replace(data.info, name=NAME))
'''
SPACE = """
data.name = "sealed_digits"
recipe.epochs = 9
recipe.learning_rate = {low = 1e-4, high = 1e-2, log = true}
recipe.optimizer = {choices = ["adam", "adagrad"]}
recipe.momentum = {low = 0.5, high = 0.95}
model_arguments.units = {choices = [[512, 512], [32]]}
"""


@pytest.fixture(scope="module", autouse=True)
def _sealed_digits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("datasets")
    (folder / "sealed_digits.py").write_text(DATASET)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOO_DATASETS_PATH", str(folder))
        patch.setattr(datasets, "__path__", [*datasets.__path__, str(folder)])  # this process has read it already
        yield


def trials_of(folder):
    storage = studies.open_storage(f"sqlite:///{folder}/study.db")
    study = studies.open_study(storage, studies.stored(storage, "mnist"))
    return study, study.get_trials(deepcopy=False)


def start(folder, *words):
    return commands.Command(*("-m", "zoo.tune", "mnist", "--out", folder), *words, merged=True, start_new_session=True)


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """Return the folder of a search, and what two processes printed that finished it.

    Of earlier ones, the first was interrupted and the second killed, both in the first trial.
    """
    folder = tmp_path_factory.mktemp("searched") / "search"
    (folder.parent / "space.toml").write_text(SPACE)
    words = ("--space", str(folder.parent / "space.toml"), "--trials", "4")
    for number, stop in enumerate((signal.SIGTERM, signal.SIGKILL), start=1):
        process = start(folder, *words)
        process.wait_for(lambda n=number: list(folder.glob(f"trials/0000/checkpoints/state-*{2 * n}.npz")))
        os.kill(process.pid, stop)
        process.communicate()
        assert process.returncode in (EXIT_TERMINATED, -signal.SIGKILL), process.stdout
    processes = [start(folder, *words) for _ in range(2)]
    printed = [process.communicate(timeout=400)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], printed
    return folder, printed


@pytest.mark.proof
def test_interrupted_trials_are_tried_again_and_shared(searched):
    folder, printed = searched
    study, trials = trials_of(folder)
    assert len(counted(study)) in (4, 5)  # both processes may begin a last one at the same moment
    assert not [trial for trial in trials if trial.state.name in ("RUNNING", "WAITING")]
    first = [trial for trial in trials if trial.user_attrs["run"] == "0000"]
    assert [trial.state.name for trial in first] == ["FAIL", "FAIL", "COMPLETE"]
    assert first[0].params == first[1].params == first[2].params
    assert sorted(path.name for path in (folder / "trials").iterdir()) == sorted({t.user_attrs["run"] for t in trials})
    numbers = [re.findall(r"(?m)^trial (\d+): .*; ", text) for text in printed]
    assert sorted(map(int, numbers[0] + numbers[1])) == sorted(trial.number for trial in counted(study))
    assert all(numbers)


@pytest.mark.extended
def test_an_interrupted_trial_continues_in_its_run_folder(searched):
    folder, _ = searched
    trial = next(trial for trial in counted(trials_of(folder)[0]) if trial.user_attrs["run"] == "0000")
    rows = run_of(folder, trial.user_attrs).history()
    assert [row["epoch"] for row in rows] == list(range(1, 10))
    assert sorted(trial.intermediate_values) == list(range(1, 10))
    assert trial.value == min(row["val_cross_entropy"] for row in rows)


@pytest.mark.extended
def test_the_first_trial_has_the_settings_of_the_recipe(searched):
    _, trials = trials_of(searched[0])
    assert trials[0].params == {
        "recipe.learning_rate": 1e-3,
        "recipe.optimizer": "adam",
        "recipe.momentum": 0.9,
        "model.units": "[512, 512]",
    }


@pytest.mark.extended
def test_the_report_has_the_best_trial_and_its_command(searched):
    folder, printed = searched
    study, _ = trials_of(folder)
    report = (folder / "report.md").read_text()
    command = next(line.strip() for line in report.splitlines() if line.startswith("    python -m zoo.train"))
    assert all(command in text for text in printed)
    assert f"(trial {study.best_trial.number})" in report
    for name in ("history", "curves", "parallel_coordinates"):
        assert (folder / "figures" / f"{name}.png").stat().st_size > 5000
        assert f"(figures/{name}.png)" in report
    assert not list(folder.rglob("evaluation.json"))
    words = shlex.split(command)[3:]
    for pair in (word.partition("=")[::2] for word in words if word.startswith("recipe.learning_rate")):
        assert float(pair[1]) == study.best_trial.params["recipe.learning_rate"]
    config = RunFolder(run_of(folder, study.best_trial.user_attrs).path).plan()
    assert studies.Search.from_json(study.user_attrs["search"]).plan(study.best_trial.params).recipe == config.recipe


@pytest.mark.extended
def test_the_test_split_is_sealed(searched):
    """The search above never read it: whoever does is told."""
    folder, _ = searched
    best = trials_of(folder)[0].best_trial
    with pytest.raises(Exception, match="the test split was read"):
        evaluate.run(run_of(folder, best.user_attrs).path)


@pytest.mark.extended
def test_more_trials_are_added_to_a_search_and_none_is_lost(searched):
    folder, _ = searched
    before = {trial.number: (trial.state, trial.value) for trial in trials_of(folder)[1]}
    trials = len(counted(trials_of(folder)[0])) + 1
    summary = tune.run("mnist", trials=trials, out=folder, resume=True)
    study, after = trials_of(folder)
    assert {trial.number: (trial.state, trial.value) for trial in after[: len(before)]} == before
    assert len(after) == len(before) + 1
    assert summary["trials"] == len(counted(study)) == trials
    assert summary["best"]["value"] == study.best_value <= summary["default"]
    again = tune.run("mnist", trials=2, out=folder, resume=True)
    assert again["trials"] == trials


@pytest.mark.extended
@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["mnist"], "a search for mnist with other settings"),
        (["mnist", "--resume", "--seed", "4"], "a search for mnist with other settings"),
        (["mnist", "--resume", "--maximize", "val_accuracy"], "a search for mnist with other settings"),
        (["gan", "--resume"], "holds no search for gan"),
    ],
)
def test_a_search_is_resumed_only_as_it_is(searched, words, sentence):
    result = CliRunner().invoke(tune.main, [*words, "--out", str(searched[0])])
    assert isinstance(result.exception, UsageError)
    assert sentence in str(result.exception)


def test_what_is_not_a_search(tmp_path):
    with pytest.raises(UsageError, match="holds no search to resume"):
        tune.run("mnist", out=tmp_path, resume=True)
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is not empty"):
        tune.run("mnist", out=tmp_path)
    with pytest.raises(UsageError, match="did you mean mnist"):
        tune.run("mnits")


@pytest.mark.extended
def test_an_error_of_the_first_trial_is_that_of_the_command(tmp_path):
    settings = {"data": "sealed_digits", "recipe.epochs": 1}
    with pytest.raises(ZooError, match="unknown metric 'val_acuracy'; did you mean val_accuracy") as caught:
        tune.run("mnist", trials=2, out=tmp_path / "search", maximize="val_acuracy", options={"settings": settings})
    assert caught.value.exit_code == 2


@pytest.mark.proof
def test_the_trials_are_in_a_journal(tmp_path):
    options = {"settings": {"data": "sealed_digits", "recipe.epochs": 1}}
    journal = str(tmp_path / "journal.log")
    for trials in (1, 2):
        summary = tune.run("mnist", trials=trials, out=tmp_path / "out", storage=journal, options=options)
        assert summary["trials"] == trials
    assert not (tmp_path / "out" / "study.db").exists()


def test_a_storage_that_cannot_be_opened_is_one_sentence_without_its_password(tmp_path):
    options = {"settings": {"data": "sealed_digits"}}
    for place in ("nosuch://user:secret@host/x", "sqlite:////no/such/folder/x.db", str(tmp_path / "no" / "journal")):
        with pytest.raises(ZooError, match="--storage") as caught:
            tune.run("mnist", out=tmp_path / "out", storage=place, options=options)
        assert "secret" not in str(caught.value)


@pytest.mark.both
def test_without_optuna_one_sentence_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingError, match=r"pip install .optuna"):
        tune.run("mnist")
    assert Path("runs/mnist/search").exists() is False


@pytest.mark.extended
def test_a_training_without_evaluation_reads_no_test_split(tmp_path):
    settings = {"data": "sealed_digits", "recipe.epochs": 1}
    summary = train.run("mnist", settings=settings, precision="float32", out=str(tmp_path / "run"), evaluate=False)
    assert "metrics" not in summary
    assert not (tmp_path / "run" / "evaluation.json").exists()


@pytest.mark.extended
def test_data_and_objects_in_python(tmp_path):
    """With an optimizer of one's own its settings are not searched; the printed call takes the data again."""
    x = np.random.default_rng(0).normal(size=(120, 3))
    given = {"dataset": (x, (x[:, 0] > 0).astype(int)), "optimizer": keras.optimizers.SGD(0.1)}
    given["metrics"] = [keras.metrics.SparseTopKCategoricalAccuracy(1, name="top")]
    options = {"settings": {"recipe.epochs": 1, "model.units": [4]}}
    summary = tune.run("table", trials=2, out=tmp_path / "out", maximize="val_top", options=options, **given)
    assert (summary["trials"], summary["metric"]) == (2, "val_top")
    assert set(summary["best"]["parameters"]) == {"recipe.batch_size", "model.dropout"}
    assert summary["command"].startswith("zoo.train.run('table', ")
    assert summary["command"].endswith("dataset=..., precision='float32')")
    with pytest.raises(UsageError, match=r"searches on data in memory, arrays: give dataset= again"):
        tune.run("table", trials=3, out=tmp_path / "out", resume=True)
    space = tmp_path / "space.toml"
    space.write_text("recipe.learning_rate = {low = 1e-4, high = 1e-2}")
    with pytest.raises(UsageError, match=r"recipe\.learning_rate has no effect, because optimizer= is given"):
        tune.run("table", space=space, out=tmp_path / "other", **given)


@pytest.mark.parametrize("option", ["candidates", "out", "resume", "quantize"])
def test_options_that_a_trial_does_not_have(option, tmp_path):
    with pytest.raises(UsageError, match=f"{option} has no effect in a search"):
        tune.run("mnist", out=tmp_path / "out", options={option: "all"})
