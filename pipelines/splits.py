"""Split policies: the official split of a dataset, or percentages of its training set."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from pipelines.dataset import Dataset
from zoobase.errors import USAGE, DataError

if TYPE_CHECKING:
    import tensorflow as tf

BATCH = 1024  # examples that `limited` selects from at once


def percentages(policy: str) -> tuple[int, int, int] | None:
    """Read a split policy.

    Args:
        policy: "official", or three percentages such as "60/20/20" for train, validation and test.

    Returns:
        None for "official", else the three percentages.

    Raises:
        DataError: The policy is neither.

    Example:
        >>> percentages("60/20/20")
        (60, 20, 20)
    """
    if policy == "official":
        return None
    parts = policy.split("/")
    if len(parts) == 3 and all(part.isdecimal() and int(part) > 0 for part in parts) and sum(map(int, parts)) == 100:
        return tuple(map(int, parts))
    raise DataError(
        f'split "{policy}" is not "official" or three percentages that sum to 100, such as "60/20/20"', USAGE
    )


def bounds(policy: tuple[int, int, int], count: int) -> tuple[int, int]:
    """Return the start of validation and test if `count` examples are divided in order.

    Raises:
        DataError: A part would be empty.
    """
    first = count * policy[0] // 100
    second = count * (policy[0] + policy[1]) // 100
    if not 0 < first < second < count:
        raise DataError(f"{count} examples are too few to be split {'/'.join(map(str, policy))}", USAGE)
    return first, second


def limited(dataset: Dataset, limit: int) -> Dataset:
    """Return a dataset with at most `limit` examples of each split, in their order.

    The choice is random, the same in every call, and stratified by the feature `label` if there is one: every class
    keeps its share and at least one example. The statistics of `info` remain those of the whole training split.

    Args:
        dataset: The dataset.
        limit: Examples a split; 0 for all.

    Raises:
        DataError: `limit` is smaller than the number of classes.

    Example:
        >>> import pipelines
        >>> limited(pipelines.load("digits"), 50).info.counts
        {'train': 50, 'validation': 50, 'test': 50}
    """
    if not limit:
        return dataset
    classes = dataset.info.num_classes or 1
    if limit < classes:
        raise DataError(f"{limit} examples a split are too few for {classes} classes", USAGE)
    parts = {name: _subset(dataset[name], limit) for name in ("train", "validation", "test")}
    counts = {name: min(limit, count) for name, count in dataset.info.counts.items()}
    return Dataset(**parts, info=dataclasses.replace(dataset.info, counts=counts))


def _subset(split: tf.data.Dataset, limit: int) -> tf.data.Dataset:
    import tensorflow as tf

    size = BATCH if all(spec.shape.is_fully_defined() for spec in split.element_spec.values()) else 1
    batches = split.batch(size)

    def labels_of(batch: dict[str, tf.Tensor]) -> tf.Tensor:
        return batch.get("label", tf.zeros(tf.shape(next(iter(batch.values())))[0], tf.int64))

    def select(mask: tf.Tensor, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return {name: tf.boolean_mask(values, mask) for name, values in batch.items()}

    labels = np.concatenate([*batches.map(labels_of).as_numpy_iterator(), np.zeros(0, np.int64)])
    if len(labels) <= limit:
        return split
    mask = np.zeros(len(labels), bool)
    mask[stratified(labels, limit)] = True
    masks = tf.data.Dataset.from_tensor_slices(mask).batch(size)
    kept = tf.data.Dataset.zip(masks, batches).map(select).unbatch().cache()  # in memory: a pass reads the whole split
    return kept.apply(tf.data.experimental.assert_cardinality(limit))


def stratified(labels: np.ndarray, limit: int, seed: int = 0) -> np.ndarray:
    """Return the indices of `limit` examples in random order, of each class its share and at least one.

    Every prefix of the order has this property as nearly as it can.
    """
    order = np.random.default_rng(seed).permutation(len(labels))
    places = np.empty(len(labels))  # of each example in its class, from 0 to 1
    for label in np.unique(labels):
        members = order[labels[order] == label]
        places[members] = (np.arange(len(members)) + 0.5) / len(members)
        places[members[0]] = 0.0
    return order[np.argsort(places[order], kind="stable")[:limit]]
