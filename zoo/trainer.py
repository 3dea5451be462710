"""One function that trains: it knows no model, no data and not how many machines it runs on."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import keras

from pipelines.sources.storage import write_atomic
from zoo import checkpoints, weights
from zoo.callbacks import Averaged, Keep, ShowProgress, StopOnNaN, ValidateAverage
from zoo.capabilities import Begins, Phased
from zoo.console import Console
from zoo.layers import fused
from zoo.plan import Plan
from zoo.runs import Run
from zoo.speed import computing_in
from zoo.watching import DrawEpochs, Watches

if TYPE_CHECKING:
    from pipelines.dataset import Dataset, Info
    from pipelines.feeding import Feed


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
        console.say(f"training {i + 1} of {len(trainings)}: {_described(one)}")
        kept.append(train(one, dataset, inner, console))
    best = min(range(len(kept)), key=lambda i: kept[i].best)
    console.say(f"the best by validation loss is training {best + 1}: {_described(trainings[best])}")
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
    if isinstance(plan.task, Phased):
        from zoo import transfer

        return transfer.train(plan, dataset, run, console)
    info = dataset.info
    training, validation = plan.feed(dataset, "train", training=True), plan.feed(dataset, "validation")
    keras.utils.set_random_seed(plan.seed)
    with computing_in(plan.precision):
        model = plan.build(info)
    if isinstance(plan.task, Begins):
        plan.task.begin(model, dataset)
    if plan.init is not None:
        weights.load_into(model, plan.model, plan.init)
    return fit(model, plan, info, training, validation, run, console)


def fit(
    model: keras.Model, plan: Plan, info: Info, training: Feed, validation: Feed, run: Run, console: Console
) -> Keep:
    """Fit a model that is built to two feeds by the plan's recipe; result and raises as of `train`."""
    recipe = plan.recipe
    steps = training.steps(recipe.batch_size)
    plan.task.compile(model, recipe, info, steps * recipe.epochs)

    averaged = Averaged(model)
    deadline = time.monotonic() + 60 * recipe.minutes if recipe.minutes else None
    watched = isinstance(plan.task, Watches)
    keep = Keep(run, averaged, recipe.patience, deadline, plan.task.monitor if watched else "val_loss")
    start = _resume(model, run, keep, console)
    if start >= recipe.epochs or keep.stopped:
        return keep
    progress = ShowProgress(console, recipe.epochs, steps, recipe.batch_size, start)
    callbacks = [StopOnNaN(run), ValidateAverage(averaged), keep, _tensorboard(run), progress]
    if watched:  # before `keep`: a state on disk never speaks of an epoch whose picture is not there yet
        callbacks.insert(0, DrawEpochs(run.path / "progress", plan.task.watch(model, validation, info)))
    try:
        with fused(model):
            model.fit(
                training.epochs(recipe.batch_size, seed=plan.seed, start=start, stop=recipe.epochs),
                validation_data=validation.batches(max(recipe.batch_size, 256)),
                initial_epoch=start,
                epochs=recipe.epochs,
                steps_per_epoch=steps,
                callbacks=callbacks,
                shuffle=False,
                verbose=0,
            )
    finally:
        progress.close()
    return keep


def _resume(model: keras.Model, run: Run, keep: Keep, console: Console) -> int:
    """Restore the newest whole state; return the number of epochs that are done."""
    if getattr(model, "optimizer", None) is not None:
        model.optimizer.build(model.trainable_variables)
    for path, arrays in checkpoints.read(run.path / "checkpoints"):
        if arrays is None:
            console.say(f"{path} is damaged; taking the state before it")
            continue
        state = checkpoints.restore(model, arrays, path)
        keep.restore(state)
        console.say(f"resuming after epoch {state['epoch']} from {path}")
        return state["epoch"]
    return 0


def _tensorboard(run: Run) -> keras.callbacks.Callback:
    return keras.callbacks.TensorBoard(str(run.path / "logs"), write_graph=False)
