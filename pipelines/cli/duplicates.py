"""python -m pipelines duplicates NAME: examples of the test and validation split that resemble training examples."""

from typing import Any

import click

from pipelines.cli import load
from pipelines.dataset import Dataset
from zoobase import Console, common_options
from zoobase.errors import USAGE, DataError

SHOWN = 10  # pairs in the table; --json has all
KINDS = ("image", "text")


@click.command("duplicates")
@click.argument("name")
@click.option("--data-dir", type=click.Path(), help="Path of your own data.")
@click.option("--cache-dir", type=click.Path(), help="Folder of prepared data.")
@click.option("--split", default="official", show_default=True, help='Or percentages, such as "60/20/20".')
@common_options
def command(name: str, data_dir: str | None, cache_dir: str | None, split: str, console: Console) -> None:
    """Find images and texts of dataset NAME that are nearly the same in two splits.

    A test on what was seen in training looks better than it is. `--split "70/15/15 by folder"` and its like keep what
    belongs together in one split.
    """
    pairs = find(load(name, data_dir, cache_dir, split))
    rows = pairs["pairs"][:SHOWN]
    if rows and not console.json:
        console.table("nearly the same", ["split", "example", "resembles", "of"], [tuple(row.values()) for row in rows])
    for part, (count, of) in pairs["counts"].items():
        console.print(f"{part}: {count:,} of {of:,} resemble examples of another split ({count / max(1, of):.1%})")
    console.result(pairs)


def find(dataset: Dataset) -> dict[str, Any]:
    """Return {"counts": {split: (resembling, of)}, "pairs": [{"split", "example", "resembles", "of"}]}."""
    kind = next((kind for kind in KINDS if kind in dataset.info.features), None)
    if kind is None:
        raise DataError(f"{dataset.info.name} has neither images nor texts to compare", USAGE)
    counts, pairs = {}, []
    parts = {part: list(dataset[part].as_numpy_iterator()) for part in ("train", "validation", "test")}
    for part, earlier in (("validation", ("train",)), ("test", ("train", "validation"))):
        others = [(other, i, example) for other in earlier for i, example in enumerate(parts[other])]
        matches = _matches(kind, [e[kind] for e in parts[part]], [example[kind] for *_, example in others])
        counts[part] = (len(matches), len(parts[part]))
        for i, j in matches.items():
            other, k, example = others[j]
            row = {"split": part, "example": _label(parts[part][i], i), "resembles": _label(example, k), "of": other}
            pairs.append(row)
    return {"counts": counts, "pairs": pairs}


def _matches(kind: str, queries: list[bytes], others: list[bytes]) -> dict[int, int]:
    """Return the index of each query that resembles another -> the index of that."""
    from pipelines import near_duplicates

    if kind == "image":
        indices, distances = near_duplicates.nearest_hashes(*map(near_duplicates.hashes, (queries, others)))
        resembles = distances <= near_duplicates.MOST_BITS
    else:
        texts = ([text.decode("utf-8", "replace") for text in part] for part in (queries, others))
        indices, similarities = near_duplicates.nearest_texts(*texts)
        resembles = similarities >= near_duplicates.LEAST
    return {i: int(indices[i]) for i in resembles.nonzero()[0].tolist()}


def _label(example: dict[str, Any], index: int) -> str:
    return example["file"].decode() if "file" in example else str(index)
