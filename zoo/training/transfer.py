"""Training in phases from a pretrained backbone: the head on frozen features, then optionally all layers.

Each phase has its own run folder below `phases/`, so that an interrupted training can be resumed.
"""

from __future__ import annotations

import dataclasses
import hashlib
from typing import TYPE_CHECKING

import keras
import numpy as np

from pipelines.augment import policies
from zoo import weights
from zoo.core.environment import dtype_policy
from zoo.core.plan import Plan
from zoo.core.run_folder import Run
from zoo.core.weight_files import save_file
from zoo.modeling import backbones
from zoo.modeling.backbones import BACKBONE, EMBEDDING, HEAD, STANDARDISE
from zoo.training import feature_cache, fit
from zoo.training.callbacks import CheckpointCallback
from zoo.training.user_objects import UserObjects
from zoobase.console import Console
from zoobase.files import cache_root

if TYPE_CHECKING:
    from pipelines.dataset import Dataset
    from zoo.core.task import BaseTask, Phase

FIT_SPLITS = ("train", "validation")


def train(plan: Plan, dataset: Dataset, run: Run, console: Console, objects: UserObjects) -> CheckpointCallback:
    """Train the phases of a task; arguments and result are those of `trainer.train`, the weights those of the best."""
    task, info = plan.task, dataset.info
    keras.utils.set_random_seed(plan.seed)
    with dtype_policy(plan.precision):
        model = plan.build(info)
    arguments = plan.arguments(info)
    load_initial_weights(model, plan, arguments["backbone"], console)
    console.print(task.describe_case(info, arguments))
    features = _features(model, plan, dataset, console)
    if task.baseline:
        _evaluate_baseline(features, run, console)
    rows, best = [], None
    for phase in task.phases(plan.recipe, info):
        result = _train_phase(phase, model, plan, dataset, features, run, console, objects)
        rows += [{**row, "epoch": len(rows) + i} for i, row in enumerate(result.rows, start=1)]
        if best is None or result.best < best.best:
            result.best_epoch += len(rows) - len(result.rows)
            best = result
            save_file(model, run.weights)
        else:
            console.print(f"phase {phase.name} did not lower the validation loss: the previous weights are kept")
            model.load_weights(run.weights)
    best.rows = rows
    run.write_history(rows)
    return best


def load_initial_weights(model: keras.Model, plan: Plan, name: str, console: Console) -> None:
    """Load the initial weights into a model on the backbone `name`: those of `--init`, or pretrained ones."""
    backbone = backbones.get(name)
    if plan.init is not None:
        weights.load_into(model, plan.model, plan.init)
    elif not plan.task.pretrained or not backbone.origin:
        console.print(f"the backbone {name} has random initial weights, whose frozen features are poor")
    elif backbone.pretrain is not None:
        backbone.pretrain(model.get_layer(BACKBONE))


def _features(model: keras.Model, plan: Plan, dataset: Dataset, console: Console) -> dict[str, dict[str, np.ndarray]]:
    """Return the frozen features of each split, from the cache if they were computed before."""
    task: BaseTask = plan.task
    body = keras.Model(model.input, model.get_layer(EMBEDDING).output)
    policy = policies.without_mixup(plan.recipe.augment)
    plain = dataclasses.replace(plan, recipe=dataclasses.replace(plan.recipe, augment=policy))
    views = task.views if policy != "none" else 1
    pixels = [*task.shape(dataset.info), task.fit, task.balance]
    settings = [dataset.info.to_json(), pixels, policy, views, plan.seed, _digest(body)]
    folder = feature_cache.cache_folder(cache_root(plan.data["cache_dir"]) / "features", feature_cache.key(settings))

    def compute(split: str) -> dict[str, np.ndarray]:
        training = split == "train"
        feed = plain.feed(dataset, split, training=training)
        return feature_cache.compute(body, feed, views if training else 1, plan.seed, console, split)

    splits = ("train", "validation", "test") if task.baseline else ("train", "validation")
    return {s: feature_cache.load_or_compute(folder / f"{s}.npz", lambda s=s: compute(s)) for s in splits}


def _digest(body: keras.Model) -> str:
    digest = hashlib.sha256()
    for variable in body.weights:
        digest.update(variable.path.encode() + np.asarray(variable).tobytes())
    return digest.hexdigest()


def _evaluate_baseline(features: dict[str, dict[str, np.ndarray]], run: Run, console: Console) -> None:
    if not (run.path / "baseline.json").is_file():
        accuracy = feature_cache.logistic_regression(features)
        run.write("baseline.json", {"logistic_regression_on_frozen_features": {"accuracy": accuracy}})
    accuracy = run.read("baseline.json")["logistic_regression_on_frozen_features"]["accuracy"]
    console.print(f"baseline: test accuracy {accuracy:.4f} of a logistic regression on the frozen features")


def _train_phase(
    phase: Phase,
    model: keras.Model,
    plan: Plan,
    dataset: Dataset,
    features: dict[str, dict[str, np.ndarray]],
    run: Run,
    console: Console,
    objects: UserObjects,
) -> CheckpointCallback:
    """Train one phase; the model then has the best weights of the phase."""
    inner = Run(run.path / "phases" / phase.name)
    inner.path.mkdir(parents=True, exist_ok=True)
    planned = dataclasses.replace(plan, recipe=phase.recipe)
    console.print(f"phase {phase.name}: {phase.recipe.epochs} epochs")
    if phase.frozen:
        trained = _head(model, features["train"]["embedding"])
        feeds = [feature_cache.as_feed(features[s]) for s in FIT_SPLITS]
    else:
        _unfreeze(model, phase.statistics)
        trained, feeds = model, [planned.feed(dataset, s, training=s == "train") for s in FIT_SPLITS]
    result = fit.fit(trained, planned, dataset.info, *feeds, inner, console, objects)
    trained.load_weights(inner.weights)
    return result


def _head(model: keras.Model, embedding: np.ndarray) -> keras.Model:
    """Return the layers above the embedding as a model, which shares them, standardised by the training features."""
    standardise = model.get_layer(STANDARDISE)
    variance = embedding.var(axis=(0, 1), dtype=np.float64)
    standardise.moving_mean.assign(embedding.mean(axis=(0, 1), dtype=np.float64))
    # Lower bound of the variance, relative because networks differ in scale: a feature that is almost constant on the
    # training images must not be amplified for new ones.
    standardise.moving_variance.assign(np.maximum(variance, 1e-3 * (variance.mean() or 1.0)))
    standardise.trainable = False  # its statistics are exact; those of batches would be noisier
    x = start = keras.Input(embedding.shape[-1:], name=EMBEDDING)
    for name in HEAD:
        x = model.get_layer(name)(x)
    return keras.Model(start, x, name="head")


def _unfreeze(model: keras.Model, statistics: bool) -> None:
    model.trainable = True
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = statistics and layer.name != STANDARDISE
