"""Seconds and test accuracy of a complete default training of flowers: frozen_features.py once | through.

"once" is `python -m zoo.train flowers --no-export` with an empty cache. "through" is the same model, data, recipe and
epochs by `fit` with the frozen backbone below the head in every step; both cache decoded images in memory. Seconds an
epoch are the median of the run's history.
"""

import csv
import dataclasses
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

FOLDER = str(Path(os.environ["BENCHMARK_DATA"]) / "crops")


def epoch_seconds(work: Path) -> float:
    """Return the median seconds of an epoch, validation included."""
    with (work / "run" / "history.csv").open() as rows:
        return statistics.median(float(row["seconds"]) for row in csv.DictReader(rows))


def once(work: Path) -> float:
    """Train as on the command line."""
    from zoo import train

    return train.run("flowers", data_dir=FOLDER, out=str(work / "run"), export=False)["metrics"]["accuracy"]


def through(work: Path) -> float:
    """Train the same head with the frozen backbone below it in every step."""
    from zoo import evaluate
    from zoo.core import plan
    from zoo.core.run_folder import RunFolder
    from zoo.core.weight_files import save_file
    from zoo.modeling import backbones
    from zoo.training import trainer, transfer
    from zoo.training.session import Session
    from zoobase.console import Console

    console = Console(quiet=True)
    planned = plan.make_plan("flowers", data_dir=FOLDER)
    dataset, run = planned.load_data(), RunFolder.create("flowers", work / "run")
    (phase,) = planned.task.phases(planned.recipe, dataset.info)
    run.save_config(planned, dataset.info, {"requested": planned.to_json()})
    model = planned.build(dataset.info)
    transfer.load_initial_weights(model, planned, "efficientnet_lite0", console)
    model.get_layer(backbones.BACKBONE).trainable = False
    fitted = dataclasses.replace(planned, recipe=phase.recipe)
    feeds = [fitted.feed(dataset, split, training=split == "train") for split in ("train", "validation")]
    trainer.fit(model, Session(fitted, run, dataset), *feeds)
    model.load_weights(run.weights)
    save_file(model, run.weights)
    return evaluate.run(run.path, dataset=dataset)["metrics"]["accuracy"]


with tempfile.TemporaryDirectory() as work:
    from zoo.core import environment
    from zoo.weights.efficientnet_lite import LITE0

    environment.prepare()
    weights = LITE0.fetch().parent  # converted once per machine, not part of a training
    os.environ["ZOO_CACHE"] = str(Path(work) / "cache")
    (Path(work) / "cache" / "weights").mkdir(parents=True)
    (Path(work) / "cache" / "weights" / weights.name).symlink_to(weights)
    start, used = time.perf_counter(), time.process_time()
    accuracy = {"once": once, "through": through}[sys.argv[1]](Path(work))
    seconds, used = time.perf_counter() - start, time.process_time() - used
    extra = {"CPU seconds": used, "seconds an epoch": epoch_seconds(Path(work)), "test accuracy": accuracy}
    print(json.dumps({"value": seconds, **extra}))
