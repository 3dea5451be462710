"""Training in phases from a pretrained backbone: the head on frozen features, then optionally all layers.

Each phase has its own run folder below `phases/`, so that an interrupted training can be resumed.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import keras
import numpy as np

from pipelines.augment import policies
from zoo import weights
from zoo.core.environment import dtype_policy
from zoo.core.plan import Plan
from zoo.core.weight_files import save_file
from zoo.modeling import backbones
from zoo.modeling.backbones import BACKBONE, EMBEDDING, HEAD, STANDARDISE
from zoo.training import feature_cache, fit
from zoo.training.callbacks import CheckpointCallback
from zoo.training.session import Session
from zoobase.console import Console
from zoobase.files import cache_root

if TYPE_CHECKING:
    from pipelines.dataset import Info
    from zoo.core.recipe import Recipe
    from zoo.core.task import Phase

FIT_SPLITS = ("train", "validation")


class PhasedTask(Protocol):
    """A task whose models are a head on a backbone: what a training in phases needs of it, beside `BaseTask`.

    Attributes:
        baseline: Whether a logistic regression on the frozen features is evaluated.
        views: Number of views of each training image, if they are augmented.
        pretrained: Whether the backbone starts from its pretrained weights.
        fit: How images get the size of the model.
        balance: Whether classes have weights.
    """

    baseline: bool
    views: int
    pretrained: bool
    fit: str
    balance: bool

    def phases(self, recipe: Recipe, info: Info) -> tuple[Phase, ...]:
        """Return the phases in order."""

    def shape(self, info: Info) -> tuple[int, ...]:
        """Return (height, width, channels) of the model's images."""

    def describe_case(self, info: Info, arguments: Mapping[str, Any]) -> str:
        """Return one sentence about the use of the backbone for this data."""


def train(session: Session) -> CheckpointCallback:
    """Train the phases of a task; the result is that of `trainer.train`, the weights those of the best phase."""
    plan, console, folder, info = session.plan, session.console, session.folder, session.info
    task: PhasedTask = plan.task
    keras.utils.set_random_seed(plan.seed)
    with dtype_policy(plan.precision):
        model = plan.build(info)
    arguments = plan.arguments(info)
    load_initial_weights(model, plan, arguments["backbone"], console)
    console.print(task.describe_case(info, arguments))
    features = _features(model, session)
    if task.baseline:
        _evaluate_baseline(features, session)
    rows, best = [], None
    for phase in task.phases(plan.recipe, info):
        result = _train_phase(phase, model, session, features)
        rows += [{**row, "epoch": len(rows) + i} for i, row in enumerate(result.rows, start=1)]
        if best is None or result.best < best.best:
            result.best_epoch += len(rows) - len(result.rows)
            best = result
            save_file(model, folder.weights)
        else:
            console.print(f"phase {phase.name} did not lower the validation loss: the previous weights are kept")
            model.load_weights(folder.weights)
    best.rows = rows
    folder.write_history(rows)
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


def _features(model: keras.Model, session: Session) -> dict[str, dict[str, np.ndarray]]:
    """Return the frozen features of each split, from the cache if they were computed before."""
    plan, info = session.plan, session.info
    task: PhasedTask = plan.task
    body = keras.Model(model.input, model.get_layer(EMBEDDING).output)
    policy = policies.without_mixup(plan.recipe.augment)
    plain = dataclasses.replace(plan, recipe=dataclasses.replace(plan.recipe, augment=policy))
    views = task.views if policy != "none" else 1
    pixels = [*task.shape(info), task.fit, task.balance]
    settings = [info.to_json(), pixels, policy, views, plan.seed, _digest(body)]
    folder = feature_cache.cache_folder(cache_root(plan.data["cache_dir"]) / "features", feature_cache.key(settings))

    def compute(split: str) -> dict[str, np.ndarray]:
        training = split == "train"
        feed = plain.feed(session.dataset, split, training=training)
        return feature_cache.compute(body, feed, views if training else 1, plan.seed, session.console, split)

    splits = ("train", "validation", "test") if task.baseline else FIT_SPLITS
    return {s: feature_cache.load_or_compute(folder / f"{s}.npz", lambda s=s: compute(s)) for s in splits}


def _digest(body: keras.Model) -> str:
    digest = hashlib.sha256()
    for variable in body.weights:
        digest.update(variable.path.encode() + np.asarray(variable).tobytes())
    return digest.hexdigest()


def _evaluate_baseline(features: dict[str, dict[str, np.ndarray]], session: Session) -> None:
    folder = session.folder
    if not (folder.path / "baseline.json").is_file():
        accuracy = feature_cache.logistic_regression(features)
        folder.write("baseline.json", {"logistic_regression_on_frozen_features": {"accuracy": accuracy}})
    accuracy = folder.read("baseline.json")["logistic_regression_on_frozen_features"]["accuracy"]
    session.console.print(f"baseline: test accuracy {accuracy:.4f} of a logistic regression on the frozen features")


def _train_phase(
    phase: Phase, model: keras.Model, session: Session, features: dict[str, dict[str, np.ndarray]]
) -> CheckpointCallback:
    """Train one phase; the model then has the best weights of the phase."""
    inner = session.inner(f"phases/{phase.name}", dataclasses.replace(session.plan, recipe=phase.recipe))
    session.console.print(f"phase {phase.name}: {phase.recipe.epochs} epochs")
    if phase.frozen:
        trained = _head(model, features["train"]["embedding"])
        feeds = [feature_cache.as_feed(features[s]) for s in FIT_SPLITS]
    else:
        _unfreeze(model, phase.statistics)
        trained, feeds = model, [inner.plan.feed(session.dataset, s, training=s == "train") for s in FIT_SPLITS]
    result = fit.fit(trained, inner, *feeds)
    trained.load_weights(inner.folder.weights)
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
