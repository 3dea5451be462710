"""Fit a built model to two feeds; the run folder holds the complete state, from which the training resumes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras

from zoo.core.weight_files import check_file
from zoo.modeling.instance_methods import fused
from zoo.modeling.layers import adapt_momentum
from zoo.training import checkpoints
from zoo.training.callbacks import (
    AveragedWeights,
    CheckpointCallback,
    PreviewImages,
    ShowProgress,
    StopOnNaN,
    Throughput,
    TimeBudget,
)
from zoo.training.compiling import compile_model
from zoo.training.session import Session

if TYPE_CHECKING:
    from pipelines.feeding import Feed


def fit(model: keras.Model, session: Session, training: Feed, validation: Feed) -> CheckpointCallback:
    """Fit a built model to two feeds by the recipe of a session; returns and raises the same as `trainer.train`."""
    plan, folder, replicas, recipe = session.plan, session.folder, session.replicas, session.plan.recipe
    training, evaluated = replicas.share(training), replicas.share(validation)
    steps = training.steps(recipe.batch_size)
    size = replicas.validation_size(evaluated.count, max(recipe.batch_size, 256))
    with replicas.scope():
        compile_model(model, plan, session.info, steps * recipe.epochs, session.objects)
        adapt_momentum(model, steps)
        replicas.adapt(model, training)
        averaged = AveragedWeights(model)
        checkpoint = CheckpointCallback(session, averaged)
        start = _resume(model, session, checkpoint)
    replicas.wait(start)
    if start >= recipe.epochs or checkpoint.stop_reason:
        return checkpoint
    progress = ShowProgress(session, steps, start)
    throughput = Throughput(folder.path / "logs" / f"worker-{replicas.index}", recipe.batch_size / replicas.workers)
    throughput.watch(model)
    callbacks = [StopOnNaN(folder), averaged, checkpoint, progress, throughput]
    if replicas.is_chief:
        callbacks.append(keras.callbacks.TensorBoard(str(folder.path / "logs"), write_graph=False))
    callbacks += session.objects.callbacks
    if recipe.minutes:
        callbacks.insert(0, TimeBudget(recipe.minutes, checkpoint))
    preview = plan.task.preview(model, validation, session.info) if replicas.is_chief else None
    if preview:  # before `checkpoint`: a saved state has its image
        callbacks.insert(0, PreviewImages(folder.path / "progress", preview))
    epochs = training.epochs(recipe.batch_size, seed=plan.seed, start=start, stop=recipe.epochs)
    try:
        with fused(model):
            model.fit(
                replicas.distribute(epochs),
                validation_data=replicas.distribute(evaluated.batches(size)),
                validation_steps=evaluated.steps(size),
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


def _resume(model: keras.Model, session: Session, checkpoint: CheckpointCallback) -> int:
    """Restore the newest undamaged state; return the number of finished epochs."""
    if getattr(model, "optimizer", None) is not None:
        model.optimizer.build(model.trainable_variables)
    for path, arrays in checkpoints.read(session.folder.path / "checkpoints"):
        if arrays is None:
            session.console.print(f"{path} is damaged; using the previous state")
            continue
        state = checkpoints.restore(model, arrays, path)
        checkpoint.restore(state)
        check_file(session.folder.weights)
        session.console.print(f"resuming after epoch {state['epoch']} from {path}")
        return state["epoch"]
    return 0
