"""python -m zoo.predict RUN_OR_BUNDLE INPUT...: ask a model about files, folders or texts."""

from __future__ import annotations

import csv
import dataclasses
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from commandline import console as shell
from commandline.console import Console
from zoo.core.errors import MissingError, UsageError, ZooError

if TYPE_CHECKING:
    import numpy as np

    from pipelines.dataset import Info

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")


class Answers(NamedTuple):
    """What came of some questions.

    Attributes:
        rows: Of all answers.
        problems: A sentence for each input that could not be read.
        pictures: uint8 (H, W, 1 or 3) by question, of a task whose answers are pictures.
    """

    rows: list[dict[str, Any]]
    problems: list[str]
    pictures: dict[str, np.ndarray]


def run(
    source: str | Path,
    inputs: Sequence[str],
    *,
    top_k: int = 3,
    category_names: str | Path | None = None,
    direction: str | None = None,
    console: Console | None = None,
) -> Answers:
    """Ask a model of a run or a bundle about each input.

    Args:
        source: A run folder or a bundle.
        inputs: Files or folders of files for a task that takes images; texts for one that takes texts.
        top_k: How many answers, where answers are ranked.
        category_names: JSON file {class: name for people}; classes that it leaves out keep theirs.
        direction: "a2b" or "b2a" of a model that goes both ways; None is a2b, or what the bundle does.
        console: Where to speak.

    Returns:
        The answers.

    Raises:
        UsageError: Neither a run nor a bundle, nothing to ask about, or no such direction.
        MissingError: The task cannot predict.
    """
    from zoo.core import environment

    console = console or Console(quiet=True)
    environment.prepare()
    from zoo import predictor

    opened = predictor.open_source(Path(source), served=direction)
    task, info, endpoint = opened.task, opened.info, opened.contract["serving_default"]
    if category_names is not None:
        info = renamed(info, Path(category_names))
    if not task.accepts:
        raise MissingError(
            f"a model for {task.title} does not answer questions about one input; try python -m zoo.sample"
        )
    questions = list(expand(inputs)) if task.accepts == "images" else list(inputs)
    if not questions:
        raise UsageError(f"no image files in {', '.join(inputs)}" if inputs else "nothing to predict: name a file")
    rows, problems, pictures = [], [], {}
    for question in questions:
        try:
            parsed = task.parse(question, endpoint, info)
        except Exception as e:
            if getattr(e, "exit_code", None) is None:
                raise
            problems.append(str(e))
            continue
        outputs = {k: v[0] for k, v in opened.call(endpoint.name, {k: v[None] for k, v in parsed.items()}).items()}
        shown = task.explain(question, parsed, outputs, opened.call, info, top_k)
        console.print(question)
        for line in shown.lines:
            console.print(f"  {line}")
        rows.extend(dict(row) for row in shown.rows)
        if shown.image is not None:
            pictures[question] = shown.image
    return Answers(rows, problems, pictures)


def renamed(info: Info, path: Path) -> Info:
    """Return what is known of the data, with the class names that a JSON file {class: name} gives.

    Raises:
        MissingError: There is no such file.
        UsageError: It is no such JSON, or names none of the classes.
    """
    try:
        names = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MissingError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{path} is not JSON: {error}") from error
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        raise UsageError(f'{path} is not a JSON object of names, such as {{"21": "fire lily"}}')
    if not set(names) & set(info.class_names or ()):
        known = ", ".join((info.class_names or ())[:3])
        raise UsageError(f"{path} names none of the classes of this model, which are {known}, ...")
    return dataclasses.replace(info, class_names=tuple(names.get(name, name) for name in info.class_names))


def expand(arguments: Sequence[str]) -> Iterator[str]:
    """Yield files; a folder stands for the image files in it and below, in order."""
    for argument in arguments:
        path = Path(argument)
        if path.is_dir():
            yield from (str(p) for p in sorted(path.rglob("*")) if p.suffix.lower() in IMAGE_ENDINGS)
        else:
            yield argument


@click.command("predict")
@click.argument("source", metavar="RUN_OR_BUNDLE", type=click.Path())
@click.argument("inputs", metavar="INPUT...", nargs=-1, required=True)
@click.option("--top-k", default=3, show_default=True, type=click.IntRange(1), help="Answers per input.")
@click.option("--category-names", metavar="FILE", type=click.Path(), help='JSON {"class": "name for people"}.')
@click.option("--direction", type=click.Choice(["a2b", "b2a"]), help="Of a model that goes both ways.")
@click.option("-o", "--out", type=click.Path(), help="A CSV file for the rows (- is standard output), or a picture.")
@shell.common_options
def main(
    source: str,
    inputs: tuple[str, ...],
    top_k: int,
    category_names: str | None,
    direction: str | None,
    out: str | None,
    console: Console,
) -> None:
    """Ask the model of a run or a bundle about image files of any size and mode, or folders of them.

    The name of a model that ships with weights will do too: python -m zoo.predict fashion_mnist shirt.png.

    A folder gives predictions.csv in the current folder, unless -o names another file. Where answers are pictures, -o
    may name one: several answers are laid below each other in it.
    """
    if out is None and any(Path(i).is_dir() for i in inputs):
        out = "predictions.csv"
    if out == "-":
        console = Console(quiet=True, json=console.json)
    rows, problems, pictures = run(
        source, inputs, top_k=top_k, category_names=category_names, direction=direction, console=console
    )
    if out is not None and Path(out).suffix.lower() in IMAGE_ENDINGS:
        _write_picture(Path(out), pictures, problems, console)
    elif out is not None and rows:
        _write_csv(out, rows)
        if out != "-":
            console.print(f"written: {out}, {len(rows)} rows")
    console.result({"predictions": rows, "problems": problems})
    if problems:
        raise ZooError("; ".join(problems))


def _write_picture(out: Path, pictures: dict[str, np.ndarray], problems: list[str], console: Console) -> None:
    from zoo.evaluation.images import tile, write

    if not pictures and not problems:
        raise MissingError(f"the answers of this model are no pictures: {out} would be empty; give -o a .csv file")
    if pictures:
        write(out, tile(list(pictures.values()), columns=1))
        console.print(f"written: {out}")


def _write_csv(out: str, rows: list[dict[str, Any]]) -> None:
    import io

    from pipelines.sources.storage import write_atomic

    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    if out == "-":
        sys.stdout.write(text.getvalue())
    else:
        write_atomic(Path(out), text.getvalue().encode())


if __name__ == "__main__":
    shell.run(main, prog="python -m zoo.predict")
