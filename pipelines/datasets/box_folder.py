"""Your own images with boxes, for detection, annotated as COCO or Pascal VOC.

Sources:   data_dir: COCO's `annotations.json`, `instances_*.json` or `_annotations.coco.json`, or XML files of Pascal
           VOC, one for each image; the images anywhere below the folder, perhaps in train, valid and test. Boxes that
           are `iscrowd` or `difficult` are neither to be detected nor mistakes.
Features:  {"image": image bytes, "boxes": float32 (objects, 4): left, top, right, bottom in pixels, "labels": int64
           (objects,), "ignored": int64 (objects,), "size": int32 (2,)}.
Splits:    "official" is that of the folders, of the names of the JSON files or of VOC's ImageSets/Main; missing splits
           are taken from train by the contents of the files (70/15/15).
Licence:   yours.
"""

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import tensorflow as tf

from pipelines import splits
from pipelines.dataset import Dataset
from pipelines.images import box_annotations, boxes, class_folders, paired
from pipelines.images.box_annotations import Annotated, Row
from pipelines.images.index import ImageFile
from pipelines.images.stratified_split import display_path
from pipelines.sources import storage
from zoobase.errors import MISSING, USAGE, DataError

NAME = "box_folder"
LAYOUT = "with images and annotations of COCO (annotations.json) or Pascal VOC (one XML for each image)"
JSON = re.compile(r"annotations\.json|_annotations\.coco\.json|instances_.*\.json")
SHAPE = [128, 128, 3]  # of models for images of different or larger sizes
SETS = "ImageSets/Main"  # of Pascal VOC


def is_annotated(data_dir: str | os.PathLike) -> bool:
    """Return whether a folder has annotations below it."""
    return any(_annotation_files(Path(data_dir).expanduser()))


def _annotation_files(root: Path) -> tuple[list[Path], list[Path]]:
    """Return the JSON files of COCO and the XML files below a folder."""
    files = [p for p in sorted(root.rglob("*")) if not any(part.startswith(".") for part in p.relative_to(root).parts)]
    return [p for p in files if JSON.fullmatch(p.name)], [p for p in files if p.suffix.lower() == ".xml"]


def load(data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
    shares, grouping = splits.grouping(split, splits.FILES)
    policy = splits.percentages(shares)
    root = paired.root(NAME, data_dir, LAYOUT)
    annotated, order = _read(root)
    skipped: dict[str, str] = {}
    found = _matched(root, annotated, skipped)
    files = paired.examine(NAME, list(found), cache_dir)
    objects = _checked(root, found, files, skipped)
    paired.check_skipped(NAME, root, skipped, max(len(found), len(skipped)), "images")
    if not any(objects.values()):
        raise DataError(f"there are no images with boxes in {root}; it must be a folder {LAYOUT}", MISSING)
    by_split: dict[str, dict[str, list[ImageFile]]] = {}
    sets = _sets(root)
    for path in objects:
        by_split.setdefault(_split_of(root, found[path], path, sets), {}).setdefault("", []).append(files[path])
    parts = paired.divide(root, by_split, policy, skipped, min_domains=1, grouping=grouping)
    names = box_annotations.class_names([found[path] for path in objects], order)
    counts = Counter(row[4] for _, p in parts["train"] for row in objects[p.path])
    images = paired.own_dataset(
        *(NAME, root, parts),
        {s: _examples([p for _, p in part], objects, names) for s, part in parts.items()},
        skipped,
        split,
        objects,
        features={"image": "image file bytes", **boxes.FEATURES},
        class_names=names,
        statistics={
            "image_shape": paired.shape_of(parts, SHAPE),
            "class_counts": {name: counts[name] for name in names},
            "most_objects": max(1, *map(len, objects.values())),  # of all splits: no object of the test is left out
        },
    )
    return paired.with_groups(images, root, parts, grouping)


def _read(root: Path) -> tuple[list[Annotated], list[str]]:
    """Return what is annotated below a folder, and the order of the classes if the annotations have one."""
    json_files, xml_files = _annotation_files(root)
    if not json_files and not xml_files:
        raise DataError(f"{root} has no annotations; it must be a folder {LAYOUT}", USAGE)
    if json_files and xml_files:
        raise DataError(
            f"{root} has annotations of COCO ({json_files[0].name}) and of Pascal VOC ({xml_files[0].name}): which are "
            "to be read? Put the others into another folder",
            USAGE,
        )
    if xml_files:
        return [box_annotations.read_voc(path) for path in xml_files], []
    images, order = zip(*map(box_annotations.read_coco, json_files), strict=True)
    return [image for part in images for image in part], [name for part in order for name in part]


def _matched(root: Path, annotated: Sequence[Annotated], skipped: dict[str, str]) -> dict[Path, Annotated]:
    """Return the annotations by the image that they are of; only files below the folder are taken."""
    by_name: dict[str, list[Path]] = {}
    for path in class_folders.files_below(root):
        if path.suffix.lower() not in (".json", ".xml", ".txt"):
            for name in {path.name, path.stem}:  # VOC may name an image without its suffix
                by_name.setdefault(name, []).append(path)
    found: dict[Path, Annotated] = {}
    for image in annotated:
        where = f"{display_path(root, image.source)}: {image.name}"
        named = Path(image.name.replace("\\", "/"))
        candidates = {path: _closeness(root, path, image.source, named) for path in by_name.get(named.name, ())}
        nearest = [path for path, closeness in candidates.items() if closeness == max(candidates.values())]
        if not nearest:
            skipped[where] = image.problem or "there is no such image"
        elif len(nearest) > 1:
            names = " and ".join(display_path(root, path) for path in nearest[:2])
            skipped[where] = f"there are several images of this name, {names}"
        elif nearest[0] in found:
            skipped[where] = f"{display_path(root, found[nearest[0]].source)} is of the same image"
        else:
            found[nearest[0]] = image
    return found


def _closeness(root: Path, path: Path, source: Path, name: Path) -> tuple[bool, int, int]:
    """Return how well an image fits a name in annotations: by splits, by folders, and how near the two files are."""
    pairs = list(zip(reversed(path.parts[:-1]), reversed(name.parts[:-1]), strict=False))
    agreeing = next((i for i, (ours, theirs) in enumerate(pairs) if ours != theirs), len(pairs))
    same_split = _split_of_names(root, source) == _split_of_names(root, path)
    return same_split, agreeing, len(Path(os.path.commonpath([path, source])).parts)


def _checked(
    root: Path, found: Mapping[Path, Annotated], files: Mapping[Path, ImageFile], skipped: dict[str, str]
) -> dict[Path, list[Row]]:
    """Return the objects of the images that can be used; `skipped` gets the others."""
    objects = {}
    for path, image in found.items():
        try:
            if files[path].problem:
                raise DataError(f"the image is {files[path].problem}")
            objects[path] = image.check(*files[path].shape[:2])
        except DataError as error:
            skipped[display_path(root, path)] = str(error)
    return objects


def _split_of(root: Path, image: Annotated, path: Path, sets: Mapping[str, set[str]]) -> str:
    """Return the split that lists of VOC, or the names of folders and files say, or ""."""
    if sets:
        return next((part for part, listed in sets.items() if path.stem in listed), "train")
    return _split_of_names(root, image.source) or _split_of_names(root, path)


def _split_of_names(root: Path, path: Path) -> str:
    """Return the split in the names of folders, such as train2017, or of a JSON file, such as instances_val2017."""
    *folders, file = path.relative_to(root).parts
    words = [word for name in folders for word in re.findall(r"[a-z]+", name.lower())]
    words += re.findall(r"[a-z]+", file.lower()) if JSON.fullmatch(file) else []
    return next((s for s in map(paired.split_of, words) if s), "")


def _sets(root: Path) -> dict[str, set[str]]:
    """Return the names of the images of each split, of Pascal VOC's lists."""
    lists = {}
    for file in sorted(root.glob(f"**/{SETS}/*.txt")):
        if part := paired.split_of(file.stem):
            storage.check_size(file, 2**26)
            lists[part] = {line.split()[0] for line in file.read_text(encoding="utf-8").splitlines() if line.strip()}
    return lists


def _examples(
    part: Sequence[ImageFile], objects: Mapping[Path, Sequence[Row]], names: Sequence[str]
) -> tf.data.Dataset:
    numbers = {name: i for i, name in enumerate(names)}
    rows = [objects[p.path] for p in part]
    edges = tf.RaggedTensor.from_row_lengths(
        tf.reshape(tf.constant([row[:4] for image in rows for row in image], tf.float32), [-1, 4]),
        [len(image) for image in rows],
    )
    features = {
        "file": [str(p.path) for p in part],
        "boxes": edges,
        "labels": edges.with_values(tf.constant([numbers[row[4]] for image in rows for row in image], tf.int64)),
        "ignored": edges.with_values(tf.constant([int(row[5]) for image in rows for row in image], tf.int64)),
        "size": [p.shape[:2] for p in part],
    }

    def read(example: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return {"image": tf.io.read_file(example.pop("file")), **example}

    examples = tf.data.Dataset.from_tensor_slices(features)
    return examples.map(read, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
