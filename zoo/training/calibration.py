"""Calibrated probabilities: temperature scaling and the correction of class weights, folded into the last layer.

References: Guo, Pleiss, Sun, Weinberger 2017, arXiv:1706.04599 (temperature scaling); Saerens, Latinne, Decaestecker
2002, doi:10.1162/089976602753284446 (correction of the class frequencies).
"""

from typing import Any

import keras
import numpy as np

from pipelines import splits
from pipelines.dataset import Info
from pipelines.feeding import Feed
from zoo.candidates.linear import cross_entropy
from zoo.core.capabilities import Classifies, Phased
from zoo.core.plan import Plan
from zoo.core.weight_files import save_file
from zoo.training.session import Session

BATCH = 64
LEAST = 50  # examples: a temperature of fewer is noise
TEMPERATURES = (0.1, 10.0)  # between which the temperature is sought


def calibrate_best(session: Session) -> None:
    """Calibrate the best weights of a classifier that was trained without phases."""
    # Not those of a network for integers, whose ranges a temperature would change, nor of a candidate that was fitted.
    plan = session.folder.plan()
    if plan.recipe.qat != "none" or plan.selected or isinstance(plan.task, Phased):
        return
    if not isinstance(plan.task, Classifies) or not has_logits(plan, model := session.folder.model(), session.info):
        return
    groups = splits.groups_of(session.dataset, "validation")
    result = calibrate(model, plan.feed(session.dataset, "validation"), groups=groups)
    if result["after"] < result["before"]:
        save_file(model, session.folder.weights)
    session.console.print(describe(result))


def has_logits(plan: Plan, model: keras.Model, info: Info) -> bool:
    """Whether a model returns the logits of the classes of its data, (B, classes)."""
    (output, *_) = plan.task.contract(model, info)["serving_default"].outputs
    return output.meaning == "logits" and output.shape == (None, info.num_classes)


def describe(result: dict[str, float]) -> str:
    """Return what `calibrate` did as a sentence."""
    if result["after"] >= result["before"]:
        return "not calibrated: it would not lower the cross-entropy of held-out validation, or that is too small"
    change = "cross-entropy of held-out validation {before:.4f} to {after:.4f}".format(**result)
    return f"calibrated: temperature {result['temperature']:.3f}, {change}"


def calibrate(
    model: keras.Model, validation: Feed, weights: np.ndarray | None = None, groups: np.ndarray | None = None
) -> dict[str, float]:
    """Change the last layer of a classifier so that its probabilities are calibrated on validation."""
    # The logits are divided by the temperature with the lowest cross-entropy. A training with class weights ends with
    # the probabilities of a population in which each class has its weight: the logarithms of the weights are
    # subtracted, after which they are those of the data again. Nothing is changed that does not lower the cross-entropy
    # of each half of validation, of whole groups, by the temperature of the other half; of few examples none is sought.
    # Returns {"temperature", "before", "after"}, the last two such cross-entropies in nats.
    batches = [(np.asarray(model.predict_on_batch(x), np.float64), y) for x, y, *_ in validation.batches(BATCH)]
    logits, labels = (np.concatenate(part) for part in zip(*batches, strict=True))
    weights = np.ones(logits.shape[-1]) if weights is None else weights
    shift = -np.log(np.where(weights > 0, weights, 1.0))  # 0: a class without training examples
    before, temperature = float(cross_entropy(logits, labels).mean()), 1.0
    after = float(cross_entropy(logits + shift, labels).mean())
    if len(labels) >= LEAST:
        _, group = np.unique(np.arange(len(labels)) if groups is None else groups, return_inverse=True)
        first = (np.random.default_rng(0).permutation(group.max() + 1) % 2 == 0)[group]
        held_out = [
            cross_entropy(logits[~half] / _temperature(logits[half], labels[half], shift) + shift, labels[~half])
            for half in (first, ~first)
            if half.any() and not half.all()
        ]
        if held_out and (lower := float(np.concatenate(held_out).mean())) < after:
            temperature, after = _temperature(logits, labels, shift), lower
    result = {"temperature": temperature, "before": before, "after": after}
    if after < before and _divide(model, temperature, shift, logits[:BATCH], next(iter(validation.batches(BATCH)))[0]):
        return result
    return {"temperature": 1.0, "before": before, "after": before}


def _temperature(logits: np.ndarray, labels: np.ndarray, shift: np.ndarray) -> float:
    """Return the temperature with the lowest cross-entropy."""
    from scipy.optimize import minimize_scalar

    bounds = np.log(TEMPERATURES)
    loss = lambda logarithm: cross_entropy(logits / np.exp(logarithm) + shift, labels).mean()  # noqa: E731
    return float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x))


def _divide(model: keras.Model, temperature: float, shift: np.ndarray, logits: np.ndarray, x: Any) -> bool:
    """Divide the logits of a model, those of a batch `x`, and add a shift; False where no linear layer has them."""
    layers = [layer for layer in model._flatten_layers(include_self=False) if _has_logits(layer, logits.shape[-1])]
    saved = [(variable, np.asarray(variable)) for layer in layers for variable in layer.trainable_variables]
    for variable, value in saved:
        variable.assign(value / temperature)
    if layers and shift.any():
        layers[-1].bias.assign(np.asarray(layers[-1].bias) + shift)
    is_divided = np.allclose(model.predict_on_batch(x), logits / temperature + shift, rtol=1e-3, atol=1e-3)
    if not is_divided:  # a layer that only looks like the last one, or trees
        for variable, value in saved:
            variable.assign(value)
    return is_divided


def _has_logits(layer: keras.layers.Layer, classes: int) -> bool:
    is_linear = isinstance(layer, keras.layers.Dense) and layer.activation is keras.activations.linear
    return (is_linear and layer.units == classes) or getattr(layer, "has_logits", False)
