"""Preparation of a training as in `zoo.train`, for timing and profiling."""

import keras
import tensorflow as tf

from benchmarks.timing import networks
from zoo.core.environment import dtype_policy
from zoo.core.plan import Plan, make_plan
from zoo.training.compiling import compile_model

BATCH = 128  # as the alternatives, which also use AdamW


def planned(policy: str, batch: int) -> Plan:
    """Return the settings of a training on Fashion-MNIST."""
    settings = {"recipe.augment": policy, "recipe.batch_size": batch, "recipe.optimizer": "adamw"}
    return make_plan("fashion_mnist", settings=settings)


def compiled(network: str, precision: str, policy: str, batch: int = BATCH) -> tuple[keras.Model, tf.data.Dataset]:
    """Return a network of `timing/networks.py` and an epoch of our feed in Fashion-MNIST, augmented by `policy`."""
    plan = planned(policy, batch)
    dataset = plan.load_data()
    with dtype_policy(precision):
        model = networks.build(network)
    compile_model(model, plan, dataset.info, 5000)
    return model, plan.feed(dataset, "train", training=True).epochs(batch, seed=0, stop=1)


def constant(batches: tf.data.Dataset) -> tf.data.Dataset:
    """Return the first batch repeatedly: the upper bound of any feed."""
    return tf.data.Dataset.from_tensors(next(iter(batches))).repeat()
