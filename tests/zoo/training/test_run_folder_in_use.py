"""A run to resume: every setting that contradicts it is refused, and one process at a time trains in it."""

import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from tests.zoo.conftest import DATA
from zoo import train
from zoo.core.plan import make_plan
from zoo.core.run_folder import RunFolder
from zoo.core.settings import TrainSettings
from zoobase.errors import UsageError

FASHION = str(DATA["fashion_mnist"])


@pytest.fixture
def run(tmp_path):
    """Return a run in which no epoch is finished."""
    plan = make_plan("fashion_mnist", settings={"recipe.epochs": 3}, data_dir=FASHION, seed=2)
    run = RunFolder.create("fashion_mnist", tmp_path / "run")
    run.save_config(plan, plan.load_data().info, {"requested": plan.to_json()})
    return run


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--epochs", "7"], "recipe.epochs: 3 in the run, 7 requested"),
        (["--set", "recipe.epochs=30"], "recipe.epochs: 3 in the run, 30 requested"),  # the default of the recipe
        (["--seed", "5"], "seed: 2 in the run, 5 requested"),
        (["--seed", "0"], "seed: 2 in the run, 0 requested"),
        (["--recipe", "qick"], "did you mean quick"),
        (["--set", "recipe.epcohs=7"], "did you mean epochs"),
        (["--set", "colour=red"], "unknown setting 'colour'"),
        (["--set", "data=mnist"], "data.name: 'fashion_mnist' in the run, 'mnist' requested"),
        (["--set", "model.filters=[1]"], "model_arguments.filters"),
        (["--init", "elsewhere"], "init: None in the run, 'elsewhere' requested"),
        (["mnist"], "model: 'fashion_mnist' in the run, 'mnist' requested"),
        (["--out", "elsewhere"], "omit --out"),
    ],
)
def test_what_contradicts_the_run_is_refused(run, words, sentence):
    defaults = make_plan("fashion_mnist").recipe
    words = [word.replace("=30", f"={defaults.epochs}") for word in words]
    sentence = sentence.replace("30 requested", f"{defaults.epochs} requested")
    result = CliRunner().invoke(train.main, ["--resume", str(run.path), *words])
    assert isinstance(result.exception, UsageError), result.output
    assert sentence in str(result.exception)
    assert {file.name for file in run.path.iterdir()} == {"config.json"}


def test_what_agrees_with_the_run_is_accepted(run):
    given = {"recipe": "default", "precision": "auto", "settings": {"recipe.epochs": "3"}, "seed": 2}
    plan, opened = train.open_or_plan(TrainSettings.of(given, {"resume": str(run.path)}))
    assert (plan.seed, plan.recipe.epochs, opened.path) == (2, 3, run.path)


def test_the_second_process_in_a_run_folder_is_told_who_holds_it(run):
    holder = subprocess.Popen(
        [
            *(sys.executable, "-c"),
            "import sys; from zoo.core.run_folder import RunFolder\n"
            f"with RunFolder({str(run.path)!r}).locked():\n    print(flush=True); sys.stdin.read()",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    holder.stdout.readline()
    for where in ({"resume": str(run.path)}, {"out": str(run.path), "seed": 2}):
        settings = {"recipe.epochs": 3} if "out" in where else None
        with pytest.raises(UsageError, match=f"process {holder.pid} is training in"):
            train.run("fashion_mnist", data_dir=FASHION, settings=settings, export=False, **where)
    holder.communicate()
    with run.locked():
        assert (run.path / ".lock").read_text().strip() == str(os.getpid())


def test_a_lock_is_no_link_and_is_not_emptied(run, tmp_path):
    target = tmp_path / "target"
    target.write_text("content")
    (run.path / ".lock").symlink_to(target)
    with pytest.raises(OSError, match=r"\.lock"), run.locked():
        pass
    assert target.read_text() == "content"


def test_a_folder_that_was_locked_but_never_written_is_still_empty(tmp_path):
    with RunFolder.create("fashion_mnist", tmp_path / "run").locked():
        pass
    assert RunFolder.create("fashion_mnist", tmp_path / "run").path == tmp_path / "run"
