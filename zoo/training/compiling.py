"""Compile a model for a training: the optimizer of the recipe, loss and metrics of the task, objects of the user."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras

from zoo.core.plan import Plan
from zoo.training.optimizers import make_adversarial_optimizers, make_optimizer, regularize
from zoo.training.user_objects import NO_OBJECTS, UserObjects

if TYPE_CHECKING:
    from pipelines.dataset import Info


def compile_model(model: keras.Model, plan: Plan, info: Info, steps: int, objects: UserObjects = NO_OBJECTS) -> None:
    """Compile a model for a total of `steps` optimizer steps.

    Raises:
        UsageError: The model does not use what the user gave, or has no kernels that can be regularised.
    """
    recipe, task = plan.recipe, plan.task
    regularize(model, recipe)
    if task.adversarial:
        optimizers = make_adversarial_optimizers(recipe, steps)
    else:
        optimizers = {"optimizer": make_optimizer(recipe, steps)}
    arguments = objects.replace(optimizers | task.compile_arguments(model, recipe, info), model.name)
    model.compile(**arguments, jit_compile=False)  # XLA is 4 to 12 times slower for small CNNs on CPU
    task.finish_compile(model, recipe, steps)
