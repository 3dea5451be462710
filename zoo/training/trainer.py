"""The training function: independent of model, data and number of devices."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import keras

from zoo import weights
from zoo.core.environment import dtype_policy
from zoo.core.plan import Plan
from zoo.core.run_folder import Run
from zoo.core.weight_files import check_file
from zoo.distribution import served_data
from zoo.distribution.replicas import SINGLE, Replicas
from zoo.modeling import whitening
from zoo.training.callbacks import CheckpointCallback
from zoo.training.fit import fit
from zoo.training.user_objects import NO_OBJECTS, UserObjects
from zoobase.console import Console
from zoobase.errors import UsageError
from zoobase.files import write_with_checksum

if TYPE_CHECKING:
    from pipelines.dataset import Dataset


def train_best(
    plan: Plan, dataset: Dataset, run: Run, console: Console, objects: UserObjects, replicas: Replicas = SINGLE
) -> CheckpointCallback:
    """Train every candidate of the recipe with every seed; return the best by validation loss.

    The arguments are those of `train`. Each training has its own run folder below `restarts/`, so that an interrupted
    series can be resumed.
    """
    trainings = plan.trainings()
    if len(trainings) == 1:
        return train(trainings[0], dataset, run, console, objects, replicas)
    results: list[CheckpointCallback] = []
    for i, training in enumerate(trainings):
        inner = Run(run.path / "restarts" / str(i))
        inner.path.mkdir(parents=True, exist_ok=True)
        console.print(f"training {i + 1} of {len(trainings)}: {_describe(training)}")
        results.append(train(training, dataset, inner, console, objects, replicas))
    best = min(range(len(results)), key=lambda i: results[i].best)
    console.print(f"best by validation loss: training {best + 1}, {_describe(trainings[best])}")
    if replicas.is_chief:
        file = Run(run.path / "restarts" / str(best)).weights
        check_file(file)
        write_with_checksum(run.weights, file.read_bytes())
        run.write_history(results[best].rows)
        run.select_candidate(trainings[best].candidate, dataset.info)
    return results[best]


def _describe(plan: Plan) -> str:
    candidates = plan.recipe.candidates
    return f"seed {plan.seed}" + (f", {json.dumps(candidates[plan.candidate])}" if candidates else "")


def train(
    plan: Plan,
    dataset: Dataset,
    run: Run,
    console: Console,
    objects: UserObjects = NO_OBJECTS,
    replicas: Replicas = SINGLE,
) -> CheckpointCallback:
    """Train a model by `fit` as the recipe states; the run folder holds the complete state, from which it resumes.

    Args:
        plan: The settings of the training.
        dataset: The splits.
        run: The run folder; training resumes from its newest undamaged state.
        console: Receives progress.
        objects: Callbacks, and what replaces optimizer, loss and metrics.
        replicas: The copies of the model that share each batch.

    Returns:
        The callback with history, best epoch and the reason of an early stop.

    Raises:
        UsageError: The model does not use one of the objects, or cannot be trained by several replicas.
        ZooError: The loss became NaN or infinite, or a saved state is that of another model.
    """
    replicas.check(plan.recipe)
    if plan.task.phases(plan.recipe, dataset.info):
        if replicas.count > 1 or replicas.data_service:
            raise UsageError(
                f"{plan.model} is trained in phases, the first on cached features: not on several replicas, nor by a "
                "data service"
            )
        from zoo.training import transfer

        return transfer.train(plan, dataset, run, console, objects)
    info = dataset.info
    training, validation = plan.feed(dataset, "train", training=True), plan.feed(dataset, "validation")
    if replicas.data_service:
        training = served_data.feed(plan, dataset, training, replicas.data_service)
    model = initial_model(plan, dataset, replicas)
    return fit(model, plan, info, training, validation, run, console, objects, replicas)


def initial_model(plan: Plan, dataset: Dataset, replicas: Replicas = SINGLE) -> keras.Model:
    """Build the model of a plan with the weights from which its training starts."""
    keras.utils.set_random_seed(plan.seed)
    with dtype_policy(plan.precision), replicas.scope():
        model = plan.build(dataset.info)
    plan.task.initialize(model, dataset)
    if plan.recipe.whiten:
        whitening.whiten(model, next(iter(plan.feed(dataset, "train").batches(whitening.IMAGES)))[0])
    if plan.init is not None:
        weights.load_into(model, plan.model, plan.init)
    return model
