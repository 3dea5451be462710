"""Annotations of boxes: COCO's JSON, and Pascal VOC's XML, one file for each image.

References: Lin 2014, arXiv:1405.0312, and https://cocodataset.org/#format-data; Everingham 2010,
doi:10.1007/s11263-009-0275-4.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from pipelines.sources import storage
from zoobase.errors import DataError

LARGEST_JSON, LARGEST_XML = 2**30, 2**22  # bytes of a file
SLACK = 1.0  # pixels that an edge may be outside the image, by rounding
Row = tuple[float, float, float, float, str, bool]  # left, top, right, bottom, class, whether it is ignored


@dataclass
class Annotated:
    """The objects of one image."""

    name: str  # the file of the image, as its annotations name it
    source: Path  # the file of the annotations
    size: tuple[int, int] | None  # height and width in pixels, or None if the annotations do not say
    rows: list[Row] = field(default_factory=list)
    problem: str = ""  # why the annotations cannot be used, or ""

    def check(self, height: int, width: int) -> list[Row]:
        """Return the objects, clipped to the image; DataError if it was annotated at another size."""
        if self.problem:
            raise DataError(self.problem)
        if self.size not in (None, (height, width)):
            raise DataError(
                f"it was annotated with {self.size[1]}x{self.size[0]} pixels, and the image has {width}x{height}"
            )
        rows = []
        for left, top, right, bottom, name, ignored in self.rows:
            text = f"the box of {name} from ({left:g}, {top:g}) to ({right:g}, {bottom:g})"
            if not all(map(math.isfinite, (left, top, right, bottom))):
                raise DataError(f"{text} has an edge that is no number")
            if right <= left or bottom <= top:
                raise DataError(f"{text} has no area")
            if min(left, top) < -SLACK or right > width + SLACK or bottom > height + SLACK:
                raise DataError(f"{text} is outside the image of {width}x{height} pixels")
            clipped = max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height))
            rows.append((*clipped, name, ignored))
        return rows


def read_coco(path: Path) -> tuple[list[Annotated], list[str]]:
    """Return the images of a COCO file with their objects, and the names of its categories in the order of ids."""
    # Regions of many objects (`iscrowd`) are ignored objects. What is wrong with one image is its `problem`.
    try:
        storage.check_size(path, LARGEST_JSON)
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read as JSON ({str(error)[:200]})") from error
    try:
        names = {int(c["id"]): str(c["name"]) for c in content["categories"]}
        images = {
            i["id"]: Annotated(str(i["file_name"]), path, (int(i["height"]), int(i["width"])))
            for i in content["images"]
        }
        for annotation in content["annotations"]:
            _add(annotation, names, images, path)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        missing = f"it has no {error}" if isinstance(error, KeyError) else str(error)[:200]
        raise DataError(f"{path} is no COCO annotation, with images, annotations and categories: {missing}") from error
    if len(set(names.values())) < len(names):
        raise DataError(f"{path} has two categories of the same name")
    return list(images.values()), [names[key] for key in sorted(names)]


def _add(annotation: Mapping[str, Any], names: Mapping[int, str], images: Mapping[Any, Annotated], path: Path) -> None:
    """Add an annotation of a COCO file to its image."""
    key, category = annotation.get("id", "without an id"), annotation["category_id"]
    if annotation["image_id"] not in images:
        raise ValueError(f"annotation {key} is of image {annotation['image_id']}, which it does not list")
    image = images[annotation["image_id"]]
    if category not in names:
        image.problem = image.problem or f"annotation {key} has the unknown category {category}"
        return
    left, top, width, height = map(float, annotation["bbox"])
    ignored = bool(annotation.get("iscrowd", 0))
    image.rows.append((left, top, left + width, top + height, names[category], ignored))


def read_voc(path: Path) -> Annotated:
    """Return the objects of a Pascal VOC file; those that are `difficult` are ignored."""
    # VOC counts pixels from one, and its boxes include both edges. What is wrong with the file is the `problem`.
    image = Annotated(path.stem, path, None)
    try:
        root = _parse(path)
        image.name = (root.findtext("filename") or path.stem).strip()
        height, width = (int(root.findtext(f"size/{side}") or 0) for side in ("height", "width"))
        image.size = (height, width) if height and width else None  # some tools write zeros
        image.rows = [_voc_row(item) for item in root.iter("object")]
    except (DataError, OSError, ValueError) as error:
        image.problem = str(error)
    return image


def _parse(path: Path) -> ElementTree.Element:
    """Parse XML without a document type, whose entities may be other files, or grow without bound."""
    storage.check_size(path, LARGEST_XML)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError("the annotation is no UTF-8 text") from error
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise DataError("the annotation has a document type or entities, which are not read")
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError) as error:
        raise DataError(f"the annotation is no XML ({error})") from error
    if root.tag != "annotation":
        raise DataError(f"the annotation begins with <{root.tag[:40]}>, not with <annotation>")
    return root


def _voc_row(item: ElementTree.Element) -> Row:
    name = (item.findtext("name") or "").strip()
    if not name:
        raise DataError("an object of the annotation has no name")
    edges = [item.findtext(f"bndbox/{edge}") for edge in ("xmin", "ymin", "xmax", "ymax")]
    if None in edges:
        raise DataError(f"the box of {name} has no xmin, ymin, xmax or ymax")
    left, top, right, bottom = map(float, edges)
    ignored = (item.findtext("difficult") or "0").strip() == "1"
    return left - 1, top - 1, right, bottom, name, ignored


def class_names(images: Iterable[Annotated], order: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the classes that occur, those of `order` first and in that order, then others by name."""
    occurring = {row[4] for image in images for row in image.rows}
    known = [name for name in dict.fromkeys(order) if name in occurring]
    return (*known, *sorted(occurring - set(known)))
