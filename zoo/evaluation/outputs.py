"""Outputs of a model for a whole feed, computed through the endpoints of its contract."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines import splits
from zoo.core.capabilities import reduction
from zoo.core.task import SplitEvaluation

if TYPE_CHECKING:
    import keras

    from export.contract import Contract, Endpoint
    from pipelines.dataset import Dataset, Info
    from pipelines.feeding import Feed
    from zoo.core.plan import Plan


Call = Callable[[dict[str, Any]], dict[str, Any]]  # tensors by name


def by_name(x: Any, endpoint: Endpoint) -> dict[str, Any]:
    """Return the x of a feed as {input name: value} for the inputs of the endpoint."""
    return {t.name: x[t.name] for t in endpoint.inputs} if isinstance(x, Mapping) else {endpoint.inputs[0].name: x}


BATCH = 256
LARGEST_BATCH = 2**23  # bytes of the outputs of a batch


def collect(
    endpoint: Endpoint,
    feed: Feed,
    info: Info,
    reduce: Callable[[SplitEvaluation], SplitEvaluation] = lambda batch: batch,
    share: Callable[[Call], Call] = lambda call: call,
) -> SplitEvaluation:
    """Run the live model over a feed, in float32 and inference mode; `reduce` is what is kept of each batch."""
    import tensorflow as tf

    dtypes = {t.name: t.dtype for t in endpoint.inputs}
    call: Callable = tf.function(
        lambda inputs: endpoint.call({k: tf.cast(v, dtypes[k]) for k, v in inputs.items()}), reduce_retracing=True
    )
    call = share(call)
    batches = []
    for x, y, *_ in feed.batches(min(BATCH, examples_within(LARGEST_BATCH, endpoint))):
        tensors = by_name(x, endpoint)
        inputs, outputs = ({k: v.numpy() for k, v in part.items()} for part in (tensors, call(tensors)))
        batches.append(reduce(SplitEvaluation(inputs, outputs, y.numpy(), info)))
    inputs, outputs = (_concatenate([getattr(batch, part) for batch in batches]) for part in ("inputs", "outputs"))
    return SplitEvaluation(inputs, outputs, np.concatenate([batch.truth for batch in batches]), info)


def examples_within(size: int, endpoint: Endpoint) -> int:
    """Return the number of examples, at least one, whose outputs have `size` bytes: few, if every pixel has one."""
    shapes = [t.shape[1:] for t in endpoint.outputs if None not in t.shape[1:]]
    return max(1, size // max(1, 4 * sum(math.prod(shape) for shape in shapes)))


def inputs_and_truth(endpoint: Endpoint, feed: Feed) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return the inputs of an endpoint by name, and the truth, of all examples of a feed."""
    batches = [(by_name(x, endpoint), y.numpy()) for x, y, *_ in feed.batches(BATCH)]
    inputs = _concatenate([{k: v.numpy() for k, v in x.items()} for x, _ in batches])
    return inputs, np.concatenate([y for _, y in batches])


def collect_all(
    contracts: Mapping[str, Contract],
    feed: Feed,
    info: Info,
    reduce: Callable[[SplitEvaluation], SplitEvaluation] = lambda batch: batch,
    share: Callable[[Call], Call] = lambda call: call,
) -> SplitEvaluation:
    """Run every served model of a task over a feed; the inputs and outputs of several models are merged."""
    served = [contract["serving_default"] for contract in contracts.values()]
    first, *others = [collect(endpoint, feed, info, reduce, share) for endpoint in served]
    for other in others:
        first = dataclasses.replace(
            first, inputs={**first.inputs, **other.inputs}, outputs={**first.outputs, **other.outputs}
        )
    return first


def of_split(
    plan: Plan, model: keras.Model, dataset: Dataset, split: str, share: Callable[[Call], Call] = lambda call: call
) -> SplitEvaluation:
    """Return the outputs and the truth of a split, or what the task keeps of them, without metrics."""
    contracts = {name: plan.task.contract(served, dataset.info) for name, served in plan.task.served(model).items()}
    evaluation = collect_all(contracts, plan.feed(dataset, split), dataset.info, reduction(plan.task), share)
    groups = splits.groups_of(dataset, split)
    return dataclasses.replace(evaluation, groups=groups if groups is None else groups[: len(evaluation.truth)])


def merge_contracts(contracts: Mapping[str, Contract]) -> Contract:
    """Return the contract of a single served model, or for several one whose endpoints have the names of the models."""
    if len(contracts) == 1:
        return next(iter(contracts.values()))
    endpoints = [dataclasses.replace(c["serving_default"], name=name) for name, c in contracts.items()]
    return dataclasses.replace(next(iter(contracts.values())), endpoints=tuple(endpoints))


def caller(contract: Contract) -> Callable[[str, Mapping[str, Any]], dict[str, np.ndarray]]:
    """Return the live model as (endpoint name, arrays by input name) -> arrays by output name."""
    import tensorflow as tf

    functions = {e.name: tf.function(e.call, reduce_retracing=True, autograph=False) for e in contract.endpoints}

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
