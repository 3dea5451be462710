"""Training in phases from a pretrained backbone: the head on frozen features, then perhaps everything.

Each phase has a run folder of its own below `phases/`, so that a killed training goes on where it was.
"""

from __future__ import annotations

import dataclasses
import hashlib
from typing import TYPE_CHECKING

import keras
import numpy as np

from commandline.console import Console
from pipelines.augment import policies
from pipelines.sources.storage import cache_root
from zoo import weights
from zoo.core.environment import computing_in
from zoo.core.plan import Plan
from zoo.core.run_folder import Run
from zoo.modeling import backbones
from zoo.modeling.backbones import BACKBONE, EMBEDDING, HEAD, STANDARDISE
from zoo.training import feature_cache, fit
from zoo.training.callbacks import Keep, save_weights

if TYPE_CHECKING:
    from pipelines.dataset import Dataset
    from zoo.core.task import BaseTask, Phase

FITTED = ("train", "validation")


def train(plan: Plan, dataset: Dataset, run: Run, console: Console) -> Keep:
    """Train the phases of a task; arguments and result as of `trainer.train`, and the best phase is kept."""
    task, info = plan.task, dataset.info
    keras.utils.set_random_seed(plan.seed)
    with computing_in(plan.precision):
        model = plan.build(info)
    arguments = plan.arguments(info)
    _begin(model, plan, arguments["backbone"], console)
    console.print(task.describe_case(info, arguments))
    known = _features(model, plan, dataset, console)
    if task.baseline:
        _judge_baseline(plan, known, run, console)
    rows, best = [], None
    for phase in task.phases(plan.recipe, info):
        keep = _carry_out(phase, model, plan, dataset, known, run, console)
        rows += [{**row, "epoch": len(rows) + i} for i, row in enumerate(keep.rows, start=1)]
        if best is None or keep.best < best.best:
            keep.best_epoch += len(rows) - len(keep.rows)
            best = keep
            save_weights(model, run)
        else:
            console.print(f"phase {phase.name} did not lower the validation loss: what was before it is kept")
            model.load_weights(run.weights)
    best.rows = rows
    run.write_history(rows)
    return best


def _begin(model: keras.Model, plan: Plan, name: str, console: Console) -> None:
    """Give the model, whose backbone has this name, the weights that its training begins from."""
    backbone = backbones.get(name)
    if plan.init is not None:
        weights.load_into(model, plan.model, plan.init)
    elif not plan.task.pretrained or not backbone.origin:
        console.print(f"the backbone {name} begins from fresh weights, whose frozen features are poor")
    elif backbone.pretrain is not None:
        backbone.pretrain(model.get_layer(BACKBONE))


def _features(model: keras.Model, plan: Plan, dataset: Dataset, console: Console) -> dict[str, dict[str, np.ndarray]]:
    """Return the frozen features of each split, from the cache where they were computed before."""
    task: BaseTask = plan.task
    body = keras.Model(model.input, model.get_layer(EMBEDDING).output)
    words = policies.without_mixup(plan.recipe.augment)
    plain = dataclasses.replace(plan, recipe=dataclasses.replace(plan.recipe, augment=words))
    views = task.views if words != "none" else 1
    pixels = [task.height, task.width, task.channels, task.fit, task.balance]
    told = [dataset.info.to_json(), pixels, words, views, plan.seed, _digest(body)]
    folder = feature_cache.room(cache_root(plan.data["cache_dir"]) / "features", feature_cache.key(told))

    def made(split: str) -> dict[str, np.ndarray]:
        training = split == "train"
        feed = plain.feed(dataset, split, training=training)
        return feature_cache.compute(body, feed, views if training else 1, plan.seed, console, split)

    splits = ("train", "validation", "test") if task.baseline else ("train", "validation")
    return {split: feature_cache.remembered(folder / f"{split}.npz", lambda s=split: made(s)) for split in splits}


def _digest(body: keras.Model) -> str:
    digest = hashlib.sha256()
    for variable in body.weights:
        digest.update(variable.path.encode() + np.asarray(variable).tobytes())
    return digest.hexdigest()


def _judge_baseline(plan: Plan, known: dict[str, dict[str, np.ndarray]], run: Run, console: Console) -> None:
    if not (run.path / "baseline.json").is_file():
        accuracy = feature_cache.logistic_regression(known["train"], known["test"])
        run.write("baseline.json", {"logistic_regression_on_frozen_features": {"accuracy": accuracy}})
    accuracy = run.read("baseline.json")["logistic_regression_on_frozen_features"]["accuracy"]
    console.print(f"baseline: a logistic regression on the frozen features has a test accuracy of {accuracy:.4f}")


def _carry_out(
    phase: Phase,
    model: keras.Model,
    plan: Plan,
    dataset: Dataset,
    known: dict[str, dict[str, np.ndarray]],
    run: Run,
    console: Console,
) -> Keep:
    """Train one phase; afterwards the model has its best weights."""
    inner = Run(run.path / "phases" / phase.name)
    inner.path.mkdir(parents=True, exist_ok=True)
    planned = dataclasses.replace(plan, recipe=phase.recipe)
    console.print(f"phase {phase.name}: {phase.recipe.epochs} epochs")
    if phase.frozen:
        trained, feeds = _head(model, known["train"]["embedding"]), [feature_cache.as_feed(known[s]) for s in FITTED]
    else:
        _unfreeze(model, phase.statistics)
        trained, feeds = model, [planned.feed(dataset, s, training=s == "train") for s in FITTED]
    keep = fit.fit(trained, planned, dataset.info, *feeds, inner, console)
    trained.load_weights(inner.weights)
    return keep


def _head(model: keras.Model, embedding: np.ndarray) -> keras.Model:
    """Return the layers above the embedding as a model that shares them, standardised by the training pictures."""
    standardise = model.get_layer(STANDARDISE)
    variance = embedding.var(axis=(0, 1), dtype=np.float64)
    standardise.moving_mean.assign(embedding.mean(axis=(0, 1), dtype=np.float64))
    # Networks differ in scale, so the floor is relative: what hardly ever varied must not be blown up by a new picture.
    standardise.moving_variance.assign(np.maximum(variance, 1e-3 * (variance.mean() or 1.0)))
    standardise.trainable = False  # its statistics are exact: batches would only blur them
    x = start = keras.Input(embedding.shape[-1:], name=EMBEDDING)
    for name in HEAD:
        x = model.get_layer(name)(x)
    return keras.Model(start, x, name="head")


def _unfreeze(model: keras.Model, statistics: bool) -> None:
    model.trainable = True
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = statistics and layer.name != STANDARDISE
