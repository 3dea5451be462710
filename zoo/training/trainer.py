"""The training function: independent of model, data and number of devices."""

from __future__ import annotations

import json

import keras

from pipelines.dataset import Dataset
from zoo import weights
from zoo.core.environment import dtype_policy
from zoo.core.plan import Plan
from zoo.core.weight_files import check_file
from zoo.distribution.replicas import SINGLE, Replicas
from zoo.training import whitening
from zoo.training.callbacks import CheckpointCallback
from zoo.training.fit import fit
from zoo.training.session import Session
from zoobase.errors import UsageError
from zoobase.files import write_with_checksum


def train_best(session: Session) -> CheckpointCallback:
    """Train every candidate of the recipe with every seed, as `train` does; return the best by validation loss.

    Each training has its own run folder below `restarts/`, so that an interrupted series can be resumed.
    """
    plans, console, folder = session.plan.trainings(), session.console, session.folder
    if len(plans) == 1:
        return train(session)
    trainings = [session.inner(f"restarts/{i}", plan) for i, plan in enumerate(plans)]
    results: list[CheckpointCallback] = []
    for i, training in enumerate(trainings, start=1):
        console.print(f"training {i} of {len(trainings)}: {_describe(training.plan)}")
        results.append(train(training))
    best = min(range(len(results)), key=lambda i: results[i].best)
    console.print(f"best by validation loss: training {best + 1}, {_describe(plans[best])}")
    if session.replicas.is_chief:
        file = trainings[best].folder.weights
        check_file(file)
        write_with_checksum(folder.weights, file.read_bytes())
        folder.write_history(results[best].rows)
        folder.select_candidate(plans[best].candidate, session.info)
    return results[best]


def _describe(plan: Plan) -> str:
    candidates = plan.recipe.candidates
    return f"seed {plan.seed}" + (f", {json.dumps(candidates[plan.candidate])}" if candidates else "")


def train(session: Session) -> CheckpointCallback:
    """Train a model by `fit` as the recipe states; the run folder holds the complete state, from which it resumes.

    Returns:
        The callback with history, best epoch and the reason of an early stop.

    Raises:
        UsageError: The model does not use one of the user's objects, or cannot be trained by several replicas.
        ZooError: The loss became NaN or infinite, or a saved state is that of another model.
    """
    plan, dataset, replicas = session.plan, session.dataset, session.replicas
    replicas.check(plan.recipe)
    if plan.task.phases(plan.recipe, session.info):
        if replicas.count > 1 or replicas.data_service:
            raise UsageError(
                f"{plan.model} is trained in phases, the first on cached features: not on several replicas, nor by a "
                "data service"
            )
        from zoo.training import transfer

        return transfer.train(session)
    training, validation = plan.feed(dataset, "train", training=True), plan.feed(dataset, "validation")
    model = initial_model(plan, dataset, replicas)
    return fit(model, session, replicas.served(training, plan, dataset), validation)


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
