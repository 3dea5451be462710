"""python -m zoo.predict RUN_OR_BUNDLE INPUT...: predict on files, folders of files or texts."""

import dataclasses
import glob
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np

from zoo.core.capabilities import Rows
from zoo.core.run_store import RunStore
from zoo.prediction import kept
from zoo.prediction.confined import confine_prediction
from zoo.prediction.each import predict_each
from zoo.prediction.inputs import IMAGE_SUFFIXES, names_of
from zoo.prediction.nearest import nearest as nearest_texts
from zoo.prediction.table_files import is_table, read_cells, write_csv
from zoobase import console as shell
from zoobase.console import Console
from zoobase.errors import MissingError, UsageError, ZooError
from zoobase.files import write_atomic

SHOWN = 5  # rows of a table that are printed


class PredictionResult(NamedTuple):
    """The predictions for some inputs.

    Attributes:
        rows: Table rows of all predictions.
        problems: An error message for each input that could not be read.
        images: uint8 (H, W, 1, 3 or 4) by input, for tasks that predict images.
    """

    rows: list[dict[str, Any]]
    problems: list[str]
    images: dict[str, np.ndarray]


def run(
    source: str | Path,
    inputs: Sequence[str],
    *,
    top_k: int = 3,
    category_names: str | Path | None = None,
    direction: str | None = None,
    masks: str | Path | None = None,
    runtime: str | None = None,
    nearest: str | Path | None = None,
    console: Console | None = None,
) -> PredictionResult:
    """Predict on each input with the model of a run or a bundle.

    Args:
        source: A run folder, a bundle, or the name of a model with shipped weights.
        inputs: Files, folders of files or patterns such as "photos/*.jpg" for a task on images; texts for a task on
            texts; rows as JSON, or .csv, .tsv and .parquet files of rows, for a task on tables.
        top_k: Number of ranked predictions per input.
        category_names: JSON file {class: display name}; other classes keep their names.
        direction: "a2b" or "b2a" for a model that translates in both directions; None is a2b, or that of the bundle.
        masks: Folder for the predicted masks of a segmentation: NAME.png for each input, whose values are class ids.
        runtime: As for `zoo.load`.
        nearest: File of texts, one a line or the column `text` of a table, of which the `top_k` nearest to each input
            are predicted, for a model that returns a vector for each text.
        console: Receives the predictions as text; None prints nothing.

    Returns:
        The predictions, and an error message for each input that could not be read.

    Raises:
        UsageError: `source` is neither a run nor a bundle, there are no inputs, or the direction does not exist.
        MissingError: The task does not support prediction, does not predict the masks that are asked for, or none of
            the files exists.

    Example:
        >>> result = run("fashion_mnist", ["garment.png"], top_k=1)
        >>> result.rows[0]["label"]
        'Trouser'
    """
    console = console or Console(quiet=True)
    from zoo.prediction import predictor

    opened = predictor.load(source, runtime, direction)
    if category_names is not None:
        opened = dataclasses.replace(opened, info=predictor.category_names(opened.info, Path(category_names)))
    opened.check()
    rows, problems, images, codes, files = [], [], {}, set(), []
    if nearest is not None:
        for text, found in nearest_texts(opened, inputs, nearest, top_k):
            console.print(text)
            for row in found:
                console.print(f"  {row['similarity']:6.3f}  {row['text']}")
            rows.extend(found)
        return PredictionResult(rows, problems, images)
    if isinstance(opened.task, Rows):
        files = [name for name in inputs if is_table(name)]
    for file in files:
        predictions, remarks = opened.predict_cells(read_cells(file, opened.info), top_k, f"{file}:")
        predicted = [dict(row) for prediction in predictions for row in prediction.rows]
        rows.extend(predicted)
        for row in predicted[:SHOWN]:
            console.print(", ".join(f"{key}: {value}" for key, value in row.items()))
        if len(predicted) > SHOWN:
            console.print(f"... and {len(predicted) - SHOWN:,} more rows")
        for remark in remarks:
            console.print(remark)
    others = [name for name in inputs if name not in files]
    if files and not others:
        return PredictionResult(rows, problems, images)
    arguments = names_of(others, opened.task.accepts == "images")
    if masks is not None:
        from pipelines.images.masks import encode

        stems = Counter(Path(argument).stem for argument in arguments)
        if twice := next((stem for stem, count in stems.items() if count > 1), None):
            raise UsageError(f"two inputs are named {twice}: their masks would have the same name; predict them apart")
    for argument, prediction in predict_each(opened, arguments, top_k):
        if isinstance(prediction, Exception):
            problems.append(str(prediction))
            codes.add(prediction.exit_code)
            continue
        console.print(argument)
        for line in prediction.lines:
            console.print(f"  {line}")
        rows.extend(dict(row) for row in prediction.rows)
        if prediction.image is not None:
            images[argument] = prediction.image
        if masks is not None:
            if prediction.mask is None:
                raise MissingError("this model does not predict masks: -o FOLDER is for segmentation")
            write_atomic(Path(masks) / f"{Path(argument).stem}.png", encode(prediction.mask, colours=True))
    if len(problems) == len(arguments) and codes == {MissingError.exit_code}:
        raise MissingError("; ".join(problems))
    return PredictionResult(rows, problems, images)


@click.command("predict")
@click.argument("source", metavar="RUN_OR_BUNDLE", type=click.Path())
@click.argument("inputs", metavar="INPUT...", nargs=-1, required=True)
@click.option("--top-k", default=3, show_default=True, type=click.IntRange(1), help="Predictions per input.")
@click.option("--category-names", metavar="FILE", type=click.Path(), help='JSON {"class": "display name"}.')
@click.option("--direction", type=click.Choice(["a2b", "b2a"]), help="For models that translate in both directions.")
@click.option(
    "--nearest", metavar="FILE", type=click.Path(), help="Show the texts of FILE, one a line, that are nearest to each."
)
@click.option("-o", "--out", type=click.Path(), help="CSV file (- is standard output), image file, or FOLDER/.")
@click.option("--runtime", type=click.Choice(kept.RUNTIMES), help="Runtime of the model.")
@kept.option
@shell.common_options
def main(
    source: str, inputs: tuple[str, ...], out: str | None, is_kept: bool, console: Console, **options: Any
) -> None:
    """Predict on image files of any size and mode, folders of them, or texts, with the model of a run or a bundle.

    The name of a model with shipped weights is accepted too: python -m zoo.predict fashion_mnist shirt.png. With --keep
    a proven TFLite file of the model is written to the cache, with which the next commands take less than a second.

    examples/cluster/ray_predict.py predicts on many images by several processes.

    For a folder, or a table of rows such as the one that the model was trained on, predictions.csv is written to the
    current folder, unless -o names another file. If the model predicts
    images, -o may name an image file: several images are placed below each other in it. If it predicts masks, -o may
    name a folder, with / at its end: it gets one PNG per input, whose values are class ids.
    """
    if out is not None and out.endswith(".parquet"):
        raise UsageError("a table is a .csv file: -o FILE.csv; examples/cluster/ray_predict.py writes Parquet files")
    if out == "-" and console.json:
        raise UsageError("-o - and --json both write to standard output: choose one")
    if out == "-":
        console = Console(quiet=True)
    is_folder = out is not None and (out.endswith("/") or Path(out).is_dir())
    masks, out = (out, None) if is_folder else (None, out)
    many = any(Path(name).is_dir() or glob.has_magic(name) or is_table(name) for name in inputs)
    to_table = out is None and masks is None and many
    results = masks or (Path(out).parent if out not in (None, "-") else "." if to_table else tempfile.gettempdir())
    if store := RunStore.of(source):
        source = str(store.path)
    confine_prediction(source, inputs, (options["category_names"], options["nearest"]), results)
    chosen = (options["runtime"], is_kept, console, options["direction"])
    with kept.preferred(source, *chosen) as (opened, options["runtime"]):
        result = run(opened, inputs, **options, masks=masks, console=console)
        if masks is not None:
            console.print(f"written: masks in {masks}")
        elif out is None and any(row["input"] not in inputs for row in result.rows):  # of a folder, or a table
            out = "predictions.csv"
        _write(result, out, console)


def _write(result: PredictionResult, out: str | None, console: Console) -> None:
    """Write a table or an image and the JSON; ZooError if an input has no prediction."""
    if out is not None and Path(out).suffix.lower() in IMAGE_SUFFIXES:
        from zoo.evaluation.images import tile, write

        if not result.images and not result.problems:
            raise MissingError(f"this model does not predict images: {out} would be empty; give -o a .csv file")
        if result.images:
            write(Path(out), tile(list(result.images.values()), columns=1))
            console.print(f"written: {out}")
    elif out is not None and result.rows:
        write_csv(out, result.rows)
        if out != "-":
            console.print(f"written: {out}, {len(result.rows)} rows")
    console.result({"predictions": result.rows, "problems": result.problems})
    if result.problems:
        raise ZooError("; ".join(result.problems))


if __name__ == "__main__":
    shell.run(main, prog="python -m zoo.predict")
