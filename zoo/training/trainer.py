"""One function that trains: it knows no model, no data and not how many machines it runs on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import keras

from commandline.console import Console
from pipelines.sources.storage import write_atomic
from zoo import weights
from zoo.core.environment import computing_in
from zoo.core.plan import Plan
from zoo.core.run_folder import Run
from zoo.training.callbacks import Keep
from zoo.training.fit import fit

if TYPE_CHECKING:
    from pipelines.dataset import Dataset


def train_best(plan: Plan, dataset: Dataset, run: Run, console: Console) -> Keep:
    """Train every candidate of the recipe from every seed; keep the best by validation loss. Arguments as of `train`.

    Each training has a run folder of its own below `restarts/`, so that a killed series goes on where it was.
    """
    trainings = plan.trainings()
    if len(trainings) == 1:
        return train(trainings[0], dataset, run, console)
    kept: list[Keep] = []
    for i, one in enumerate(trainings):
        inner = Run(run.path / "restarts" / str(i))
        inner.path.mkdir(parents=True, exist_ok=True)
        console.print(f"training {i + 1} of {len(trainings)}: {_described(one)}")
        kept.append(train(one, dataset, inner, console))
    best = min(range(len(kept)), key=lambda i: kept[i].best)
    console.print(f"the best by validation loss is training {best + 1}: {_described(trainings[best])}")
    write_atomic(run.weights, Run(run.path / "restarts" / str(best)).weights.read_bytes())
    run.write_history(kept[best].rows)
    run.choose(trainings[best].candidate, dataset.info)
    return kept[best]


def _described(plan: Plan) -> str:
    candidates = plan.recipe.candidates
    return f"seed {plan.seed}" + (f", {json.dumps(candidates[plan.candidate])}" if candidates else "")


def train(plan: Plan, dataset: Dataset, run: Run, console: Console) -> Keep:
    """Train by `fit` until the recipe ends; the run folder is the whole state, and what it holds is taken up.

    Args:
        plan: What to build and how to train it.
        dataset: The splits.
        run: The run folder; the newest whole state in it is resumed.
        console: Where progress is shown.

    Returns:
        What was kept: history, best epoch, why it stopped.

    Raises:
        ZooError: The loss is no longer a number, or a state does not fit.
    """
    if plan.task.phases(plan.recipe, dataset.info):
        from zoo.training import transfer

        return transfer.train(plan, dataset, run, console)
    info = dataset.info
    training, validation = plan.feed(dataset, "train", training=True), plan.feed(dataset, "validation")
    keras.utils.set_random_seed(plan.seed)
    with computing_in(plan.precision):
        model = plan.build(info)
    plan.task.initialize(model, dataset)
    if plan.init is not None:
        weights.load_into(model, plan.model, plan.init)
    return fit(model, plan, info, training, validation, run, console)
