"""Training in phases from a pretrained backbone: the head on frozen features, then optionally all layers.

Each phase has its own run folder below `phases/`, so that an interrupted training can be resumed.
"""

import contextlib
import dataclasses
import hashlib
import io
import json
import os
import shutil
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf

from pipelines import feeding, splits, stateless_random
from pipelines.augment import policies
from pipelines.dataset import Info
from pipelines.feeding import Feed
from pipelines.sources.storage import preparing
from zoo import weights
from zoo.candidates import linear, selection
from zoo.candidates.selection import NETWORK
from zoo.core.capabilities import DescribesData, Phased
from zoo.core.environment import dtype_policy
from zoo.core.plan import Plan
from zoo.core.run_folder import BASELINES
from zoo.core.task import Phase, SplitEvaluation
from zoo.core.weight_files import save_file
from zoo.evaluation import outputs
from zoo.modeling.backbones import BACKBONE, EMBEDDING, HEAD, STANDARDISE, Backbone
from zoo.training import calibration
from zoo.training.callbacks import CheckpointCallback
from zoo.training.session import Session
from zoobase.console import Console
from zoobase.files import cache_root, write_atomic

FIT_SPLITS = ("train", "validation")
BATCH = 32
LINEAR = "logistic regression on frozen features"
MAX_ENTRIES = 8  # folders of features in the cache
_VIEW_STREAM = 0x7EA7  # id of the random stream that selects the view of an example in an epoch

Fit = Callable[..., CheckpointCallback]  # `trainer.fit`


class PhasedTask(Phased, DescribesData, Protocol):
    """A task whose models are a head on a backbone: what a training in phases needs of it, beside `BaseTask`."""

    baseline: bool  # whether a logistic regression on the frozen features is evaluated
    calibrated: bool  # whether the probabilities are calibrated on validation
    views: int  # of each training image, if they are augmented
    pretrained: bool  # whether the backbone starts from its pretrained weights

    def backbone(self, name: str) -> Backbone:
        """Return a backbone by name; UsageError for an unknown one."""

    def feature_settings(self, info: Info) -> list[Any]:
        """Return what determines the inputs of the backbone and the weights of the examples, beside the data."""

    def class_weights(self, info: Info) -> np.ndarray | None:
        """Return the weights of the classes (classes,), or None."""


def train(session: Session, fit: Fit) -> CheckpointCallback:
    """Train the phases of a task by `trainer.fit`; the result is that of `trainer.train`, of the best phase."""
    plan, console, folder, info = session.plan, session.console, session.folder, session.info
    task: PhasedTask = plan.task
    keras.utils.set_random_seed(plan.seed)
    with dtype_policy(plan.precision):
        model = plan.build(info)
    arguments = plan.arguments(info)
    load_initial_weights(model, plan, arguments["backbone"], console)
    console.print(task.describe_case(info, arguments))
    features = _features(model, session)
    start = time.monotonic()
    probe, evaluation = _logistic_regression(model, features, session) if task.baseline else (None, None)
    probe_seconds = time.monotonic() - start
    rows, best = [], None
    for phase in task.phases(plan.recipe, info):
        result = _train_phase(phase, model, session, features, fit)
        rows += [{**row, "epoch": len(rows) + i} for i, row in enumerate(result.rows, start=1)]
        if best is None or result.best < best.best:
            result.best_epoch += len(rows) - len(result.rows)
            best = result
            save_file(model, folder.weights)
        else:
            console.print(f"phase {phase.name} did not lower the validation loss: the previous weights are kept")
            model.load_weights(folder.weights)
    if task.calibrated:
        groups = splits.groups_of(session.dataset, "validation")
        validation, weights_of_classes = plan.feed(session.dataset, "validation"), task.class_weights(info)
        console.print(calibration.describe(calibration.calibrate(model, validation, weights_of_classes, groups)))
        save_file(model, folder.weights)
    if probe is not None:
        trained = outputs.of_split(plan, model, session.dataset, "validation")
        spent = time.monotonic() - start
        trials = [
            selection.trial("linear", LINEAR, probe_seconds, task, evaluation),
            selection.trial(NETWORK, plan.model, spent - probe_seconds, task, trained),
        ]
        if selection.write(trials, folder, console, errors=0.0) == 0:
            model.set_weights(probe)
            save_file(model, folder.weights)
            best.best_epoch = 0
    best.rows = rows
    folder.write_history(rows)
    return best


def load_initial_weights(model: keras.Model, plan: Plan, name: str, console: Console) -> None:
    """Load the initial weights into a model on the backbone `name`: those of `--init`, or pretrained ones."""
    backbone = plan.task.backbone(name)
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
    settings = [info.to_json(), task.feature_settings(info), policy, views, plan.seed, _digest(body)]
    key = hashlib.sha256(json.dumps(settings, sort_keys=True, default=list).encode()).hexdigest()[:20]
    folder = cache_folder(cache_root(plan.data["cache_dir"]) / "features", key)

    def compute(split: str) -> dict[str, np.ndarray]:
        training = split == "train"
        feed = plain.feed(session.dataset, split, training=training)
        return compute_features(body, feed, views if training else 1, plan.seed, session.console, split)

    splits = ("train", "validation", "test") if task.baseline else FIT_SPLITS
    return {s: load_or_compute(folder / f"{s}.npz", lambda s=s: compute(s)) for s in splits}


def _digest(body: keras.Model) -> str:
    digest = hashlib.sha256()
    for variable in body.weights:
        digest.update(variable.path.encode() + np.asarray(variable).tobytes())
    return digest.hexdigest()


def _logistic_regression(
    model: keras.Model, features: dict[str, dict[str, np.ndarray]], session: Session
) -> tuple[list[np.ndarray], SplitEvaluation]:
    """Return the weights of a model whose head is logistic regression on frozen features, and its outputs."""
    # Its logits for the test images are written for the evaluation, which compares them with the model.
    feature, label = ({s: part[name] for s, part in features.items()} for name in ("embedding", "label"))
    plain = {s: values[:, 0].astype(np.float64) for s, values in feature.items()}
    count = len(plain["train"])
    subset = np.unique(np.linspace(0, count - 1, linear.LARGEST).astype(int)) if count > linear.LARGEST else slice(None)
    kernel, bias = linear.logistic_regression(
        *(plain["train"][subset], label["train"][subset], session.info.num_classes),
        *((plain["validation"], label["validation"]), linear.has_groups(session.plan)),
    )
    logits = plain["test"] @ kernel + bias
    session.folder.write(BASELINES, {LINEAR: {"logits": logits.round(4).tolist()}})
    head, before = _head(model, feature["train"]), model.get_weights()
    standardise, dense = (model.get_layer(name) for name in (STANDARDISE, HEAD[-1]))
    mean = np.asarray(standardise.moving_mean, np.float64)
    scale = np.sqrt(np.asarray(standardise.moving_variance, np.float64) + standardise.epsilon)
    dense.kernel.assign(kernel * scale[:, None])
    dense.bias.assign(bias + mean @ kernel)
    if session.plan.task.calibrated:
        calibration.calibrate(head, as_feed(features["validation"]))
    logits = head.predict(plain["validation"].astype(np.float32), verbose=0)
    evaluation = SplitEvaluation({}, {"logits": logits}, label["validation"], session.info, split="validation")
    fitted = model.get_weights()
    model.set_weights(before)
    return fitted, evaluation


def _train_phase(
    phase: Phase, model: keras.Model, session: Session, features: dict[str, dict[str, np.ndarray]], fit: Fit
) -> CheckpointCallback:
    """Train one phase; the model then has the best weights of the phase."""
    inner = session.inner(f"phases/{phase.name}", dataclasses.replace(session.plan, recipe=phase.recipe))
    session.console.print(f"phase {phase.name}: {phase.recipe.epochs} epochs")
    if phase.frozen:
        trained = _head(model, features["train"]["embedding"])
        feeds = [as_feed(features[s]) for s in FIT_SPLITS]
    else:
        _unfreeze(model, phase.statistics)
        trained, feeds = model, [inner.plan.feed(session.dataset, s, training=s == "train") for s in FIT_SPLITS]
    result = fit(trained, inner, *feeds)
    trained.load_weights(inner.folder.weights)
    return result


def _head(model: keras.Model, embedding: np.ndarray) -> keras.Model:
    """Return the layers above the embedding as a model, which shares them, standardised by the training features."""
    standardise = model.get_layer(STANDARDISE)
    variance = embedding.var(axis=(0, 1), dtype=np.float64)
    standardise.moving_mean.assign(embedding.mean(axis=(0, 1), dtype=np.float64))
    # A feature that is almost constant in training must not be amplified later; relative, as scales of networks differ.
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


# === Features of the frozen backbone: computed once, used in every epoch ===


def compute_features(
    body: keras.Model, feed: Feed, views: int, seed: int, console: Console, split: str = "train"
) -> dict[str, np.ndarray]:
    """Compute the features float32 (N, views, D) of every example of a feed, with "label" and "weight"."""
    # The first view is the example itself, the others are augmented.
    dtype = body.input.dtype
    call = tf.function(lambda inputs: body(tf.cast(inputs, dtype), training=False), reduce_retracing=True)
    columns: list[np.ndarray] = []
    rest: list[Any] = []
    for view in range(views):
        source = feed.batches(BATCH, seed=seed, epoch=view, augmented=view > 0)
        batches = []
        for batch in source:
            batches.append(call(batch[0]).numpy())
            if view == 0:
                rest.append([part.numpy() for part in batch[1:]])
        columns.append(np.concatenate(batches))
        console.print(f"frozen features of {feed.count:,} {split} examples: {view + 1} of {views} views")
    joined = [np.concatenate(parts) for parts in zip(*rest, strict=True)]
    return {"embedding": np.stack(columns, axis=1), **dict(zip(("label", "weight"), joined, strict=False))}


def load_or_compute(path: Path, compute: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Return the arrays of an .npz file; if it is missing or damaged, compute and write them."""
    with preparing(path.parent):
        with (
            contextlib.suppress(OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile),
            np.load(path, allow_pickle=False) as archive,
        ):
            return {name: archive[name] for name in archive.files}
        arrays = compute()
        content = io.BytesIO()
        np.savez(content, **arrays)
        write_atomic(path, content.getvalue())
        return arrays


def cache_folder(root: Path, name: str) -> Path:
    """Return the folder of one key, created if necessary; the oldest folders beyond `MAX_ENTRIES` are removed."""
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    os.utime(folder)
    for old in sorted(root.iterdir(), key=lambda path: path.stat().st_mtime)[:-MAX_ENTRIES]:
        shutil.rmtree(old, ignore_errors=True)
    return folder


def as_feed(arrays: dict[str, np.ndarray]) -> Feed:
    """Return a feed of (embedding (D,), label[, weight]) with one random view of each example per epoch."""
    views = arrays["embedding"].shape[1]
    rows = tuple(arrays[name] for name in ("embedding", "label", "weight") if name in arrays)

    def choose(batch: tuple[Any, ...], keys: tf.Tensor) -> tuple[Any, ...]:
        view = stateless_random.integers(keys, _VIEW_STREAM, 1, 0, views - 1)[:, 0]
        return tf.gather(batch[0], view, batch_dims=1), *batch[1:]

    return feeding.feed(tf.data.Dataset.from_tensor_slices(rows), augment=choose, cache="memory")
