"""Effects of recipe fields, on real optimizers and small real data."""

import dataclasses
import json
import os
import shlex
import shutil
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

import pipelines
import zoo
from pipelines import feeding
from tests.zoo.conftest import fit
from zoo import compare, train
from zoo.core import recipe as recipes
from zoo.core.plan import Plan, make_plan
from zoo.core.recipe import Recipe
from zoo.core.run_folder import RunFolder
from zoo.core.weight_files import load_file
from zoo.modeling.losses import SparseCategoricalCrossentropy
from zoo.modeling.metrics import CrossEntropy
from zoo.training import autotune, optimizers
from zoo.training.callbacks import TimeBudget
from zoo.training.optimizers import Muon, make_optimizer, regularize
from zoo.training.trainer import adapt_momentum
from zoobase.console import Console
from zoobase.errors import UsageError

TINY = {"filters": (8, 16), "depths": (1, 1)}
DIGITS = {"data": "digits"}
CANDIDATES = [{"units": [16], "dropout": 0.999}, {"units": [12]}]


def rates(steps=100, **fields):
    optimizer = make_optimizer(Recipe(epochs=10, learning_rate=1.0, **fields), steps)
    return np.array([float(optimizer._learning_rate(i)) for i in range(steps)])


def test_schedules_have_their_shapes():
    assert (rates(schedule="constant") == 1).all()
    cosine = rates(schedule="cosine")
    assert cosine[0] == 1
    assert cosine[50] == pytest.approx(0.5)
    assert cosine[-1] < 1e-3
    step = rates(schedule="step", decay=0.5, decay_epochs=2)
    assert step[[0, 19, 20, 39, 40]].tolist() == [1, 1, 0.5, 0.5, 0.25]
    exponential = rates(schedule="exponential", decay=0.5, decay_epochs=2)
    assert exponential[20] == pytest.approx(0.5)
    assert exponential[10] == pytest.approx(0.5**0.5)
    linear = rates(schedule="linear")
    assert linear[[0, 49, 50]].tolist() == [1, 1, 1]
    assert linear[[75, 99]].tolist() == pytest.approx([0.5, 0.02])
    one_cycle = rates(schedule="one_cycle")
    assert one_cycle.argmax() == 30
    assert one_cycle[0] == pytest.approx(0.04)
    assert one_cycle[-1] < 2e-3
    warm = rates(schedule="constant", warmup=0.1)
    assert warm[:10] == pytest.approx(np.arange(1, 11) / 10)


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_weight_decay_spares_biases_and_normalisation(name):
    model = zoo.build("fashion_mnist", **TINY)
    recipe = Recipe(optimizer=name, learning_rate=0.1, weight_decay=0.5, schedule="constant")
    optimizer = make_optimizer(recipe, 10)
    optimizer.build(model.trainable_variables)
    before = {v.path: v.numpy() for v in model.trainable_variables}
    optimizer.apply([np.zeros(v.shape, "float32") for v in model.trainable_variables])
    for v in model.trainable_variables:
        factor = 0.95 if v.name == "kernel" else 1.0
        np.testing.assert_allclose(v.numpy(), before[v.path] * factor, rtol=1e-5, err_msg=v.path)


def test_muon_makes_orthogonal_updates_of_convolutions():
    model = zoo.build("fashion_mnist", **TINY)
    optimizer = make_optimizer(Recipe(optimizer="muon", learning_rate=0.1, schedule="constant"), 10)
    optimizer.build(model.trainable_variables)
    random = np.random.default_rng(0)
    before = {v.path: v.numpy() for v in model.trainable_variables}
    optimizer.apply([random.normal(size=v.shape).astype("float32") for v in model.trainable_variables])
    steps = {v.path: v.numpy() - before[v.path] for v in model.trainable_variables}
    kernel = next(step for path, step in steps.items() if path.endswith("block1_0_conv/kernel")).reshape(72, 16)
    sizes = np.linalg.svd(kernel, compute_uv=False) / (0.1 * 0.2 * np.sqrt(72))  # near one: Newton-Schulz stops early
    assert sizes.min() > 0.6
    assert sizes.max() < 1.3
    logits = next(step for path, step in steps.items() if path.endswith("logits/kernel"))
    np.testing.assert_allclose(np.abs(logits), 0.1, rtol=1e-2)  # Adam's first step


@pytest.mark.parametrize("shape", [(3, 3, 8, 16), (24, 24), (16, 40)])
def test_muon_equals_keras(shape):
    random, ours, theirs = np.random.default_rng(0), Muon(0.1), keras.optimizers.Muon(0.1)
    gradient = random.normal(size=shape).astype("float32")
    gradient[..., 0] *= 1e-4  # directions of little weight are update, too
    update = theirs.zeropower_via_newtonschulz5(gradient.reshape(-1, shape[-1]), 5)
    # in directions with small singular values each of the five steps multiplies rounding errors by muon_a, so that
    # kernels with another order of summation differ by this much
    atol = ours.muon_a**5 * np.finfo("float32").eps
    np.testing.assert_allclose(ours.zeropower_via_newtonschulz5(gradient, 5), np.reshape(update, shape), atol=atol)


@pytest.mark.parametrize("kind", ["Adam", "AdamW"])
def test_fused_adam_equals_keras(kind):
    random, common = np.random.default_rng(0), {"global_clipnorm": 1.0, "use_ema": True, "weight_decay": 0.1}
    start = [random.normal(size=shape).astype("float32") for shape in ((7, 5), (3,))]
    steps = [[random.normal(size=a.shape).astype("float32") for a in start] for _ in range(5)]
    results, kernels = [], []
    for module in (optimizers, keras.optimizers):
        variables, optimizer = [keras.Variable(a) for a in start], getattr(module, kind)(0.1, beta_1=0.8, **common)
        optimizer.build(variables)
        step = tf.function(optimizer.apply)  # of the variables it was built with
        for dense, bias in steps:
            rows = tf.IndexedSlices(dense[:2], tf.constant([4, 1]), tf.constant([7, 5]))  # what an embedding gives
            step([tf.constant(dense), tf.constant(bias)])
            step([rows, tf.constant(bias)])
        results.append([v.numpy() for v in (*variables, *optimizer.variables)])
        graph = step.get_concrete_function([tf.constant(a) for a in start]).graph
        kernels.append({node.op for node in graph.as_graph_def().node})
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=5e-5, atol=1e-5)  # 1 - 0.999 in float32 is off by 1.3e-5
    assert all(np.abs(after - before).max() > 0.1 for after, before in zip(results[0][:2], start, strict=True))
    assert ["ResourceApplyAdam" in operations for operations in kernels] == [True, False]


def test_l1_and_l2_are_in_the_loss_and_not_in_the_config():
    model = zoo.build("fashion_mnist", **TINY)
    assert not model.losses
    regularize(model, Recipe(l1=0.1, l2=0.01))
    kernels = [v.numpy() for v in model.trainable_variables if v.name == "kernel"]
    expected = sum(0.1 * np.abs(k).sum() + 0.01 * (k**2).sum() for k in kernels)
    assert float(sum(model.losses)) == pytest.approx(expected, rel=1e-4)
    assert "0.01" not in json.dumps(model.get_config(), default=str)


def test_the_best_epoch_is_chosen_without_smoothing_and_penalties():
    """The metric is the cross-entropy of logits; `val_loss` has both."""
    logits, labels = np.random.default_rng(0).normal(size=(8, 3)).astype("float32"), np.arange(8) % 3
    expected = -np.log(np.exp(logits) / np.exp(logits).sum(-1, keepdims=True))[np.arange(8), labels].mean()
    for truth in (labels, np.eye(3, dtype="float32")[labels]):
        metric = CrossEntropy()
        metric.update_state(truth, logits)
        assert float(metric.result()) == pytest.approx(expected, rel=1e-5)
    assert zoo.get_spec("fashion_mnist").task.monitor == "val_cross_entropy"


def test_label_smoothing_equals_the_definition():
    logits, labels = np.random.default_rng(0).normal(size=(5, 4)).astype("float32"), np.array([0, 1, 2, 3, 0])
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    target = 0.9 * np.eye(4)[labels] + 0.1 / 4
    assert float(SparseCategoricalCrossentropy(0.1)(labels, logits)) == pytest.approx(
        -(target * log_p).sum(-1).mean(), rel=1e-5
    )


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"epcohs": 1}, "did you mean epochs"),
        ({"epochs": 0}, "must be a positive whole number"),
        ({"epochs": "2.5"}, "is not a whole number, such as"),
        ({"momentum": "1"}, r"in \[0, 1\)"),
        ({"learning_rate": "nan"}, "is not a number|not valid"),
        ({"schedule": "cosin"}, "did you mean cosine"),
        ({"dropout": "1"}, r"in \[0, 1\)"),
        ({"dropout": "much"}, r"in \[0, 1\)"),
        ({"candidates": "[3]"}, "must be a list of builder arguments"),
    ],
)
def test_invalid_values_are_rejected(values, expected):
    with pytest.raises(UsageError, match=expected):
        recipes.override(Recipe(), values, "recipe")


def test_user_arguments_override_those_of_the_recipe():
    settings = {"recipe.model": '{"dropout": 0.4, "filters": [8, 16]}', "model.dropout": "0.1"}
    plan = make_plan("fashion_mnist", settings=settings)
    assert plan.model_arguments == {"dropout": 0.1, "filters": (8, 16)}
    assert "model.dropout=0.1" in plan.command()
    assert "model.filters" not in plan.command()


def test_dropout_is_a_field_of_the_recipe():
    assert make_plan("fashion_mnist", settings={"recipe.dropout": "0.4"}).model_arguments == {"dropout": 0.4}
    plan = make_plan("fashion_mnist", settings={"recipe.dropout": "0.4", "model.dropout": "0.1"})
    assert plan.model_arguments == {"dropout": 0.1}


@pytest.fixture(scope="module")
def candidates_run(tmp_path_factory):
    """A run with two candidates, of which the first cannot learn because of its dropout rate."""
    out = tmp_path_factory.mktemp("candidates") / "run"
    fit("mnist", out, DIGITS | {"recipe.candidates": json.dumps(CANDIDATES), "recipe.epochs": 2})
    return out


@pytest.mark.extended
def test_the_best_candidate_is_the_run(candidates_run):
    run = RunFolder(candidates_run)
    best = [
        min(r["val_cross_entropy"] for r in RunFolder(candidates_run / "restarts" / str(i)).history()) for i in (0, 1)
    ]
    assert best[1] < best[0]
    assert run.read("config.json")["arguments"]["units"] == [12]
    assert run.model().get_layer("dense_0").units == 12
    assert run.read("config.json")["requested"]["candidate"] == 0


@pytest.fixture(scope="module")
def restarts_run(tmp_path_factory):
    out = tmp_path_factory.mktemp("restarts") / "run"
    fit("mnist", out, DIGITS | {"recipe.restarts": 2, "recipe.epochs": 2, "recipe.patience": 1})
    return out


@pytest.mark.extended
def test_restarts_keep_the_best_by_validation(restarts_run):
    best = [
        min(r["val_cross_entropy"] for r in RunFolder(restarts_run / "restarts" / str(i)).history()) for i in (0, 1)
    ]
    assert best[0] != best[1]
    folder = RunFolder(restarts_run)
    model = folder.plan().build(folder.info())
    load_file(model, RunFolder(restarts_run / "restarts" / str(int(np.argmin(best)))).weights)
    kept, winner = folder.model().get_weights(), model.get_weights()
    for one, other in zip(kept[:-2], winner[:-2], strict=True):
        np.testing.assert_array_equal(one, other)
    ratio = np.concatenate([winner[-2].ravel(), winner[-1]]) / np.concatenate([kept[-2].ravel(), kept[-1]])
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-4)  # the temperature of the calibration


@pytest.mark.extended
def test_compare_shows_what_differs(restarts_run, candidates_run, tmp_path):
    comparison = compare.run([restarts_run, candidates_run], out=tmp_path / "c.png")
    assert comparison["settings"]["recipe.restarts"] == [2, 1]
    assert "recipe.momentum" not in comparison["settings"]
    assert len(comparison["metrics"]["accuracy"]) == 2
    assert (tmp_path / "c.png").stat().st_size > 5000


@pytest.mark.extended
@pytest.mark.skipif("ONEDNN_MAX_CPU_ISA" in os.environ, reason="TensorFlow aborts where it excludes bfloat16")
def test_bfloat16_trains_and_saves_float32(tmp_path):
    fit("mnist", tmp_path / "run", DIGITS | {"recipe.epochs": 1}, precision="bfloat16", evaluate=False)
    model = RunFolder(tmp_path / "run").model()
    assert {v.dtype for v in model.weights} == {"float32"}
    assert model.compute_dtype == "float32"


def test_recipes_for_photographs_and_texts_of_ones_own_stop_by_themselves():
    for name in ("flowers", "landmarks", "skin_lesions", "sentiment", "table"):
        for recipe in zoo.get_spec(name).recipes.values():
            assert 0 < recipe.patience < recipe.epochs, name


def test_bfloat16_is_not_tried_where_the_environment_excludes_it(monkeypatch):
    """TensorFlow would abort."""
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    assert not autotune.has_bfloat16()


def test_precisions_are_measured_in_turn_once_for_a_machine(monkeypatch, tmp_path, capsys):
    """The seconds are given, because a processor without bfloat16 measures nothing."""
    seconds, measured = {"float32": [2.0, 1.1], "bfloat16": [1.0, 1.0]}, []

    def epoch_seconds(plan, dataset):
        measured.append(plan.precision)
        return seconds[plan.precision][measured.count(plan.precision) - 1]

    monkeypatch.setattr(autotune, "has_bfloat16", lambda: True)
    monkeypatch.setattr(autotune, "_epoch_seconds", epoch_seconds)
    plan = make_plan("admissions", precision="auto", cache_dir=str(tmp_path))
    dataset = plan.load_data()
    short = dataclasses.replace(plan, recipe=dataclasses.replace(plan.recipe, epochs=2))  # takes no longer than that
    chosen = [autotune.choose_precision(plan, dataset, Console()).precision for _ in range(2)]
    assert chosen == ["float32", "float32"]  # the second measurement is below 1.15
    assert measured == ["float32", "bfloat16", "float32", "bfloat16"]  # and the second choice measures nothing
    assert capsys.readouterr().out.count("bfloat16 is 1.10 to 2.00 times as fast as") == 2
    seconds["float32"] = [2.0, 1.2]
    measured.clear()
    (tmp_path / "precision.json").unlink()
    assert autotune.choose_precision(plan, dataset, Console(quiet=True)).precision == "bfloat16"
    assert autotune.choose_precision(short, dataset, Console(quiet=True)).precision == "float32"
    (tmp_path / "file").touch()  # a cache that cannot be written, such as a home that is read-only
    plan = dataclasses.replace(plan, data={**plan.data, "cache_dir": str(tmp_path / "file")})
    measured.clear()
    assert autotune.choose_precision(plan, dataset, Console(quiet=True)).precision == "bfloat16"


@pytest.mark.extended
def test_a_time_budget_lowers_the_epochs():
    planned = make_plan("mnist", settings=DIGITS | {"recipe.minutes": 0.01, "recipe.epochs": 5000})
    fitted = autotune.fit_to_budget(planned, planned.load_data(), Console(quiet=True))
    assert fitted.recipe.epochs < 500


@pytest.mark.extended
def test_a_time_budget_below_one_epoch_ends_the_epoch(tmp_path):
    """The training stops in its first epoch, validates, and the learning rate has fallen to zero."""
    fit("mnist", tmp_path / "run", DIGITS | {"recipe.batch_size": 1, "recipe.minutes": 0.001}, evaluate=False)
    (row,) = RunFolder(tmp_path / "run").history()
    assert np.isfinite(row["val_loss"])
    assert row["learning_rate"] == 0


def test_moving_statistics_follow_within_one_epoch():
    """With Keras' momentum of 0.99 they would be 0.37 of the way after 100 steps."""
    model = keras.Sequential([keras.Input((4,)), keras.layers.BatchNormalization(), keras.layers.Dense(1)])
    adapt_momentum(model, steps=100)
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).normal(5.0, 3.0, (3200, 4)).astype("float32")
    model.fit(x, x[:, :1], batch_size=32, epochs=1, verbose=0)
    norm = model.layers[0]
    np.testing.assert_allclose(norm.moving_mean, x.mean(0), atol=0.5)
    np.testing.assert_allclose(norm.moving_variance, x.var(0), rtol=0.2)
    adapt_momentum(model, steps=10_000)
    assert norm.momentum == 0.9


@pytest.mark.parametrize(
    ("model", "recipe", "settings"),
    [
        ("admissions", "network", {}),
        ("fashion_mnist", "full", {}),
        ("fashion_mnist", "default", {"recipe.candidates": '[{"filters": [8, 16]}, {}]', "model.depths": "[1, 1]"}),
        ("fashion_mnist", "default", {"recipe.model": '{"depths": [1, 1]}'}),
    ],
)
def test_a_plan_with_lists_equals_the_one_restored_from_json(model, recipe, settings):
    plan = make_plan(model, recipe=recipe, settings=settings)
    restored = Plan.from_json(json.loads(json.dumps(plan.to_json())))
    assert restored == plan
    assert restored.command() == plan.command()


@pytest.mark.extended
def test_a_run_with_candidates_is_resumed(candidates_run, tmp_path):
    """A run interrupted after the first candidate trains the second on resume and selects the same one."""
    run = tmp_path / "run"
    shutil.copytree(candidates_run, run)
    weights = (run / "checkpoints" / "best.weights.h5").read_bytes()
    for name in ("summary.json", "checkpoints", "restarts/1"):
        shutil.rmtree(run / name) if (run / name).is_dir() else (run / name).unlink()
    settings = DIGITS | {"recipe.candidates": CANDIDATES, "recipe.epochs": 2}
    train.run("mnist", settings=settings, resume=str(run), export=False, evaluate=False)
    assert (run / "checkpoints" / "best.weights.h5").read_bytes() == weights
    assert RunFolder(run).read("config.json")["candidate"] == 1


def test_a_recipe_names_data_and_settings_of_the_task():
    planned = make_plan("attention", recipe="verses")
    assert planned.data["name"] == "verses"
    assert (planned.task.level, planned.task.tokens) == ("words", 8000)
    assert planned.command() == "python -m zoo.train attention --recipe verses --seed 0"
    assert Plan.from_json(json.loads(json.dumps(planned.to_json()))) == planned
    mine = make_plan("attention", recipe="verses", settings={"data": "dates", "task.level": "characters"})
    assert (mine.data["name"], mine.task.level, mine.task.tokens) == ("dates", "characters", 8000)
    assert shlex.split(mine.command())[-4:] == ["--set", "task.level=characters", "--set", "data=dates"]
    assert make_plan("attention").data["name"] == "dates"


def test_the_data_and_the_settings_of_the_task_of_every_recipe_are_valid():
    for name in zoo.list_models():
        for recipe in zoo.get_spec(name).recipes:
            assert make_plan(name, recipe=recipe).data["name"] in pipelines.list_datasets()


def test_a_resumed_training_has_used_a_part_of_its_time_before_the_first_batch():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(make_optimizer(Recipe(minutes=1.0, schedule="cosine"), 100), "mse")
    budget = TimeBudget(1.0, types.SimpleNamespace(rows=[{"seconds": 20.0}], seconds=10.0))
    budget.set_model(model)
    budget.on_train_begin()
    assert float(model.optimizer.schedule.elapsed) == pytest.approx(0.5, abs=0.05)


def test_a_small_split_is_decoded_once(monkeypatch):
    planned = make_plan("mnist", settings={"data": "digits"})
    dataset = planned.load_data()
    assert planned.feed(dataset, "test") is planned.feed(dataset, "test")
    assert planned.feed(dataset, "test", training=True) is not planned.feed(dataset, "test")
    other = make_plan("mnist", settings={"data": "digits", "recipe.augment": "shift"})
    assert other.feed(dataset, "test") is not planned.feed(dataset, "test")
    monkeypatch.setattr(feeding, "_SMALL", 0)
    assert planned.feed(dataset, "train") is not planned.feed(dataset, "train")
