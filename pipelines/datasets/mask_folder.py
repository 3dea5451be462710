"""Your own images with masks, for segmentation.

Sources:   data_dir: `images/` and `masks/` with the same file names, each perhaps with train, valid and test below.
           Masks are PNG files, grey or with a palette, whose values are class ids from 0; pixels of 255 are ignored.
           `classes.txt` names the classes, one a line; without it, they are numbered as far as the masks go.
Features:  {"image": image bytes, "mask": grey PNG bytes}.
Splits:    "official" is the folder's own; missing splits are taken from train by the contents of the files (70/15/15).
Licence:   yours.
"""

import concurrent.futures
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from pipelines import splits
from pipelines.dataset import Dataset
from pipelines.images import IGNORE, masks, paired
from pipelines.images.index import ImageFile
from pipelines.images.stratified_split import display_path
from pipelines.sources import storage
from zoobase.errors import USAGE, DataError

NAME = "mask_folder"
LAYOUT = "with the sub-folders images and masks, whose files have the same names"
CLASSES = "classes.txt"
FEATURES = {"image": "image file bytes", "mask": "grey PNG bytes, class ids; 255 is ignored"}


def load(data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
    shares, grouping = splits.grouping(split, splits.FILES)
    policy = splits.percentages(shares)
    root = paired.root(NAME, data_dir, LAYOUT)
    folders = root / "images", root / "masks"
    if missing := [folder.name for folder in folders if not folder.is_dir()]:
        raise DataError(f"{root} has no folder {' and no folder '.join(missing)}; it must be a folder {LAYOUT}", USAGE)
    skipped: dict[str, str] = {}
    pairs = paired.matched(paired.of_folders(root, *folders), skipped, ("images", "masks"))
    files = paired.examine(NAME, [path for part in pairs.values() for pair in part for path in pair], cache_dir)
    names = _class_names(root)
    pixels = _count(root, files, [pair for part in pairs.values() for pair in part], names, skipped)
    count = sum(map(len, pairs.values()))
    paired.check_skipped(NAME, root, skipped, count + len(skipped), "files")
    total = _check(root, pixels)
    mask_of = {image: mask for part in pairs.values() for image, mask in part if image in pixels}
    usable = {s: {"": [files[image] for image, _ in part if image in pixels]} for s, part in pairs.items()}
    parts = paired.divide(root, usable, policy, skipped, min_domains=1, grouping=grouping)
    dataset = paired.own_dataset(
        *(NAME, root, parts),
        {s: _examples([(p.path, mask_of[p.path]) for _, p in part]) for s, part in parts.items()},
        skipped,
        split,
        {image: files[mask].sha256 for image, mask in mask_of.items()},
        features=FEATURES,
        class_names=names or tuple(str(i) for i in range(int(np.flatnonzero(total[:IGNORE]).max()) + 1)),
        statistics={"image_shape": paired.shape_of(parts, paired.SHAPE)},
    )
    return paired.with_groups(dataset, root, parts, grouping)


def _class_names(root: Path) -> tuple[str, ...]:
    """Return the names in `CLASSES`; () if there is no such file."""
    path = root / CLASSES
    if not path.is_file():
        return ()
    try:
        storage.check_size(path, 1_000_000)
        names = tuple(line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as UTF-8 text ({error})") from error
    if not 2 <= len(set(names)) == len(names) <= IGNORE:
        raise DataError(f"{path} must have from 2 to {IGNORE} different names, one a line", USAGE)
    return names


def _count(
    root: Path,
    files: Mapping[Path, ImageFile],
    pairs: Sequence[tuple[Path, Path]],
    names: tuple[str, ...],
    skipped: dict[str, str],
) -> dict[Path, np.ndarray]:
    """Return the pixels of each id (256,) by image, of the pairs that can be used; `skipped` gets the others."""

    def examine(pair: tuple[Path, Path]) -> np.ndarray | str:
        image, mask = (files[path] for path in pair)
        if image.problem or mask.problem:
            return image.problem or f"the mask is {mask.problem}"
        try:
            counts = masks.count(mask.path, image.shape[:2])
        except DataError as error:
            return str(error)
        unknown = np.flatnonzero(counts[:IGNORE])[-1:]
        if names and unknown.size and unknown[0] >= len(names):
            return f"the mask has the class {unknown[0]}, and {CLASSES} names 0 to {len(names) - 1}"
        return counts

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        results = dict(zip((image for image, _ in pairs), pool.map(examine, pairs), strict=True))
    skipped |= {display_path(root, image): why for image, why in results.items() if isinstance(why, str)}
    return {image: counts for image, counts in results.items() if not isinstance(counts, str)}


def _check(root: Path, pixels: Mapping[Path, np.ndarray]) -> np.ndarray:
    """Return the pixels of each id (256,) in all; DataError if they have fewer than two classes."""
    if not pixels:
        raise DataError(f"there are no images with masks in {root}; it must be a folder {LAYOUT}", USAGE)
    total = sum(pixels.values())
    if np.count_nonzero(total[:IGNORE]) < 2:
        hint = "; 255 is ignored: save masks of two classes with 0 and 1" if total[IGNORE] else ""
        ids = ", ".join(map(str, np.flatnonzero(total)))
        raise DataError(f"the masks in {root} have fewer than two classes, only the values {ids}{hint}", USAGE)
    return total


def _examples(pairs: Sequence[tuple[Path, Path]]) -> tf.data.Dataset:
    def read(image: tf.Tensor, mask: tf.Tensor) -> dict[str, tf.Tensor]:
        # TensorFlow would turn a palette image into colours
        encoded = tf.numpy_function(lambda path: masks.encode(masks.read(path.decode())), [mask], tf.string)
        return {"image": tf.io.read_file(image), "mask": tf.ensure_shape(encoded, [])}

    images, mask_files = ([str(path) for path in part] for part in zip(*pairs, strict=True))
    files = tf.data.Dataset.from_tensor_slices((images, mask_files))
    return files.map(read, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
