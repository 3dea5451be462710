"""Your own pairs of images, as in Isola 2017, arXiv:1611.07004.

Sources:   data_dir: two sub-folders with the same file names (the first by name is A; each may have train, valid and
           test below), trainA, trainB, testA, testB with the same file names, or images whose left half is A and
           right half B, as the published pix2pix sets are (facades, maps, edges2shoes, ...), in train, val and test.
Features:  {"a": image bytes, "b": image bytes}.
Splits:    "official" is the folder's own; missing splits are taken from train by the contents of the files (70/15/15).
Licence:   yours.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf

from pipelines import splits
from pipelines.dataset import Dataset
from pipelines.images import class_folders, decoding, paired, stratified_split
from zoobase.errors import USAGE, DataError

NAME = "paired"
LAYOUT = "with two sub-folders of the same file names, or of images whose halves are a pair"

Pairs = dict[str, list[tuple[Path, Path | None]]]  # split -> (A, B); B is None if one image contains both


def load(data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
    shares, grouping = splits.grouping(split, splits.FILES)
    policy = splits.percentages(shares)
    root = paired.root(NAME, data_dir, LAYOUT)
    skipped: dict[str, str] = {}
    layout = paired.find(root)
    pairs = _halves(root) if layout is None else paired.matched(layout, skipped)
    if not any(pairs.values()):
        raise DataError(f"there are no pairs in {root}; --data-dir needs a folder {LAYOUT}", USAGE)
    images = paired.examine(NAME, [p for part in pairs.values() for pair in part for p in pair if p], cache_dir)
    skipped |= {stratified_split.display_path(root, p.path): p.problem for p in images.values() if p.problem}
    files, partner_of = {}, {}
    for s, part in pairs.items():
        usable = [(a, b) for a, b in part if not any(images[p].problem for p in (a, b) if p)]
        files[s] = {"": [images[a] for a, _ in usable]}
        partner_of |= dict(usable)
    parts = paired.divide(root, files, policy, skipped, min_domains=1, grouping=grouping)
    examples = {s: _examples([(p.path, partner_of[p.path]) for _, p in part]) for s, part in parts.items()}
    return paired.with_groups(paired.own_dataset(NAME, root, parts, examples, skipped, split), root, parts, grouping)


def _halves(root: Path) -> Pairs:
    pairs: Pairs = {}
    for path in class_folders.files_below(root):
        pairs.setdefault(paired.split_of(path.relative_to(root).parts[0]), []).append((path, None))
    return pairs


def _examples(pairs: Sequence[tuple[Path, Path | None]]) -> tf.data.Dataset:
    if pairs[0][1] is None:
        return paired.files([a for a, _ in pairs]).map(_cut, num_parallel_calls=tf.data.AUTOTUNE)
    return paired.zip_unpaired(*(paired.files(files) for files in zip(*pairs, strict=True)))


def _cut(encoded: tf.Tensor) -> dict[str, tf.Tensor]:
    image = decoding.decode_upright(encoded)
    half = tf.shape(image)[1] // 2
    return {"a": tf.io.encode_png(image[:, :half]), "b": tf.io.encode_png(image[:, half : 2 * half])}
