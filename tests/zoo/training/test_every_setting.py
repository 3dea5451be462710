"""Every field of a recipe changes the training of every task, or is refused by name."""

import dataclasses
import functools
import re

import keras
import numpy as np
import pytest

import zoo
from tests.plugins.tiers import first, only
from tests.zoo.conftest import data_dir
from zoo.core.capabilities import Initializes
from zoo.core.plan import make_plan
from zoo.core.recipe import OF_TASKS as RECIPE_OF_TASKS
from zoo.core.recipe import Recipe
from zoo.training.callbacks import AveragedWeights
from zoo.training.compiling import compile_model
from zoobase.errors import UsageError

MODELS = (
    *("admissions", "attention", "autoencoder", "bike_sharing", "dcgan", "fashion_mnist", "pix2pix", "sentiment"),
    *("text_rnn", "word2vec"),
)  # cyclegan shares the code of pix2pix
OF_TASKS = {"augment": "flip,shift", "label_smoothing": 0.2, "l1": 0.01, "l2": 0.01, "ema": 0.5}  # used by each task
OF_OPTIMIZERS = {  # used by `make_optimizer` and `fit`, whatever the task
    "batch_size": 7,
    "learning_rate": 3e-3,
    "optimizer": "adam",
    "momentum": 0.5,
    "schedule": "cosine",
    "warmup": 0.5,
    "decay": 0.25,
    "decay_epochs": 2.0,
    "weight_decay": 0.1,
    "clip_norm": 1e-3,
}
OTHERS = {  # tested in tests/zoo/core/test_recipes.py
    *("epochs", "dropout", "patience", "split", "limit", "restarts", "candidates", "minutes", "model", "data", "task"),
    "whiten",  # in tests/zoo/training/test_calibration.py
    *("sparsity", "clusters", "teacher", "qat"),  # in tests/zoo/compression
}
STEPS = 4
LOOPS = ("sentiment", "text_rnn")  # over tokens; the graphs of the others take longer to trace than the steps to run


@functools.cache
def load(model):
    """Return the data of a model, which no setting of these tests changes."""
    return make_plan(model, settings=zoo.get_spec(model).tiny_settings(), data_dir=data_dir(model)).load_data()


def train(model, settings):
    """Return the weights after a few steps, and the losses of a batch, both with the averages of the recipe."""
    tiny = {k: v for k, v in zoo.get_spec(model).tiny_settings().items() if k != "recipe.minutes"}
    plain = {f"recipe.{field}": getattr(Recipe(), field) for field in OF_TASKS} | {"recipe.batch_size": 8}
    plan = make_plan(model, settings=tiny | plain | settings, data_dir=data_dir(model), precision="float32")
    dataset = load(model)
    keras.utils.set_random_seed(0)
    network = plan.build(dataset.info)
    if isinstance(plan.task, Initializes):
        plan.task.initialize(network, dataset)
    compile_model(network, plan, dataset.info, STEPS)
    network.run_eagerly = model not in LOOPS
    averaged = AveragedWeights(network)
    feed = plan.feed(dataset, "train", training=True)
    for batch in feed.epochs(plan.recipe.batch_size, seed=0, stop=STEPS).take(STEPS):
        network.train_on_batch(*(batch if isinstance(batch, tuple) else (batch,)))
    with averaged.swapped():
        return [np.asarray(v) for v in network.trainable_variables]


@pytest.fixture(scope="module")
def plain():
    weights = {}
    return lambda model: weights[model] if model in weights else weights.setdefault(model, train(model, {}))


def assert_changes(model, field, value, plain):
    try:
        changed = train(model, {f"recipe.{field}": value})
    except UsageError as error:
        message = str(error)
    else:
        message = ""
    if message:
        assert re.search(f"recipe.{field}.* no effect", message)
        return
    assert any(a.shape != b.shape or np.any(a != b) for a, b in zip(changed, plain, strict=True)), "no effect"


@pytest.mark.parametrize("field", first(sorted(OF_TASKS)))
@pytest.mark.parametrize(
    "model", only(MODELS, {"fashion_mnist"}, {*MODELS} - {"fashion_mnist", "bike_sharing", "dcgan"})
)
def test_a_setting_changes_the_training_or_is_refused(model, field, plain):
    assert_changes(model, field, OF_TASKS[field], plain(model))


@pytest.mark.parametrize("field", first(sorted(OF_OPTIMIZERS)))
def test_a_setting_of_the_optimizer_changes_the_training_or_is_refused(field, plain):
    assert_changes("admissions", field, OF_OPTIMIZERS[field], plain("admissions"))


def test_decay_of_a_schedule_that_has_it():
    assert make_plan("fashion_mnist", settings={"recipe.schedule": "step", "recipe.decay": 0.1}).recipe.decay == 0.1


def test_every_field_is_tested():
    assert {f.name for f in dataclasses.fields(Recipe)} == OF_TASKS.keys() | OF_OPTIMIZERS.keys() | OTHERS


def test_no_shipped_recipe_has_a_setting_without_effect():
    for name in zoo.list_models():
        spec = zoo.get_spec(name)
        for recipe in spec.recipes:
            for field in RECIPE_OF_TASKS - spec.task.supports:
                assert getattr(spec.recipe(recipe), field) == getattr(Recipe(), field), f"{name} {recipe} {field}"
