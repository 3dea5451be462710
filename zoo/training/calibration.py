"""Calibrated probabilities: temperature scaling and the correction of class weights, folded into the last layer.

References: Guo, Pleiss, Sun, Weinberger 2017, arXiv:1706.04599 (temperature scaling); Saerens, Latinne, Decaestecker
2002, doi:10.1162/089976602753284446 (correction of the class frequencies).
"""

from __future__ import annotations

import keras
import numpy as np

from pipelines.feeding import Feed

BATCH = 64
LEAST = 50  # examples: a temperature of fewer is noise
TEMPERATURES = (0.1, 10.0)  # between which the temperature is sought


def calibrate(
    model: keras.Model, validation: Feed, weights: np.ndarray | None = None, layer: str = "logits"
) -> dict[str, float]:
    """Change the last layer of a classifier so that its probabilities are calibrated on validation."""
    # The logits are divided by the temperature with the lowest cross-entropy. A training with class weights ends with
    # the probabilities of a population in which each class has its weight: the logarithms of the weights are
    # subtracted, after which they are those of the data again. Of few examples no temperature is sought, and nothing
    # is changed that does not lower the cross-entropy. Returns {"temperature", "before", "after"}, the last two
    # cross-entropies in nats.
    from scipy.optimize import minimize_scalar

    batches = [(model(x, training=False), y) for x, y, *_ in validation.batches(BATCH)]
    logits = np.concatenate([np.asarray(values, np.float64) for values, _ in batches])
    labels = np.concatenate([np.asarray(y) for _, y in batches])
    weights = np.ones(logits.shape[-1]) if weights is None else weights
    shift = -np.log(np.where(weights > 0, weights, 1.0))  # 0: a class without training examples

    def cross_entropy(values: np.ndarray) -> float:
        values = values - values.max(axis=-1, keepdims=True)
        return float(np.mean(np.log(np.exp(values).sum(axis=-1)) - values[np.arange(len(labels)), labels]))

    temperature, before = 1.0, cross_entropy(logits)
    if len(labels) >= LEAST:
        result = minimize_scalar(
            lambda logarithm: cross_entropy(logits / np.exp(logarithm) + shift),
            bounds=np.log(TEMPERATURES),
            method="bounded",
        )
        temperature = float(np.exp(result.x))
    if (after := cross_entropy(logits / temperature + shift)) >= before:
        return {"temperature": 1.0, "before": before, "after": before}
    dense = model.get_layer(layer)
    dense.kernel.assign(np.asarray(dense.kernel) / temperature)
    dense.bias.assign(np.asarray(dense.bias) / temperature + shift)
    return {"temperature": temperature, "before": before, "after": after}
