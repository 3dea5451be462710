"""Fit a built model to two feeds; the run folder holds the complete state, from which the training resumes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras

from zoo.core.plan import Plan
from zoo.core.run_folder import Run
from zoo.core.weight_files import check_file
from zoo.distribution.replicas import SINGLE, Replicas
from zoo.modeling.layers import adapt_momentum, fused
from zoo.training import checkpoints
from zoo.training.callbacks import (
    AveragedWeights,
    CheckpointCallback,
    PreviewImages,
    ShowProgress,
    StopOnNaN,
    TimeBudget,
    ValidateAverage,
)
from zoo.training.compiling import compile_model
from zoo.training.throughput import Throughput
from zoo.training.user_objects import NO_OBJECTS, UserObjects
from zoobase.console import Console

if TYPE_CHECKING:
    from pipelines.dataset import Info
    from pipelines.feeding import Feed


def fit(
    model: keras.Model,
    plan: Plan,
    info: Info,
    training: Feed,
    validation: Feed,
    run: Run,
    console: Console,
    objects: UserObjects = NO_OBJECTS,
    replicas: Replicas = SINGLE,
) -> CheckpointCallback:
    """Fit a built model to two feeds by the plan's recipe; returns and raises the same as `trainer.train`."""
    recipe = plan.recipe
    training, judged = replicas.share(training), replicas.share(validation)
    steps = training.steps(recipe.batch_size)
    size = replicas.validation_size(judged.count, max(recipe.batch_size, 256))
    with replicas.scope():
        compile_model(model, plan, info, steps * recipe.epochs, objects)
        adapt_momentum(model, steps)
        replicas.adapt(model, training)
        averaged = AveragedWeights(model)
        checkpoint = CheckpointCallback(run, averaged, recipe.patience, plan.task.monitor, writes=replicas.is_chief)
        start = _resume(model, run, checkpoint, console)
    replicas.wait(start)
    if start >= recipe.epochs or checkpoint.stop_reason:
        return checkpoint
    progress = ShowProgress(console, recipe.epochs, steps, recipe.batch_size, start)
    throughput = Throughput(run.path / "logs" / f"worker-{replicas.index}", recipe.batch_size / replicas.workers)
    throughput.watch(model)
    tensorboard = [_tensorboard(run)] if replicas.is_chief else []
    callbacks = [StopOnNaN(run), ValidateAverage(averaged), checkpoint, *tensorboard, progress, throughput]
    callbacks += objects.callbacks
    if recipe.minutes:
        callbacks.insert(0, TimeBudget(recipe.minutes, checkpoint))
    preview = plan.task.preview(model, validation, info) if replicas.is_chief else None
    if preview:  # before `checkpoint`: a saved state has its image
        callbacks.insert(0, PreviewImages(run.path / "progress", preview))
    epochs = training.epochs(recipe.batch_size, seed=plan.seed, start=start, stop=recipe.epochs)
    try:
        with fused(model):
            model.fit(
                replicas.distribute(epochs),
                validation_data=replicas.distribute(judged.batches(size)),
                validation_steps=judged.steps(size),
                initial_epoch=start,
                epochs=recipe.epochs,
                steps_per_epoch=steps,
                callbacks=callbacks,
                shuffle=False,
                verbose=0,
            )
    finally:
        progress.close()
    return checkpoint


def _resume(model: keras.Model, run: Run, checkpoint: CheckpointCallback, console: Console) -> int:
    """Restore the newest undamaged state; return the number of finished epochs."""
    if getattr(model, "optimizer", None) is not None:
        model.optimizer.build(model.trainable_variables)
    for path, arrays in checkpoints.read(run.path / "checkpoints"):
        if arrays is None:
            console.print(f"{path} is damaged; using the previous state")
            continue
        state = checkpoints.restore(model, arrays, path)
        checkpoint.restore(state)
        check_file(run.weights)
        console.print(f"resuming after epoch {state['epoch']} from {path}")
        return state["epoch"]
    return 0


def _tensorboard(run: Run) -> keras.callbacks.Callback:
    return keras.callbacks.TensorBoard(str(run.path / "logs"), write_graph=False)
