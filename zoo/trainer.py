"""One function that trains: it knows no model, no data and not how many machines it runs on."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING, Any

import keras

from zoo import checkpoints
from zoo.callbacks import Averaged, Keep, ShowProgress, StopOnNaN, ValidateAverage
from zoo.console import Console
from zoo.errors import ZooError
from zoo.layers import fused
from zoo.plan import Plan
from zoo.runs import Run

if TYPE_CHECKING:
    from pipelines.dataset import Dataset, Info
    from pipelines.feeding import Feed

WARM_UP, MEASURED = 5, 20  # steps of the speed measurement
RESERVE = 0.92  # share of a time budget that is planned for; the rest is for what runs beside us


def train(plan: Plan, dataset: Dataset, run: Run, console: Console, initial: str | None = None) -> Keep:
    """Train by `fit` until the recipe ends; the run folder is the whole state, and what it holds is taken up.

    Args:
        plan: What to build and how to train it.
        dataset: The splits.
        run: The run folder; the newest whole state in it is resumed.
        console: Where progress is shown.
        initial: Weights to begin from: a run, a bundle, a weights file or "default".

    Returns:
        What was kept: history, best epoch, why it stopped.

    Raises:
        ZooError: The loss is no longer a number, or a state does not fit.
    """
    recipe, info = plan.recipe, dataset.info
    training, validation = plan.feed(dataset, "train", training=True), plan.feed(dataset, "validation")
    steps = training.steps(recipe.batch_size)
    keras.utils.set_random_seed(plan.seed)
    model = plan.build(info)
    if initial is not None:
        from zoo import weights

        weights.load_into(model, plan.model, initial)
    plan.task.compile(model, recipe, info, steps * recipe.epochs)

    averaged = Averaged(model)
    deadline = time.monotonic() + 60 * recipe.minutes if recipe.minutes else None
    keep = Keep(run, averaged, recipe.patience, deadline)
    start = _resume(model, run, keep, console)
    if start >= recipe.epochs or keep.stopped:
        return keep
    progress = ShowProgress(console, recipe.epochs, steps, recipe.batch_size, start)
    try:
        with fused(model):
            model.fit(
                training.epochs(recipe.batch_size, seed=plan.seed, start=start, stop=recipe.epochs),
                validation_data=validation.batches(max(recipe.batch_size, 256)),
                initial_epoch=start,
                epochs=recipe.epochs,
                steps_per_epoch=steps,
                callbacks=[StopOnNaN(run), ValidateAverage(averaged), keep, _tensorboard(run), progress],
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


def fit_to_budget(plan: Plan, dataset: Dataset, console: Console) -> Plan:
    """Return the plan with its epochs lowered to what this machine trains in `recipe.minutes`.

    The speed is measured on a throw-away model: some steps, and a validation batch. At least one epoch remains.
    """
    recipe = plan.recipe
    if not recipe.minutes:
        return plan
    training, validation = plan.feed(dataset, "train", training=True), plan.feed(dataset, "validation")
    steps, size = training.steps(recipe.batch_size), recipe.batch_size
    seconds = _seconds_per_epoch(plan, dataset.info, training, validation)
    epochs = max(1, min(recipe.epochs, int(60 * recipe.minutes * RESERVE / seconds)))
    console.say(
        f"this machine takes about {seconds:.0f} s an epoch ({steps * size / seconds:,.0f} examples/s): "
        f"{epochs} of {recipe.epochs} epochs fit into {recipe.minutes:g} minutes"
    )
    return dataclasses.replace(plan, recipe=dataclasses.replace(recipe, epochs=epochs))


def _seconds_per_epoch(plan: Plan, info: Info, training: Feed, validation: Feed) -> float:
    size = plan.recipe.batch_size
    steps = training.steps(size)
    model = plan.build(info)
    plan.task.compile(model, plan.recipe, info, steps)
    batches = iter(training.epochs(size, seed=plan.seed, stop=1 + (WARM_UP + MEASURED) // steps))
    for _ in range(WARM_UP):
        model.train_on_batch(*_two(next(batches)))
    began = time.monotonic()
    for _ in range(MEASURED):
        logs = model.train_on_batch(*_two(next(batches)), return_dict=True)
    train_seconds = (time.monotonic() - began) / MEASURED
    if not logs:
        raise ZooError("the model's train_step returns no losses")
    batch = _two(next(iter(validation.batches(size))))
    model.test_on_batch(*batch)
    began = time.monotonic()
    for _ in range(3):
        model.test_on_batch(*batch)
    return steps * train_seconds + validation.steps(size) * (time.monotonic() - began) / 3


def _two(batch: Any) -> tuple[Any, Any]:
    return batch if isinstance(batch, tuple) else (batch, None)
