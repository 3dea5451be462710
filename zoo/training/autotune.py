"""Choice of precision and number of epochs by the measured training speed of this machine."""

import contextlib
import dataclasses
import hashlib
import json
import math
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from export.runtime import onednn
from pipelines.dataset import Dataset
from pipelines.feeding import Feed
from zoo.core.capabilities import Phased
from zoo.core.environment import dtype_policy
from zoo.core.plan import Plan
from zoo.modeling.instance_methods import fused
from zoo.training.compiling import compile_model
from zoobase.console import Console
from zoobase.errors import ZooError
from zoobase.files import cache_root, write_atomic

WARM_UP, TIMED = 5, 10  # steps
ROUNDS = 2  # measurements of each precision, in turn: other load passes over both
LEAST_STEPS = 500  # of a training of which precisions are measured, which takes 60 and four compilations
WORTH = 1.15  # times as fast


def choose_precision(plan: Plan, dataset: Dataset, console: Console, workers: int = 1) -> Plan:
    """Return the plan with "auto" resolved: bfloat16 if it trains this model faster on this machine."""
    # float32 without a measurement on processors that emulate bfloat16, for several workers, whose operations may not
    # differ, and for a training that takes no longer than the measurement. Else a few steps of each precision are timed
    # in turn, and the choice is remembered for this model, batch size and machine.
    if plan.precision != "auto":
        return plan
    few = math.ceil(dataset.info.counts["train"] / plan.recipe.batch_size) * plan.recipe.epochs < LEAST_STEPS
    if workers > 1 or few or not has_bfloat16() or isinstance(plan.task, Phased):
        return dataclasses.replace(plan, precision="float32")
    alone = plan.trainings()[0]  # of a mean, a model that is trained
    arguments = alone.arguments(dataset.info)
    inputs = [plan.model, arguments, plan.recipe.batch_size, processor(), keras.__version__, ROUNDS, WORTH]
    key = hashlib.sha256(json.dumps(inputs, default=list).encode()).hexdigest()[:20]
    path = cache_root(plan.data["cache_dir"]) / "precision.json"
    cache = json.loads(path.read_text()) if path.is_file() else {}
    if key not in cache:
        pairs = [
            tuple(_epoch_seconds(dataclasses.replace(alone, precision=p), dataset) for p in ("float32", "bfloat16"))
            for _ in range(ROUNDS)
        ]
        cache[key] = {"precision": faster(pairs), "seconds_per_epoch": pairs, "model": plan.model}
        with contextlib.suppress(OSError):  # without a cache, it is measured again
            write_atomic(path, json.dumps(cache, indent=2).encode())
    measurement = cache[key]
    ratios = sorted(single / half for single, half in measurement["seconds_per_epoch"])
    console.print(
        f"precision: {measurement['precision']} (bfloat16 is {ratios[0]:.2f} to {ratios[-1]:.2f} times as fast as "
        f"float32; it is taken from {WORTH} on)"
    )
    return dataclasses.replace(plan, precision=measurement["precision"])


def faster(pairs: Sequence[Sequence[float]]) -> str:
    """Return "bfloat16" if it is `WORTH` times as fast as float32 in every pair of seconds (float32, bfloat16)."""
    return "bfloat16" if all(single >= WORTH * half for single, half in pairs) else "float32"


def has_bfloat16() -> bool:
    """Whether the processor or a GPU has bfloat16 arithmetic that may be used."""
    # TensorFlow aborts in bfloat16 matrices where `ONEDNN_MAX_CPU_ISA` excludes what the processor has.
    return onednn.instruction_set() in ("AMX", "AVX-512 BF16") or bool(tf.config.list_physical_devices("GPU"))


def processor() -> str:
    """Return the name of the processor with its family and model, because the name may be unspecific."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    if "model name" not in fields:
        return platform.processor() or platform.machine()
    return f"{fields['model name']} (family {fields.get('cpu family', '?')}, model {fields.get('model', '?')})"


def fit_to_budget(plan: Plan, dataset: Dataset, console: Console) -> Plan:
    """Return the plan with its epochs lowered to what this machine can train in `recipe.minutes`."""
    # By a few steps and a validation batch of a temporary model. The last epoch may be cut: `callbacks.TimeBudget`.
    recipe = plan.recipe
    if not recipe.minutes or isinstance(plan.task, Phased):  # phases differ in speed; each has a deadline
        return plan
    seconds = max(_epoch_seconds(p, dataset) for p in plan.trainings()[:: recipe.restarts])  # the slowest candidate
    affordable = 60 * recipe.minutes / seconds
    console.print(
        f"this machine takes about {seconds:.3g} s per epoch: "
        f"{min(affordable, recipe.epochs):.3g} of {recipe.epochs} epochs fit into {recipe.minutes:g} minutes"
    )
    epochs = min(recipe.epochs, math.ceil(affordable))
    return dataclasses.replace(plan, recipe=dataclasses.replace(recipe, epochs=epochs))


def _epoch_seconds(plan: Plan, dataset: Dataset) -> float:
    """Return the seconds of one epoch, validation included, measured on a temporary model."""
    training, validation = plan.feed(dataset, "train", training=True), plan.feed(dataset, "validation")
    with dtype_policy(plan.precision):
        model = plan.build(dataset.info)
    compile_model(model, plan, dataset.info, training.steps(plan.recipe.batch_size))
    with fused(model):
        return _measure(model, plan, training, validation)


def _measure(model: keras.Model, plan: Plan, training: Feed, validation: Feed) -> float:
    size = plan.recipe.batch_size
    steps = training.steps(size)
    batches = iter(training.epochs(size, seed=plan.seed, stop=1 + (WARM_UP + TIMED) // steps))
    for _ in range(WARM_UP):
        model.train_on_batch(*_as_tuple(next(batches)))
    start = time.monotonic()
    for _ in range(TIMED):
        logs = model.train_on_batch(*_as_tuple(next(batches)), return_dict=True)
    train_seconds = (time.monotonic() - start) / TIMED
    if not logs:
        raise ZooError(f"the train_step of {plan.model} returns no losses")
    batch = _as_tuple(next(iter(validation.batches(size))))
    model.test_on_batch(*batch)
    start = time.monotonic()
    for _ in range(3):
        model.test_on_batch(*batch)
    return steps * train_seconds + validation.steps(size) * (time.monotonic() - start) / 3


def _as_tuple(batch: Any) -> tuple[Any, ...]:
    return batch if isinstance(batch, tuple) else (batch,)
