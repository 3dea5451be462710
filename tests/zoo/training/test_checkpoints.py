"""Best weights and states on full disks; runs that are resumed, also within an epoch, or refused."""

import contextlib
import csv
import os
import resource
import subprocess
import sys

import keras
import numpy as np
import pytest
from click.testing import CliRunner

import zoo
from tests.zoo.conftest import DATA, fit
from tests.zoo.distribution.two_workers import SETTINGS, last_state
from zoo import evaluate, train
from zoo.core.plan import make_plan
from zoo.core.run_folder import RunFolder
from zoo.core.settings import TrainSettings
from zoo.core.weight_files import check_file, load_file, save_file
from zoo.training import checkpoints
from zoobase.console import Console
from zoobase.errors import UsageError, ZooError


@contextlib.contextmanager
def full_disk(size=1000):
    """Let the system refuse to write more than `size` bytes to any file."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.fixture(scope="module")
def model():
    model = keras.Sequential([keras.Input((20,)), keras.layers.Dense(30), keras.layers.Dropout(0.5, seed=1)])
    model.compile("sgd", "mse")
    return model


def test_a_full_disk_keeps_the_best_weights(model, tmp_path):
    file = tmp_path / "best.weights.h5"
    save_file(model, file)
    content = file.read_bytes()
    with full_disk(), pytest.raises(OSError, match=r"best\.weights\.h5'?$") as error:
        save_file(model, file)
    assert "cannot be written: File too large" in str(error.value)
    assert file.read_bytes() == content
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.weights.h5", "best.weights.h5.sha256"]
    load_file(model, file)


def test_a_full_disk_keeps_the_states(model, tmp_path):
    checkpoints.save(tmp_path, 1, model, {})
    with full_disk(), pytest.raises(OSError, match="cannot be written"):
        checkpoints.save(tmp_path, 2, model, {})
    ((path, arrays),) = checkpoints.read(tmp_path)
    assert path.name == "state-00001.npz"
    assert arrays is not None


def test_every_flip_of_a_bit_in_a_state_is_found(model, tmp_path):
    for epoch in (1, 2):
        checkpoints.save(tmp_path, epoch, model, {"rows": []})
    newest = tmp_path / "state-00002.npz"
    content = newest.read_bytes()
    for position in np.random.default_rng(0).integers(0, len(content), 100):
        damaged = bytearray(content)
        damaged[position] ^= 1 << (position % 8)
        newest.write_bytes(damaged)
        (first, arrays), (second, previous) = checkpoints.read(tmp_path)
        assert (first, arrays, second.name) == (newest, None, "state-00001.npz")
        assert checkpoints.restore(model, previous, second)["epoch"] == 1


def test_only_states_that_are_kept_have_checksums(model, tmp_path):
    for epoch in range(1, 5):
        checkpoints.save(tmp_path, epoch, model, {})
    names = {f"state-0000{epoch}.npz" for epoch in (3, 4)}
    assert {path.name for path in tmp_path.iterdir()} == names | {f"{name}.sha256" for name in names}


def test_a_state_without_a_checksum_is_not_read(model, tmp_path):
    path = checkpoints.save(tmp_path, 1, model, {})
    assert next(checkpoints.read(tmp_path))[1] is not None
    path.with_name(path.name + ".sha256").unlink()
    assert next(checkpoints.read(tmp_path))[1] is None


def test_damaged_best_weights_are_one_sentence(model, tmp_path):
    file = tmp_path / "best.weights.h5"
    save_file(model, file)
    old = file.read_bytes()
    model.set_weights([value + 1 for value in model.get_weights()])
    save_file(model, file)
    new = file.read_bytes()
    file.write_bytes(old)  # the process was killed after it wrote the new checksum
    check_file(file)
    file.write_bytes(new[:-1] + bytes([new[-1] ^ 1]))
    with pytest.raises(ZooError, match=r"best\.weights\.h5 is damaged"):
        load_file(model, file)


FASHION = str(DATA["fashion_mnist"])


@pytest.fixture
def run(tmp_path):
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


OTHERS = {"model.dropout": 0.3, "recipe.optimizer": "adam", "recipe.ema": 0.9}


class Interruption(keras.callbacks.Callback):
    def __init__(self, epoch, step):
        super().__init__()
        self.wanted, self.epoch = (epoch, step), 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == self.wanted:
            raise KeyboardInterrupt


def interrupted(out, minutes=0.0, callbacks=()):
    options = {"checkpoint_minutes": minutes, "callbacks": callbacks, "evaluate": False}
    fit("mnist_cnn", out, SETTINGS | OTHERS, **options)


def history(out):
    with (out / "history.csv").open() as file:
        return [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    interrupted(out)
    return out


@pytest.mark.extended
@pytest.mark.parametrize(("epoch", "step"), [pytest.param(0, 3, marks=pytest.mark.proof), (2, 4)])
def test_the_rest_of_an_epoch_is_trained_with_the_same_bits(epoch, step, undisturbed, tmp_path, capsys):
    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        interrupted(out, 1e-9, [Interruption(epoch, step)])
    newest, arrays = next(checkpoints.read(out / "checkpoints"))
    assert newest.name == f"state-{epoch:05}-{step + 1:07}.npz"
    assert any(name.startswith(checkpoints.METRICS) for name in arrays)
    interrupted(out)
    found, expected = last_state(out), last_state(undisturbed)
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[name], value) for name, value in expected.items())
    assert history(out) == history(undisturbed)  # with losses and accuracies of the whole epoch


@pytest.mark.extended
def test_without_minutes_only_whole_epochs_are_saved(undisturbed):
    assert all(path.stem.count("-") == 1 for path in checkpoints.states(undisturbed / "checkpoints"))


def test_an_interrupted_run_names_the_command_that_continues_it(tmp_path, capsys):
    with pytest.raises(KeyboardInterrupt):
        fit("mnist", tmp_path / "run", {"data": "digits"}, callbacks=[Interruption(0, 1)], console=Console())
    assert capsys.readouterr().out.endswith(f"next: python -m zoo.train --resume {tmp_path / 'run'}\n")


@pytest.mark.extended
def test_a_run_in_a_store_is_resumed_on_another_machine(undisturbed, tmp_path, monkeypatch):
    """The cache, and with it the local copy, is another one."""
    import fsspec

    url = f"memory://{tmp_path.name}/run"
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "one"))
    with pytest.raises(KeyboardInterrupt):
        interrupted(url, 1e-9, [Interruption(2, 4)])
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "two"))
    interrupted(url)
    fsspec.filesystem("memory").get(f"/{tmp_path.name}/run", str(tmp_path / "copy"), recursive=True)
    found, expected = last_state(tmp_path / "copy"), last_state(undisturbed)
    assert all(np.array_equal(found[name], value) for name, value in expected.items())
    assert (tmp_path / "copy" / "summary.json").is_file()
    assert len(checkpoints.states(tmp_path / "copy" / "checkpoints")) == checkpoints.MAX_STATES


@pytest.mark.extended
def test_commands_of_a_run_in_a_store_name_its_url_and_read_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "one"))
    url = f"memory://{tmp_path.name}/named"
    settings = {"data": "digits", "recipe.epochs": 1, "recipe.limit": 100}
    summary = fit("mnist", url, settings, console=Console())
    assert capsys.readouterr().out.endswith(f"next: python -m zoo.evaluate {url}\n")
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "two"))
    result = evaluate.run(url, console=Console())
    assert result["metrics"] == summary["metrics"]
    assert capsys.readouterr().out.endswith(f"next: python -m zoo.predict {url} FILE...\n")
    assert zoo.load(url).predict([np.zeros((28, 28), np.uint8)])[0].rows
