"""python -m docs.dataset_figures [NAME...]: the sizes and samples that the pages of datasets show."""

import io
import json
from pathlib import Path

import click
import numpy as np
from PIL import Image

from zoobase.errors import ZooError

HERE = Path(__file__).parent / "dataset_figures"
IMAGES, TEXTS = 10, 3
SIDE = 84  # pixels of a shown image
LONGEST = 160  # characters of a shown text
LICENSED = (  # the datasets of which a sample may be shown here, and which packages carry
    "bike_sharing",
    "breast_cancer",
    "cmudict",
    "dates",
    "digits",
    "edges_to_garments",
    "fashion_mnist",
    "garment_boxes",
    "garment_scenes",
    "gcide",
    "grey_to_colour",
    "low_to_high",
    "mnist",
    "mnist_5k",
    "shakespeare",
    "sneakers_to_boots",
    "stamps",
    "state_of_the_union",
    "tones",
    "verses",
    "wallpapers",
    "wordnet",
)


def write(name: str) -> Path:
    """Write the facts of a dataset, and a picture of its first training images."""
    import pipelines

    dataset = pipelines.load(name)
    examples = list(dataset.train.take(IMAGES).as_numpy_iterator())
    info = dataset.info
    names = list(info.class_names or ())
    source = info.source.split(" /")[0]  # without a path of this machine
    facts = {"counts": dict(info.counts), "source": source, "class_names": names[:30]}
    HERE.mkdir(exist_ok=True)
    columns = [key for key in ("a", "b", "image", "mask") if key in examples[0]]
    if columns:
        _picture(examples, columns, HERE / f"{name}.png")
    else:
        facts["texts"] = [_text(example) for example in examples[:TEXTS]]
    path = HERE / f"{name}.json"
    path.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    return path


def _picture(examples: list[dict], columns: list[str], path: Path) -> None:
    import cv2

    from docs.course.page import write_png
    from zoo.detection.drawing import draw

    rows = []
    for column in columns:
        row = []
        for example in examples:
            image = _decoded(example[column])
            if column == "mask":
                image = cv2.applyColorMap(image[..., 0] * 23, cv2.COLORMAP_TURBO)
            if "boxes" in example:
                objects = np.concatenate([example["boxes"], example["labels"][:, None]], axis=1)
                image = draw(image, objects, (), captions=False)
            side = min(image.shape[:2])
            top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
            square = np.ascontiguousarray(image[top : top + side, left : left + side])
            method = cv2.INTER_AREA if side > SIDE else cv2.INTER_NEAREST
            tile = cv2.resize(square, (SIDE, SIDE), interpolation=method)
            row.append(np.pad(tile, ((0, 4), (0, 4), (0, 0)), constant_values=255))
        rows.append(np.concatenate(row, axis=1))
    write_png(np.concatenate(rows).astype(np.uint8), path)


def _decoded(content: bytes) -> np.ndarray:
    """Return an encoded image on white, uint8 (H, W, 3)."""
    image = Image.open(io.BytesIO(content)).convert("RGBA")
    return np.asarray(Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB"))


def _text(example: dict) -> str:
    """Return the features of an example as one line of Markdown."""
    parts = []
    for key, value in list(example.items())[:6]:
        if isinstance(value, bytes):
            shown = value.decode(errors="replace")
        else:
            shown = np.array2string(np.asarray(value), threshold=4, precision=4)
        shown = " ".join(shown.split()).replace("`", "'")
        parts.append(f"{key}: `{shown[:LONGEST]}{' ...' if len(shown) > LONGEST else ''}`")
    return ", ".join(parts)


@click.command("dataset_figures")
@click.argument("names", metavar="[NAME]...", nargs=-1)
def main(names: tuple[str, ...]) -> None:
    """Write the sample of each NAME, by default of all whose licence allows it."""
    for name in names or LICENSED:
        try:
            click.echo(f"written: {write(name)}")
        except ZooError as error:
            click.echo(f"{name}: {error}")


if __name__ == "__main__":
    main()
