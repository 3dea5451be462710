"""python -m benchmarks.candidates: what is exported with `--candidates all`, against every other candidate.

Each candidate is evaluated on the test split once, after the choice on validation. The data of the trips `houses`,
`genes`, `hearts` and `weather` was chosen before their first training; no recipe was tuned on it. The page
docs/concepts/candidates.md has the table.
"""

import csv
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import click

from benchmarks.benchmark import HERE, with_block
from pipelines.sources.packages import Wheel
from zoobase import console as shell
from zoobase.console import Console
from zoobase.errors import unknown
from zoobase.files import write_atomic

ORANGE = Wheel(
    "orange3", "3.40.0", "1c24dc6df818be26710d6d8d7595a8a50682e3c99e6e3bdabe14591e26f5a85b", "Orange/datasets"
)
VEGA = Wheel(
    "vega_datasets", "0.9.0", "3d7c63917be6ca9b154b565f4779a31fedce57b01b5b9d99d8a34a7608062a1d", "vega_datasets/_data"
)
FILE, PAGE = HERE / "candidates.json", HERE.parent / "docs" / "concepts" / "candidates.md"
MARKS = "<!-- benchmarks.candidates -->", "<!-- /benchmarks.candidates -->"

# name: what it is, model, file of a wheel or None, settings
TRIPS: dict[str, tuple[str, str, tuple[Wheel, str] | None, dict[str, Any]]] = {
    "houses": ("506 houses, regression (Orange `housing`)", "table", (ORANGE, "housing.tab"), {}),
    "genes": (
        *("186 rows of 79 columns, 3 classes (Orange `brown-selected`)", "table"),
        *((ORANGE, "brown-selected.tab"), {"task.target_column": "function"}),
    ),
    "hearts": (
        *("303 rows, 2 classes as 0 and 1 (Orange `heart_disease`)", "table"),
        *((ORANGE, "heart_disease.tab"), {"task.columns": {"diameter narrowing": "category"}}),
    ),
    "weather": (
        *("1,461 days, the temperature of the next 14 (vega `seattle-weather`)", "forecast"),
        *((VEGA, "seattle-weather.csv"), {"task.target_column": "temp_max"}),
    ),
    "rentals": ("731 days, the rentals of the next 14 (`series`)", "forecast", None, {}),
    "reviews": ("2,000 sentences, 2 classes (`movie_reviews`)", "sentiment", None, {"data": "movie_reviews"}),
    "encoder": ("the same, by a sentence encoder", "text", None, {}),
    "photographs": ("stamps, 8 classes, pretrained features", "flowers", None, {"data": "stamps"}),
    "scratch": (
        *("the same from scratch, 48 pixels", "mnist_cnn", None),
        {"data": "stamps", "task.height": 48, "task.width": 48, "task.channels": 3},
    ),
    "words": ("recordings, spoken numbers (`spoken_numbers`)", "keywords", None, {}),
    "masks": ("300 scenes with masks (`garment_scenes`)", "unet", None, {"recipe.limit": 300}),
    "boxes": ("300 images with boxes (`garment_boxes`)", "detector", None, {"recipe.limit": 300}),
}
LIMITS = {"reviews": 2000, "encoder": 2000}


def _table(wheel: Wheel, name: str, folder: Path) -> Path:
    """Write a table of a wheel as CSV: a .tab file has two more lines in its header."""

    def read(source: Path) -> list[list[str]]:
        (path,) = source.rglob(name)
        rows = list(csv.reader(path.open(encoding="utf-8"), delimiter="\t" if name.endswith(".tab") else ","))
        return [rows[0], *rows[3:]] if name.endswith(".tab") else rows

    path = folder / f"{Path(name).stem}.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(wheel.fetched(read).load())
    return path


def measure(name: str) -> dict[str, Any]:
    """Train all candidates of a trip; return the figures of the selected one and of the others on the test split."""
    from zoo import train

    title, model, file, settings = TRIPS[name]
    if name in LIMITS:
        settings = settings | {"recipe.limit": LIMITS[name]}
    with tempfile.TemporaryDirectory() as folder:
        data = None if file is None else str(_table(*file, Path(folder)))
        start = time.monotonic()
        # the run of transfer learning has its candidates inside: the head starts as logistic regression
        candidates = {} if model == "flowers" else {"candidates": "all"}
        run = Path(folder) / "run"
        options = {"data_dir": data, "settings": settings, "precision": "float32", "export": False, "out": str(run)}
        summary = train.run(model, **options, **candidates)
        seconds = time.monotonic() - start
        choice = json.loads(path.read_text()) if (path := run / "candidates.json").is_file() else {}
    metric = next(iter(summary["metrics"]))
    gains = {row: gain for row, gain in summary.get("gains", {}).items() if gain["metric"] == metric}
    return {
        "title": title,
        "command": summary.get("command", f"python -m zoo.train {model}"),
        "selected": choice.get("selected", model),
        "examples": summary["examples"],
        "metric": metric,
        "value": summary["metrics"][metric],
        "interval": summary.get("intervals", {}).get(metric),
        "others": {row: {key: gain[key] for key in ("gain", "low", "high", "verdict")} for row, gain in gains.items()},
        "values": {row: values.get(metric) for row, values in summary.get("compared", {}).items()},
        "seconds": round(seconds),
    }


def lines(results: dict[str, Any]) -> str:
    """Return the table of the page."""
    rows = ["| data | exported | test | best other | gain, 95 % interval | |", "|---|---|---:|---:|---:|---|"]
    for result in results.values():
        shown = f"{result['metric']} {result['value']:.4g}"
        if not result["others"]:
            rows.append(f"| {result['title']} | {result['selected']} | {shown} | | | |")
            continue
        best, gain = min(result["others"].items(), key=lambda item: item[1]["gain"])
        value = result["values"][best]
        interval = f"{gain['gain']:+.3g} ({gain['low']:+.3g} to {gain['high']:+.3g})"
        cells = (result["title"], result["selected"], shown, f"{best} {value:.4g}", interval, gain["verdict"])
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


@click.command("candidates")
@click.argument("names", metavar="[TRIP]...", nargs=-1)
@shell.common_options
def main(names: tuple[str, ...], console: Console) -> None:
    """Train the trips, by default all, write candidates.json, and the table of docs/concepts/candidates.md."""
    for name in names:
        if name not in TRIPS:
            raise unknown("trip", name, TRIPS)
    results = json.loads(FILE.read_text()) if FILE.is_file() else {}
    for name in names or TRIPS:
        console.print(f"{name}: {TRIPS[name][0]} (load {os.getloadavg()[0]:.1f})")
        results[name] = measure(name)
        console.print(json.dumps(results[name]))
        results = {key: results[key] for key in TRIPS if key in results}
        write_atomic(FILE, json.dumps(results, indent=1) + "\n")
    write_atomic(PAGE, with_block(PAGE.read_text(encoding="utf-8"), MARKS, f"\n{lines(results)}"))
    console.result(results)


if __name__ == "__main__":
    shell.run(main, prog="python -m benchmarks.candidates")
