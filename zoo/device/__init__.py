"""From a folder of photographs, texts or masks to a TFLite file for MediaPipe and mobile apps."""

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from export.contract.quantization import CALIBRATION_ROWS
from export.formats import QUANTIZATIONS
from zoo import export, train
from zoo.core.run_folder import RunFolder
from zoobase.console import Console
from zoobase.errors import UsageError

COMPRESSED = ("int8", "float16")  # in the order in which they are preferred, where their drop is within the budget
IMAGES = frozenset({".jpg", ".jpeg", ".png", ".gif", ".bmp"})


@dataclass(frozen=True)
class Kind:
    """A kind of data: the model that is trained on it, and the MediaPipe Task that opens the file."""

    name: str
    matches: Callable[[Path, set[str]], bool]  # (path, suffixes of the files in its sub-folders) -> whether it is this
    model: str
    settings: Mapping[str, Any]
    task: str


KINDS = (
    Kind(
        "images with masks",
        lambda path, suffixes: (path / "images").is_dir() and (path / "masks").is_dir(),
        "unet",
        {"data": "mask_folder"},
        "ImageSegmenter",
    ),
    Kind(
        "texts",
        lambda path, suffixes: path.suffix == ".csv" or ".txt" in suffixes,
        "sentiment",
        {"task.tokenizer": "delimited"},
        "TextClassifier",
    ),
    Kind("photographs", lambda path, suffixes: bool(suffixes & IMAGES), "flowers", {}, "ImageClassifier"),
)


def run(
    data_dir: str | Path,
    out: str | Path,
    *,
    max_drop: float | None = None,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
    console: Console | None = None,
) -> dict[str, Any]:
    """Train on a folder, compress within a budget, and prove the files in every runtime of devices that is installed.

    Args:
        data_dir: Photographs, one sub-folder per class; texts, a CSV with the columns text and label or one sub-folder
            per class; or images with masks, in the sub-folders `images` and `masks`.
        out: The run folder; the bundle is in its folder `bundle`.
        max_drop: Largest allowed drop of the metric of a compressed file; None for 0.01, or for what so many test
            examples can show.
        settings: Further settings of the training, such as {"recipe.epochs": 10}.
        seed: Random seed.
        console: Receives progress; None prints nothing.

    Returns:
        The summary of the training, and under `device`: kind, task, the bundle, its files with megabytes and metric
        drop, and which of them is the smallest within the budget.

    Raises:
        UsageError: The folder holds none of these.
        pipelines.DataError: The data is not available.
        export.ExportError: The file of full precision is not what was trained.

    Example:
        >>> run("photographs", "out", settings={"recipe.epochs": 1})["device"]["task"]
        'ImageClassifier'
    """
    console, start = console or Console(quiet=True), time.monotonic()
    kind = kind_of(Path(data_dir))
    console.print(f"{data_dir}: {kind.name}; training {kind.model} for MediaPipe's {kind.task}")
    chosen = {**kind.settings, **(settings or {})}
    options = {"data_dir": str(data_dir), "out": str(out), "settings": chosen, "seed": seed, "export": False}
    summary = train.run(kind.model, **options, console=console)
    budget = export.MAX_DROP if max_drop is None else max_drop
    if max_drop is None and RunFolder.open(out).plan().task.counts_examples:
        budget = max(budget, 6 / summary["examples"])  # a drop of nothing has an interval of half of it
    bundle = _export(Path(out), budget, console)
    files = [
        {"file": row["artifact"], "megabytes": round(row["bytes"] / 1e6, 2), "drop": row.get("drop")}
        for row in bundle["artifacts"]
        if row["runtime"] == "litert" and row["state"] == "pass"
    ]
    smallest = min(files, key=lambda file: file["megabytes"])["file"]
    summary["device"] = {
        "kind": kind.name,
        "task": kind.task,
        "bundle": bundle["path"],
        "max_drop": budget,
        "files": files,
        "smallest": smallest,
        "runtimes": {row["runtime"]: row["state"] for row in bundle["artifacts"] if row["artifact"] == smallest},
        "seconds": round(time.monotonic() - start, 1),
    }
    return summary


def kind_of(path: Path) -> Kind:
    """Return the kind of data of a folder or file."""
    if not path.exists():
        raise UsageError(f"there is no folder {path}: give one with photographs, texts or masks by --data-dir")
    suffixes = {file.suffix.lower() for file in path.rglob("*") if file.is_file() and file.parent != path}
    found = next((kind for kind in KINDS if kind.matches(path, suffixes)), None)
    if found is None:
        raise UsageError(
            f"{path} holds no data that this command knows: one sub-folder per class of photographs or of .txt files, "
            "a .csv with the columns text and label, or the sub-folders images and masks"
        )
    return found


def _export(folder: Path, budget: float, console: Console) -> dict[str, Any]:
    """Write the bundle with the compressed files whose drop is within the budget; return its summary."""
    from export import ExportFailed

    train = RunFolder.open(folder).info().counts["train"]
    few = train < CALIBRATION_ROWS
    kinds: Sequence[str] = [kind for kind in COMPRESSED if not (few and QUANTIZATIONS[kind].is_calibrated)]
    for kind in COMPRESSED:
        if kind not in kinds:
            console.print(
                f"left out: {kind}: it is calibrated on {CALIBRATION_ROWS} training rows, and there are {train}"
            )
    while True:
        try:
            (bundle,) = export.run(folder, quantize=kinds, max_drop=budget, device=True, console=console)
            return bundle
        except ExportFailed as failure:
            failed = {row.artifact: row.reason for row in failure.certificate.rows if row.decides}
            left_out = [kind for kind in kinds if f"tflite/{kind}.tflite" in failed]
            if not left_out or len(left_out) < len(failed):
                raise
            for kind in left_out:
                console.print(f"left out: {kind}: {failed[f'tflite/{kind}.tflite']}")
            kinds = [kind for kind in kinds if kind not in left_out]
            shutil.rmtree(failure.bundle_path)
