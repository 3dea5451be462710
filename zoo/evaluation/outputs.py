"""Outputs of a model for a whole feed, computed through the endpoints of its contract."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from zoo.core.task import Evaluation

if TYPE_CHECKING:
    from export.contract import Contract, Endpoint
    from pipelines.dataset import Info
    from pipelines.feeding import Feed


def by_name(x: Any, endpoint: Endpoint) -> dict[str, Any]:
    """Return the x of a feed as {input name: value} for the inputs of the endpoint."""
    return {t.name: x[t.name] for t in endpoint.inputs} if isinstance(x, Mapping) else {endpoint.inputs[0].name: x}


def collect(endpoint: Endpoint, feed: Feed, info: Info, batch_size: int = 256) -> Evaluation:
    """Run the live model over a feed, in float32 and inference mode.

    Args:
        endpoint: Endpoint with its `call`.
        feed: Feed of (x, y); y is the truth.
        info: Info of the dataset.
        batch_size: Batch size.

    Returns:
        Inputs, outputs and truth as arrays of the feed's length, in order.
    """
    dtypes = {t.name: t.dtype for t in endpoint.inputs}
    call: Callable = tf.function(
        lambda inputs: endpoint.call({k: tf.cast(v, dtypes[k]) for k, v in inputs.items()}), reduce_retracing=True
    )
    inputs, outputs, truth = [], [], []
    for x, y, *_ in feed.batches(batch_size):
        tensors = by_name(x, endpoint)
        inputs.append({k: v.numpy() for k, v in tensors.items()})
        outputs.append({k: v.numpy() for k, v in call(tensors).items()})
        truth.append(y.numpy())
    return Evaluation(_concatenate(inputs), _concatenate(outputs), np.concatenate(truth), info)


def collect_all(contracts: Mapping[str, Contract], feed: Feed, info: Info) -> Evaluation:
    """Run every served model of a task over a feed; the inputs and outputs of several models are merged."""
    first, *others = [collect(contract["serving_default"], feed, info) for contract in contracts.values()]
    for other in others:
        first = dataclasses.replace(
            first, inputs={**first.inputs, **other.inputs}, outputs={**first.outputs, **other.outputs}
        )
    return first


def merge_contracts(contracts: Mapping[str, Contract]) -> Contract:
    """Return the contract of a single served model, or for several one whose endpoints have the names of the models."""
    if len(contracts) == 1:
        return next(iter(contracts.values()))
    endpoints = [dataclasses.replace(c["serving_default"], name=name) for name, c in contracts.items()]
    return dataclasses.replace(next(iter(contracts.values())), endpoints=tuple(endpoints))


def caller(contract: Contract) -> Callable[[str, Mapping[str, Any]], dict[str, np.ndarray]]:
    """Return the live model as (endpoint name, arrays by input name) -> arrays by output name."""
    functions = {e.name: tf.function(e.call, reduce_retracing=True) for e in contract.endpoints}

    def call(endpoint: str, inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
        tensors = {k: tf.constant(v) for k, v in cast_inputs(contract[endpoint], inputs).items()}
        return {k: v.numpy() for k, v in functions[endpoint](tensors).items()}

    return call


def samples(endpoint: Endpoint, feed: Feed, count: int, shuffled: bool = False) -> dict[str, np.ndarray]:
    """Return the inputs of `count` examples: the first ones, or shuffled ones, because classes may be sorted."""
    batches = feed.epochs(count, seed=0, stop=1) if shuffled else feed.take(count).batches(count)
    x = next(iter(batches))[0]
    return cast_inputs(endpoint, by_name(x, endpoint))


def cast_inputs(endpoint: Endpoint, inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return inputs as arrays of the endpoint's dtypes; strings are not converted."""
    dtypes = {t.name: t.dtype for t in endpoint.inputs}
    arrays = {k: np.asarray(v) for k, v in inputs.items()}
    return {k: v if dtypes[k] == "string" else v.astype(dtypes[k]) for k, v in arrays.items()}


def _concatenate(batches: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([b[name] for b in batches]) for name in batches[0]}
