"""Frozen features once against `fit` through the backbone: python benchmarks/frozen_features.py [--data-dir FOLDER]

The same model, data, recipe and epochs, both to the end of the training, decoded pictures cached in both. Without a
folder: crops of real photographs. Prints seconds, their ratio, and both test accuracies.
"""

import argparse
import dataclasses
import json
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data-dir")
    parser.add_argument("--count", type=int, default=20, help="crops a class, without a folder")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        folder = arguments.data_dir
        if folder is None:
            from tests.photographs import write

            folder = str(write(Path(work) / "photographs", arguments.count))
        cache = str(Path(work) / "cache")
        os.environ["ZOO_CACHE"] = os.environ.get("ZOO_CACHE", cache)
        from zoo import environment

        environment.prepare()
        from zoo.weights import efficientnet_lite0

        efficientnet_lite0.fetch()
        told = {"frozen features": once(folder, Path(work)), "fit through the backbone": through(folder, Path(work))}
    ratio = told["fit through the backbone"]["seconds"] / told["frozen features"]["seconds"]
    print(json.dumps({**told, "ratio": ratio}, indent=2))


def once(folder: str, work: Path) -> dict[str, float]:
    """Train as `python -m zoo.train flowers --set task.policy=head` does."""
    from zoo import train

    settings = {"task.policy": "head", "task.baseline": False}
    began = time.perf_counter()
    told = train.run(
        "flowers", settings=settings, data_dir=folder, cache_dir=str(work), out=str(work / "a"), export=False
    )
    return {"seconds": time.perf_counter() - began, "accuracy": told["metrics"]["accuracy"]}


def through(folder: str, work: Path) -> dict[str, float]:
    """Train the same head with the frozen backbone below it in every step."""
    from zoo import evaluate, plan, trainer, transfer
    from zoo.callbacks import save_weights
    from zoo.console import Console
    from zoo.runs import Run

    began = time.perf_counter()
    planned = plan.make_plan("flowers", settings={"task.policy": "head"}, data_dir=folder, cache_dir=str(work))
    dataset, run = planned.load_data(), Run.create("flowers", work / "b")
    (phase,) = planned.task.phases(planned.recipe, dataset.info)
    run.save_config(planned, dataset.info, {"requested": planned.to_json()})
    model = planned.build(dataset.info)
    transfer._begin(model, planned, "efficientnet_lite0", Console(quiet=True))
    model.get_layer("backbone").trainable = False
    planned = dataclasses.replace(planned, recipe=phase.recipe)
    feeds = [planned.feed(dataset, split, training=split == "train") for split in ("train", "validation")]
    trainer.fit(model, planned, dataset.info, *feeds, run, Console(quiet=True))
    model.load_weights(run.weights)
    save_weights(model, run)
    told = evaluate.run(run.path, dataset=dataset)
    return {"seconds": time.perf_counter() - began, "accuracy": told["metrics"]["accuracy"]}


if __name__ == "__main__":
    main()
