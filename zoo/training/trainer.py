"""The training function: independent of model, data and number of devices."""

import dataclasses
import functools
import json

import keras

from pipelines.dataset import Dataset
from pipelines.feeding import Feed
from zoo import weights
from zoo.compression import distillation, quantization
from zoo.compression.constraints import Compression
from zoo.core.capabilities import Initializes, Phased, Previews
from zoo.core.environment import dtype_policy
from zoo.core.plan import Plan
from zoo.core.weight_files import check_file, load_file, save_file
from zoo.distribution.replicas import SINGLE, Replicas
from zoo.modeling.instance_methods import build_metrics, fused
from zoo.training import checkpoints, transfer, whitening
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
from zoobase.errors import UsageError, ZooError
from zoobase.files import write_with_checksum


def train_best(session: Session) -> CheckpointCallback:
    """Train every candidate of the recipe with every seed, as `train` does; return the best by validation loss."""
    # Each has its own run folder below `restarts/`, so that a series can be resumed; those of an ensemble are kept.
    plans, console, folder = session.plan.trainings(), session.console, session.folder
    if plans == [session.plan]:
        return train(session)
    trainings = [session.inner(f"restarts/{i}", plan) for i, plan in enumerate(plans)]
    results: list[CheckpointCallback] = []
    for i, training in enumerate(trainings, start=1):
        console.print(f"training {i} of {len(trainings)}: {_describe(training.plan)}")
        results.append(train(training))
    best = min(range(len(results)), key=lambda i: results[i].best)
    if session.plan.ensemble > 1:
        console.print(f"the model is the mean of these {len(plans)}; the history is that of training {best + 1}")
    elif len(plans) > 1:
        console.print(f"best by validation loss: training {best + 1}, {_describe(plans[best])}")
    if session.replicas.is_chief:
        kept = trainings if session.plan.ensemble > 1 else trainings[best : best + 1]
        if session.plan.averaged:  # the weights of a mean, of models or of mirror images, from those of the models
            from zoo.modeling.blocks import assemble

            plan = dataclasses.replace(session.plan, candidate=kept[0].plan.candidate)
            model, trained = plan.build(session.info), []
            for training in kept:
                trained.append(training.plan.build(session.info))
                load_file(trained[-1], training.folder.weights)
            assemble(model, trained)
            save_file(model, folder.weights)
        else:
            check_file(kept[0].folder.weights)
            write_with_checksum(folder.weights, kept[0].folder.weights.read_bytes())
        folder.write_history(results[best].rows)
        folder.select(session.info, candidate=plans[best].candidate)
    return results[best]


def _describe(plan: Plan) -> str:
    candidates = plan.recipe.candidates
    return f"seed {plan.seed}" + (f", {json.dumps(candidates[plan.candidate])}" if candidates else "")


def train(session: Session) -> CheckpointCallback:
    """Train a model by `fit` as the recipe states; the run folder holds the complete state, from which it resumes."""
    plan, dataset, replicas = session.plan, session.dataset, session.replicas
    replicas.check(plan.recipe)
    if isinstance(plan.task, Phased):
        for name in plan.recipe.compression():
            raise UsageError(
                f"recipe.{name} is not possible with {plan.model}, which is trained in phases, the first on cached "
                "features; omit it"
            )
        if replicas.count > 1:
            raise UsageError(
                f"{plan.model} is trained in phases, the first on cached features: not on several replicas"
            )
        return transfer.train(session, fit)
    training, validation = plan.feed(dataset, "train", training=True), plan.feed(dataset, "validation")
    model = initial_model(plan, dataset, replicas)
    if session.initial:
        load_file(model, session.initial)
    return fit(model, session, replicas.served(training, plan, dataset), validation)


def initial_model(plan: Plan, dataset: Dataset, replicas: Replicas = SINGLE) -> keras.Model:
    """Build the model of a plan with the weights from which its training starts."""
    keras.utils.set_random_seed(plan.seed)
    with dtype_policy(plan.precision), replicas.scope():
        model = plan.build(dataset.info)
    if isinstance(plan.task, Initializes):
        plan.task.initialize(model, dataset)
    if plan.recipe.whiten:
        whitening.whiten(model, next(iter(plan.feed(dataset, "train").batches(whitening.IMAGES)))[0])
    if plan.init is not None:
        weights.load_into(model, plan.model, plan.init)
    return model


def fit(model: keras.Model, session: Session, training: Feed, validation: Feed) -> CheckpointCallback:
    """Fit a built model to two feeds by the recipe of a session; returns and raises the same as `train`."""
    plan, folder, replicas, recipe = session.plan, session.folder, session.replicas, session.plan.recipe
    quantized, save = recipe.qat != "none", None
    if quantized:
        stock, model = model, quantization.quantize(model, recipe.qat)
        save = functools.partial(quantization.save_file, model, stock)
    training, evaluated = replicas.share(training), replicas.share(validation)
    steps = training.steps(recipe.batch_size)
    size = replicas.validation_size(evaluated.count, max(recipe.batch_size, 256))
    with replicas.scope():
        compile_model(model, plan, session.info, steps * recipe.epochs, session.objects)
        if recipe.teacher:
            with dtype_policy(plan.precision):
                teacher = distillation.load_teacher(recipe.teacher)
            distillation.distil(model, teacher, plan, session.info)
        adapt_momentum(model, steps)
        replicas.adapt(model, training, recipe.batch_size)
        averaged = AveragedWeights(model)
        checkpoint = CheckpointCallback(session, averaged, save)
        compression = None
        if recipe.sparsity != "0" or recipe.clusters:
            compression = Compression(model, recipe, steps * recipe.epochs, session.console)
            checkpoint.is_complete = lambda: compression.is_complete
        start = _resume(model, session, checkpoint)
    done = checkpoint.done
    replicas.wait(start * steps + done)
    if start >= recipe.epochs or checkpoint.stop_reason:
        return checkpoint
    progress = ShowProgress(session, steps, start * steps + done)
    throughput = Throughput(folder.path / "logs" / f"worker-{replicas.index}", recipe.batch_size / replicas.workers)
    throughput.watch(model)
    callbacks = [StopOnNaN(folder), averaged, checkpoint, progress, throughput]
    if replicas.is_chief:
        callbacks.append(keras.callbacks.TensorBoard(str(folder.path / "logs"), write_graph=False))
    callbacks += session.objects.callbacks
    if compression:  # before `checkpoint`: a saved state has its masks
        callbacks.insert(0, compression)
    if quantized:
        callbacks.insert(0, quantization.FreezeRanges(recipe.epochs))
    if recipe.minutes:
        callbacks.insert(0, TimeBudget(recipe.minutes, checkpoint))
    if replicas.is_chief and isinstance(plan.task, Previews):  # before `checkpoint`: a saved state has its image
        preview = plan.task.preview(model, validation, session.info)
        callbacks.insert(0, PreviewImages(folder.path / "progress", preview))

    def fit_epochs(start: int, stop: int, done: int) -> None:
        epochs = training.epochs(recipe.batch_size, seed=plan.seed, start=start, stop=stop, skip=done)
        model.fit(
            replicas.distribute(epochs),
            validation_data=replicas.distribute(evaluated.batches(size)),
            validation_steps=evaluated.steps(size),
            initial_epoch=start,
            epochs=stop,
            steps_per_epoch=steps - done,
            callbacks=callbacks,
            shuffle=False,
            verbose=0,
        )

    try:
        with fused(model):
            if done:  # the rest of the epoch that was interrupted
                build_metrics(model, training.epochs(1, seed=0, stop=1).element_spec)
                with averaged.kept_raw():
                    fit_epochs(start, start + 1, done)
                start += 1
            if start < recipe.epochs and not checkpoint.stop_reason:
                fit_epochs(start, recipe.epochs, 0)
    finally:
        progress.close()
    if not checkpoint.is_complete():
        raise ZooError(
            f"{checkpoint.stop_reason or 'the training ended'} before all zeros and clusters were reached, which takes "
            "half of the epochs: raise recipe.minutes or lower recipe.epochs"
        )
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
        if state["rows"]:
            check_file(session.folder.weights)
        within = f" and {state['step']:,} steps of the next" if state["step"] else ""
        session.console.print(f"resuming after epoch {state['epoch']}{within} from {path}")
        return state["epoch"]
    return 0


def adapt_momentum(model: keras.Model, steps: int) -> None:
    """Lower the momentum of batch normalisation layers that would need many epochs of `steps` steps."""
    # With Keras' momentum of 0.99 the moving statistics, by which models are validated, need about 500 steps to forget
    # their initial values. The momentum becomes at most 1 - 10 / steps, an average over the last tenth of an epoch.
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = min(layer.momentum, max(0.5, 1.0 - 10.0 / steps))
