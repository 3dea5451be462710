"""The verb `compress`: files of a model within a budget of quality; a student learns the outputs of its teacher."""

import dataclasses
import json

import keras
import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from export import verify_bundle
from export.formats import QUANTIZATIONS
from tests.plugins import needs
from tests.zoo.conftest import fit
from zoo import compress, train
from zoo.compression import search
from zoo.compression.distillation import distil, load_teacher
from zoo.compression.search import Candidate, choose
from zoo.core.plan import make_plan
from zoo.training.compiling import compile_model
from zoobase.console import Console
from zoobase.errors import CheckFailed, UsageError


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """Return the path of a Keras file of a classifier of digits, and of an .npz file with real examples."""
    folder = tmp_path_factory.mktemp("classifier")
    x, y = load_digits(return_X_y=True)
    x, y = x.astype("float32"), y.astype("int32")
    keras.utils.set_random_seed(0)
    layers = [keras.Input((64,), name="pixels"), keras.layers.Rescaling(1 / 16), keras.layers.Dense(64, "relu")]
    model = keras.Sequential([*layers, keras.layers.Dense(10, name="logits")])
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(x[:900], y[:900], epochs=15, verbose=0)
    model.save(folder / "model.keras")
    np.savez(folder / "examples.npz", pixels=x, label=y)
    return folder / "model.keras", folder / "examples.npz"


@pytest.fixture(scope="module")
def result(classifier, tmp_path_factory):
    out = tmp_path_factory.mktemp("compressed") / "small"
    return out, compress.run(classifier[0], data=classifier[1], out=out, budget=0.03)


def test_the_smallest_file_within_the_budget_is_proven(result):
    out, summary = result
    candidates = [Candidate(**values) for values in summary["candidates"]]
    assert {c.quantize for c in candidates} == {"float32", *QUANTIZATIONS}
    absent = {*QUANTIZATIONS} - {*needs.quantizations()}
    assert all("not installed; pip install" in c.problem for c in candidates if c.quantize in absent)
    candidates = [c for c in candidates if c.quantize not in absent]
    assert all(c.problem is None and c.ms > 0 and 0 < c.gzip <= c.size * 1.05 for c in candidates)
    within = [c for c in candidates if c.drop["high"] <= 0.03]
    assert summary["chosen"]["gzip"] == min(c.gzip for c in within)
    assert (out / summary["file"]).is_file()
    assert verify_bundle(out / "bundle", runtimes=["litert", "onnxruntime"]).verdict == "pass"
    assert summary["test"]["high"] <= 0.03
    assert (summary["test"]["examples"], candidates[0].drop["examples"]) == (719, 719), "two fifths each"
    assert Image.open(out / "frontier.png").size[0] > 500
    assert json.loads((out / "compression.json").read_text()) == summary
    assert sorted(path.name for path in out.iterdir()) == ["bundle", "compression.json", "frontier.png"]


def test_the_table_has_every_candidate(result, capsys):
    compress.show(Console(), result[1])
    printed = capsys.readouterr().out
    assert all(name in printed for name in ("float32", *QUANTIZATIONS, "chosen for size", "719 test examples"))


def test_forms_that_cannot_be_made_are_lines_below_the_table(capsys):
    missing = [Candidate("", name, 0, "", problem="p" * 90) for name in ("int4", "qdq")]
    candidates = [dataclasses.asdict(candidate) for candidate in (*missing, file("float32", 9, 0.0, size=10))]
    test = {"examples": 9, "metric": "accuracy", "reference": 1.0, "value": 1.0, "drop": 0.0, "low": 0.0, "high": 0.0}
    about = {"source": "x", "budget": 0.1, "goal": "size", "file": "f", "test": test, "chosen": candidates[-1]}
    compress.show(Console(), about | {"candidates": candidates})
    assert f"left out: int4; qdq: {'p' * 90}\n" in capsys.readouterr().out


def file(quantize, gzip, high, ms=1.0, **changes):
    drop = {"drop": high, "low": high, "high": high}
    return Candidate(**{"training": "", "quantize": quantize, "keep_float": 0, "path": quantize, "gzip": gzip,
                        "ms": ms, "drop": drop, **changes})  # fmt: skip


def test_what_is_chosen():
    files = [file("float32", 9, 0.9, ms=3), file("int8", 3, 0.004, ms=2), file("int4", 2, 0.006, ms=1)]
    assert choose(files, 0.005, "size").quantize == choose(files, 0.005, "latency").quantize == "int8"
    assert choose(files, 0.01, "size").quantize == choose(files, 0.01, "latency").quantize == "int4"
    assert choose(files, 0.001, "size").quantize == "float32", "it is proven, not measured"
    broken = [dataclasses.replace(f, problem="it does not run") if f.quantize == "int8" else f for f in files]
    assert choose(broken, 0.005, "size").quantize == "float32"
    trained = [*files, file("float32", 1, 0.2, training="80 % zeros")]
    assert choose(trained, 0.005, "size").quantize == "int8", "a model that was trained on is measured"
    untimed = [dataclasses.replace(f, ms=None) if f.quantize == "int8" else f for f in files]
    assert choose(untimed, 0.005, "latency").quantize == "float32"


@pytest.mark.extended
def test_a_test_beyond_the_budget_leaves_nothing(classifier, tmp_path, monkeypatch):
    """What the validation examples allow, the test examples need not; and nothing half-written stays."""
    monkeypatch.setattr(search, "FORMS", ("float32", "float16"))
    monkeypatch.setattr(Candidate, "is_within", lambda self, budget: self.quantize == "float16")
    with pytest.raises(CheckFailed, match=r"float16, .* on the test examples, which may be more than the budget of 0:"):
        compress.run(classifier[0], data=classifier[1], out=tmp_path / "small", budget=0.0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.extended
def test_a_run_is_trained_on(tmp_path, monkeypatch):
    settings = {"data": "digits", "model.units": [32], "recipe.epochs": 2, "recipe.limit": 500}
    fit("mnist", tmp_path / "run", settings, evaluate=False)
    monkeypatch.setattr(search, "FORMS", ("float32", "dynamic"))
    trainings = {
        "80 % zeros": ({"sparsity": "0.8"}, ("dynamic",)),
        "trained for int8": ({"qat": "int8"}, ("int8",)),
        "other": ({"optimizer": "adagrad", "momentum": 0.5}, ("dynamic",)),
    }
    monkeypatch.setattr(compress, "TRAININGS", trainings)
    summary = compress.run(tmp_path / "run", out=tmp_path / "small", budget=0.5, epochs=1)
    sizes = {(c["training"], c["quantize"]): c["gzip"] for c in summary["candidates"]}
    trained = [("80 % zeros", "dynamic"), ("trained for int8", "int8")]
    assert sorted(sizes) == [("", "dynamic"), ("", "float32"), *trained], "what cannot be trained is left out"
    assert sizes["80 % zeros", "dynamic"] < 0.5 * sizes["", "dynamic"]
    assert summary["chosen"]["training"] == "80 % zeros"
    assert (tmp_path / "small" / summary["file"]).is_file()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"goal": "fun"}, "goal=fun is not valid: it must be size or latency"),
        ({"budget": -1.0}, "must be zero or more"),
        ({"data": None}, "--data has the examples of a Keras file"),
        ({"out": "."}, "exists: choose another --out"),
    ],
)
def test_invalid_arguments(classifier, tmp_path, monkeypatch, changes, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=message):
        compress.run(classifier[0], **{"data": classifier[1], "out": "small", **changes})


STUDENT = {
    "data": "digits",
    "recipe.limit": 200,
    "recipe.epochs": 1,
    "model.units": [64],
    "recipe.learning_rate": 0.003,
}


@pytest.fixture(scope="module")
def digits():
    """The dataset, which has as many classes as the teacher."""
    return make_plan("mnist", settings=STUDENT).load_data()


def student_of(plan, dataset):
    keras.utils.set_random_seed(0)
    model = plan.build(dataset.info)
    compile_model(model, plan, dataset.info, 1000)
    return model


def distance(model, teacher, x):
    one, other = (keras.ops.softmax(m(x, training=False)) for m in (model, teacher))
    return float(keras.ops.mean(keras.ops.abs(one - other)))


@pytest.mark.extended
def test_the_student_learns_the_teacher_and_not_the_labels_alone(digits):
    """With wrong labels, it can know the right ones from the teacher only."""
    plan = make_plan("mnist", settings=STUDENT | {"recipe.teacher": "mnist", "recipe.learning_rate": 0.003})
    x, _ = next(iter(plan.feed(digits, "train").batches(100)))
    teacher = load_teacher("mnist")
    wrong = np.random.default_rng(0).integers(0, 10, len(x))
    distances = []
    for distilled in (False, True):
        model = student_of(plan, digits)
        if distilled:
            distil(model, teacher, plan, digits.info)
        before = model.test_on_batch(x, wrong, return_dict=True)["loss"]
        model.fit(x, wrong, epochs=50, batch_size=25, verbose=0)
        distances.append(distance(model, teacher, x))
    assert distances[1] < 0.6 * distances[0]
    same = student_of(plan, digits)
    assert same.test_on_batch(x, wrong, return_dict=True)["loss"] == pytest.approx(before, rel=1e-5)
    assert not any("teacher" in v.path for v in model.variables)
    assert len(model.variables) == len(same.variables), "a saved state has no teacher"


@pytest.mark.extended
def test_the_setting_reaches_the_training(tmp_path):
    losses = []
    for teacher in ("", "mnist"):
        out = tmp_path / f"run{len(losses)}"
        fit("mnist", out, STUDENT | {"recipe.teacher": teacher}, evaluate=False)
        losses.append((out / "history.csv").read_text())
    assert losses[0] != losses[1]


def test_another_teacher_is_refused(digits):
    plan = make_plan("mnist", settings=STUDENT | {"recipe.teacher": "x"})
    student = student_of(plan, digits)
    image = keras.Input(student.input_shape[1:])
    other = keras.Model(image, keras.layers.Dense(7)(keras.layers.Flatten()(image)))
    with pytest.raises(UsageError, match=r"the teacher has outputs \(None, 7\), and mnist has \(None, 10\); omit it"):
        distil(student, other, plan, digits.info)
    image = keras.Input((9, 9, 1))
    other = keras.Model(image, keras.layers.Dense(10)(keras.layers.Flatten()(image)))
    with pytest.raises(UsageError, match=r"the teacher has inputs \(None, 9, 9, 1\), and mnist has"):
        distil(student, other, plan, digits.info)
    with pytest.raises(UsageError, match=r"recipe.teacher=nothing is neither a run nor a model with default weights"):
        train.run("mnist", settings={"recipe.teacher": "nothing"}, export=False)
