"""Split policies: the official split of a dataset, or percentages of its training set, perhaps of whole groups."""

from __future__ import annotations

import dataclasses
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipelines.dataset import Dataset
from zoobase.errors import USAGE, DataError

if TYPE_CHECKING:
    import tensorflow as tf

BATCH = 1024  # examples that `limited` selects from at once
GROUP = "_group"  # feature: what an example has in common with those that are not independent of it, a string


def percentages(policy: str) -> tuple[int, int, int] | None:
    """Return the three percentages of a policy such as "60/20/20"; None for "official"; else DataError."""
    if policy == "official":
        return None
    parts = policy.split("/")
    if len(parts) == 3 and all(part.isdecimal() and int(part) > 0 for part in parts) and sum(map(int, parts)) == 100:
        return tuple(map(int, parts))
    if BY in policy:
        raise DataError(f'split "{policy}": only files, and texts of a table, of your own are divided by groups', USAGE)
    raise DataError(
        f'split "{policy}" is not "official" or three percentages that sum to 100, such as "60/20/20"', USAGE
    )


BY = " by "
FILES, ROWS = ("folder", "name"), ("column", "time")  # what groups are of, for files and for the rows of a table


@dataclass(frozen=True)
class Grouping:
    """What examples have in common that are in the same split, such as the photographs of one patient."""

    # By time the splits have the order of the column: the earliest rows are for training, the last ones for the test.
    kind: str  # "folder" or "name" (a part of the path) of a file; "column" or "time" of a table
    value: str = ""  # the regular expression, whose first group is the part of the path, or the name of the column

    def of_file(self, path: str) -> str:
        """Return the group of a file; DataError if the regular expression does not match the path."""
        if self.kind == "folder":
            return path.rpartition("/")[0]
        match = re.search(self.value, path)
        if match is None:
            raise DataError(f"split by name {self.value}: {path} has no such part", USAGE)
        return match[1] if match.re.groups else match[0]


def grouping(policy: str, kinds: tuple[str, ...]) -> tuple[str, Grouping | None]:
    """Return a split policy without its grouping, such as " by column patient", and the grouping."""
    shares, by, rest = policy.partition(BY)
    if not by:
        return policy, None
    kind, _, value = rest.strip().partition(" ")
    usage = {"folder": "folder", "name": "name REGEX", "column": "column NAME", "time": "time COLUMN"}
    if kind not in kinds or bool(value) == (kind == "folder"):
        choices = " or ".join(f'"{shares}{BY}{usage[k]}"' for k in kinds)
        raise DataError(f'split "{policy}" is not valid for this data: use {choices}', USAGE)
    if kind == "name":
        try:
            re.compile(value)
        except re.error as error:
            raise DataError(f'split "{policy}": {value} is not a regular expression ({error})', USAGE) from error
    return shares, Grouping(kind, value)


def kept_together(policy: str) -> str:
    """Return what is in one split, or divides them, by a policy, such as "column patient"; "" for neither."""
    return policy.partition(BY)[2]


FOLDS = 20  # into which groups are divided before these are joined to splits


def of_groups(groups: list[str], labels: list[str], shares: tuple[int, int, int]) -> np.ndarray:
    """Divide whole groups with about the same share of each class: int64 (examples,), 0 train, 1 validation, 2 test."""
    # By scikit-learn's StratifiedGroupKFold; the same in every call. A class of one group is in train only.
    from sklearn.model_selection import StratifiedGroupKFold

    names, ids = np.unique(groups, return_inverse=True)
    if len(names) < 3:
        raise DataError(f"{len(names)} groups cannot be divided into three splits", USAGE)
    folds = min(FOLDS, len(names))
    wanted = [max(1, round(folds * share / 100)) for share in shares[1:]]
    sizes = (folds - sum(wanted), *wanted) if sum(wanted) < folds else (1, 1, 1)
    fold_of, split_of = np.zeros(len(groups), np.int64), np.repeat(np.arange(3), sizes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class with fewer examples than folds
        divided = StratifiedGroupKFold(sum(sizes), shuffle=True, random_state=0).split(ids, labels, ids)
        for fold, (_, rows) in enumerate(divided):
            fold_of[rows] = fold
    parts, classes = split_of[fold_of], np.array(labels)
    for label in set(labels):
        if len(members := np.unique(ids[classes == label])) == 1:
            parts[ids == members[0]] = 0
    return parts


def of_equal_rows(numbers: np.ndarray, labels: np.ndarray, ends: Sequence[int], seed: int = 0) -> list[np.ndarray]:
    """Return the rows of each split, which end at about `ends`: those of one number together, with the same classes."""
    _, first, member, count = np.unique(numbers, return_index=True, return_inverse=True, return_counts=True)
    order, part = stratified(labels[first], len(first), seed), np.empty(len(first), int)
    part[order] = np.searchsorted(ends, np.cumsum(count[order]) - count[order] / 2)
    return [np.flatnonzero(part[member] == i) for i in range(len(ends) + 1)]


def with_groups(dataset: Dataset, groups: Mapping[str, Sequence[str]], what: str) -> Dataset:
    """Return a dataset whose examples carry their groups, by split and in their order; `what` these are, as "film"."""
    import tensorflow as tf

    parts = {
        name: tf.data.Dataset.zip(
            dataset[name], tf.data.Dataset.from_tensor_slices(tf.constant(list(values), tf.string))
        )
        for name, values in groups.items()
    }
    parts = {name: part.map(lambda example, group: {**example, GROUP: group}) for name, part in parts.items()}
    info = dataclasses.replace(dataset.info, features={**dataset.info.features, GROUP: what})
    return Dataset(**parts, info=info)


def groups_of(dataset: Dataset, part: str) -> np.ndarray | None:
    """Return the groups of the examples of a split, such as their patients, str (N,); None if they have none."""
    if GROUP not in dataset.info.features:
        return None
    return np.array([group.decode() for group in dataset[part].map(lambda e: e[GROUP]).as_numpy_iterator()], str)


def lacking(dataset: Dataset, part: str) -> list[str]:
    """Return the classes of which a split has no example; the split is read."""
    names, label = dataset.info.class_names, dataset.info.statistics.get("target", {}).get("name", "label")
    if not names or label not in dataset[part].element_spec or dataset[part].element_spec[label].shape.rank:
        return []
    present = {int(number) for number in dataset[part].map(lambda example: example[label]).as_numpy_iterator()}
    return [name for i, name in enumerate(names) if i not in present]


def bounds(policy: tuple[int, int, int], count: int) -> tuple[int, int]:
    """Return the start of validation and test if `count` examples are divided in order; DataError if one is empty."""
    first = count * policy[0] // 100
    second = count * (policy[0] + policy[1]) // 100
    if not 0 < first < second < count:
        raise DataError(f"{count} examples are too few to be split {'/'.join(map(str, policy))}", USAGE)
    return first, second


def limited(dataset: Dataset, limit: int) -> Dataset:
    """Return a dataset with at most `limit` examples of each split (0 for all), in their order."""
    # Random, the same in every call, stratified by `label` if there is one; statistics remain those of all of train.
    if not limit:
        return dataset
    classes = dataset.info.num_classes or 1
    if limit < classes:
        raise DataError(f"{limit} examples a split are too few for {classes} classes", USAGE)
    parts = {name: subset(dataset[name], limit) for name in ("train", "validation", "test")}
    counts = {name: min(limit, count) for name, count in dataset.info.counts.items()}
    return Dataset(**parts, info=dataclasses.replace(dataset.info, counts=counts))


def subset(split: tf.data.Dataset, limit: int) -> tf.data.Dataset:
    """Return at most `limit` examples of a split, of each class its share and at least one, in their order."""
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
    """Return the indices of `limit` examples in random order, of each class its share and at least one."""
    # Every prefix of the order has this property as nearly as it can.
    order = np.random.default_rng(seed).permutation(len(labels))
    places = np.empty(len(labels))  # of each example in its class, from 0 to 1
    for label in np.unique(labels):
        members = order[labels[order] == label]
        places[members] = (np.arange(len(members)) + 0.5) / len(members)
        places[members[0]] = 0.0
    return order[np.argsort(places[order], kind="stable")[:limit]]
