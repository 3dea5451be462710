"""Compile a model for a training: the optimizer of the recipe, loss and metrics of the task, objects of the user."""

import operator
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from pipelines.dataset import Info
from zoo.core.capabilities import Streams
from zoo.core.plan import Plan
from zoo.training.optimizers import make_adversarial_optimizers, make_optimizer, regularize
from zoobase import describe_cause
from zoobase.errors import UsageError
from zoobase.plugins import load_module


@dataclass(frozen=True)
class UserObjects:
    """What the user gives to `zoo.train.run`."""

    callbacks: Sequence[keras.callbacks.Callback] = ()  # Keras callbacks, called after those of the zoo
    # a Keras optimizer or its name, instead of that of the recipe; every training gets a copy of it
    optimizer: keras.optimizers.Optimizer | str | None = None
    loss: Any = None  # a Keras loss or its name, instead of that of the task
    metrics: Sequence[Any] = ()  # Keras metrics or their names, in addition to those of the task

    def replace(self, arguments: dict[str, Any], model: str) -> dict[str, Any]:
        """Return the arguments of a model's `compile` with the objects of the user."""
        arguments = dict(arguments)
        if self.optimizer is not None:
            if "optimizer" not in arguments:
                raise UsageError(f"{model} has several optimizers, which cannot be replaced by one")
            arguments["optimizer"] = _copy(self.optimizer)
        if (self.loss is not None or self.metrics) and "loss" not in arguments:
            raise UsageError(f"{model} computes its losses itself: it takes no other loss and no metrics")
        if self.loss is not None:
            arguments["loss"] = self.loss
        if self.metrics:
            own = arguments.get("metrics", [])
            names = {metric.name for metric in own}
            arguments["metrics"] = [*own, *(one for one in self.metrics if getattr(one, "name", one) not in names)]
        return arguments


NO_OBJECTS = UserObjects()


def compile_model(model: keras.Model, plan: Plan, info: Info, steps: int, objects: UserObjects = NO_OBJECTS) -> None:
    """Compile a model for a training."""
    recipe, task = plan.recipe, plan.task
    regularize(model, recipe)
    if task.adversarial:
        optimizers = make_adversarial_optimizers(recipe, steps)
    else:
        optimizers = {"optimizer": make_optimizer(recipe, steps)}
    arguments = objects.replace(optimizers | task.compile_arguments(model, recipe, info), model.name)
    model.compile(**arguments, jit_compile=False)  # XLA is 4 to 12 times slower for small CNNs on CPU
    if isinstance(task, Streams):
        task.carry_state(model, recipe, steps)


def _copy(optimizer: keras.optimizers.Optimizer | str) -> keras.optimizers.Optimizer:
    """Return a new optimizer, because one that has trained a model cannot train another."""
    try:
        optimizer = keras.optimizers.get(optimizer)
    except ValueError as error:
        raise UsageError(describe_cause(error)) from None
    return type(optimizer).from_config(optimizer.get_config())


def get_callbacks(callbacks: Iterable[keras.callbacks.Callback | str]) -> list[keras.callbacks.Callback]:
    """Return callbacks, with that of each "module:name": the class or function is called without arguments."""
    return [_import_callback(value) if isinstance(value, str) else value for value in callbacks]


def _import_callback(name: str) -> keras.callbacks.Callback:
    if name.count(":") != 1:
        raise UsageError(f"a callback is given as module:Class, such as my_module:MyCallback, not {name!r}")
    sys.path.append(os.getcwd())  # last, so that it hides no installed module; the commands run without this folder
    try:
        module, _, attribute = name.partition(":")
        callback = operator.attrgetter(attribute)(load_module(module))()
    except Exception as error:  # code of the user
        raise UsageError(f"callback {name} cannot be created: {describe_cause(error)}") from error
    finally:
        sys.path.pop()
    if not isinstance(callback, keras.callbacks.Callback):
        raise UsageError(f"{name}() returns {type(callback).__name__}, which is not a keras.callbacks.Callback")
    return callback
