"""Forecasts of bike rentals from five days, 21 days apart: rolling_origins.py [ORIGINS].

Each training ends 81 days before the end of the hours that remain; 60 days choose the epoch, 21 days are the test. A
single test of 21 days says little: its standard error is a tenth of the mean absolute error.
Reference: Tashman 2000, doi:10.1016/S0169-2070(00)00065-0.
"""

import csv
import datetime
import json
import sys
import tempfile
from pathlib import Path

import numpy as np

import pipelines
from zoo import train
from zoo.core.run_folder import RunFolder
from zoo.core.weight_files import load_file
from zoobase.files import cache_root

ORIGINS, DAYS, ENSEMBLE = 5, 21, 6


def main(origins: int) -> None:
    """Print a row an origin: the mean of six networks, each of them, and gradient boosting."""
    pipelines.load("bike_sharing")  # into the cache
    with (cache_root(None) / "bike_sharing" / "table" / "hour.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    day = header.index("dteday")
    last = datetime.date.fromisoformat(max(row[day] for row in rows))
    for origin in range(origins):
        end = str(last - datetime.timedelta(days=DAYS * origin))
        with tempfile.TemporaryDirectory() as folder:
            with (Path(folder) / "hour.csv").open("w", newline="") as file:
                csv.writer(file).writerows([header, *(row for row in rows if row[day] <= end)])
            options = {"data_dir": folder, "precision": "float32", "export": False}
            summary = train.run("bike_sharing", settings={"model.ensemble": ENSEMBLE}, out=f"{folder}/run", **options)
            run, data = RunFolder.open(f"{folder}/run"), RunFolder.open(f"{folder}/run").dataset(None)
            singles = [
                _mean_absolute_error(plan, Path(folder) / "run" / "restarts" / str(i), data)
                for i, plan in enumerate(run.plan().trainings())
            ]
        gain = summary["gains"]["gradient boosting"]
        row = {
            "until": end,
            "mean of six": summary["metrics"]["mae"],
            "interval": summary["intervals"]["mae"],
            "each": [round(value, 2) for value in singles],
            "gradient boosting": summary["compared"]["gradient boosting"]["mae"],
            "gain": [gain["gain"], gain["low"], gain["high"]],
        }
        print(json.dumps(row, default=float), flush=True)


def _mean_absolute_error(plan: object, folder: Path, data: pipelines.Dataset) -> float:
    model = plan.build(data.info)
    load_file(model, folder / "checkpoints" / "best.weights.h5")
    rows, truth = next(iter(plan.feed(data, "test").batches(10_000)))
    return float(np.abs(model(rows).numpy() - truth.numpy()).mean())


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ORIGINS)
