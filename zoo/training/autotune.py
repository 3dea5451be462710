"""How fast this machine trains a model, measured in some steps, and what is decided by it: precision and epochs."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import platform
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras

from commandline.console import Console
from pipelines.sources.storage import cache_root, write_atomic
from zoo.core.environment import computing_in
from zoo.core.errors import ZooError
from zoo.core.plan import Plan
from zoo.modeling.layers import fused

if TYPE_CHECKING:
    from pipelines.dataset import Dataset
    from pipelines.feeding import Feed

WARM_UP, MEASURED = 5, 20  # steps of a measurement
RESERVE = 0.92  # share of a time budget that is planned for; the rest is for what runs beside us


def choose_precision(plan: Plan, dataset: Dataset, console: Console) -> Plan:
    """Return the plan with "auto" decided: bfloat16 where it trains this model faster on this machine.

    A processor without bfloat16 arithmetic only emulates it, so nothing is measured there. Elsewhere some steps of each
    are, and the answer is remembered in the cache.
    """
    if plan.precision != "auto":
        return plan
    if not has_bfloat16() or plan.task.phases(plan.recipe, dataset.info):
        return dataclasses.replace(plan, precision="float32")
    arguments = plan.arguments(dataset.info)
    told = [plan.model, arguments, plan.recipe.batch_size, processor(), keras.__version__]
    key = hashlib.sha256(json.dumps(told, default=list).encode()).hexdigest()[:20]
    path = cache_root(plan.data["cache_dir"]) / "precision.json"
    known = json.loads(path.read_text()) if path.is_file() else {}
    if key not in known:
        seconds = {p: _seconds(dataclasses.replace(plan, precision=p), dataset) for p in ("float32", "bfloat16")}
        known[key] = {"precision": min(seconds, key=seconds.get), "seconds_per_epoch": seconds, "model": plan.model}
        write_atomic(path, json.dumps(known, indent=2).encode())
    found = known[key]
    ratio = found["seconds_per_epoch"]["float32"] / found["seconds_per_epoch"]["bfloat16"]
    console.print(f"precision: {found['precision']} (bfloat16 runs {ratio:.2f} times as fast as float32 here)")
    return dataclasses.replace(plan, precision=found["precision"])


def has_bfloat16() -> bool:
    """Whether the processor (or a GPU) has bfloat16 arithmetic."""
    import tensorflow as tf

    flags = Path("/proc/cpuinfo")
    told = flags.read_text() if flags.is_file() else ""
    return bool(tf.config.list_physical_devices("GPU")) or "avx512_bf16" in told or "amx_bf16" in told


def processor() -> str:
    """Return the name of the processor and its family and model, for the name may be bland."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    told = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    if "model name" not in told:
        return platform.processor() or platform.machine()
    return f"{told['model name']} (family {told.get('cpu family', '?')}, model {told.get('model', '?')})"


def fit_to_budget(plan: Plan, dataset: Dataset, console: Console) -> Plan:
    """Return the plan with its epochs lowered to what this machine trains in `recipe.minutes`.

    The speed is measured on a throw-away model: some steps, and a validation batch. At least one epoch remains.
    """
    recipe = plan.recipe
    if not recipe.minutes or plan.task.phases(recipe, dataset.info):  # phases differ in speed: each stops in time
        return plan
    seconds = max(_seconds(one, dataset) for one in plan.trainings()[:: recipe.restarts])  # of the slowest candidate
    epochs = max(1, min(recipe.epochs, int(60 * recipe.minutes * RESERVE / seconds)))
    console.print(
        f"this machine takes about {seconds:.0f} s an epoch: "
        f"{epochs} of {recipe.epochs} epochs fit into {recipe.minutes:g} minutes"
    )
    return dataclasses.replace(plan, recipe=dataclasses.replace(recipe, epochs=epochs))


def _seconds(plan: Plan, dataset: Dataset) -> float:
    """Return the seconds of one epoch, validation included, measured on a throw-away model."""
    training, validation = plan.feed(dataset, "train", training=True), plan.feed(dataset, "validation")
    with computing_in(plan.precision):
        model = plan.build(dataset.info)
    plan.task.compile(model, plan.recipe, dataset.info, training.steps(plan.recipe.batch_size))
    with fused(model):
        return _measure(model, plan, training, validation)


def _measure(model: keras.Model, plan: Plan, training: Feed, validation: Feed) -> float:
    size = plan.recipe.batch_size
    steps = training.steps(size)
    batches = iter(training.epochs(size, seed=plan.seed, stop=1 + (WARM_UP + MEASURED) // steps))
    for _ in range(WARM_UP):
        model.train_on_batch(*_unpacked(next(batches)))
    began = time.monotonic()
    for _ in range(MEASURED):
        logs = model.train_on_batch(*_unpacked(next(batches)), return_dict=True)
    train_seconds = (time.monotonic() - began) / MEASURED
    if not logs:
        raise ZooError(f"the train_step of {plan.model} returns no losses")
    batch = _unpacked(next(iter(validation.batches(size))))
    model.test_on_batch(*batch)
    began = time.monotonic()
    for _ in range(3):
        model.test_on_batch(*batch)
    return steps * train_seconds + validation.steps(size) * (time.monotonic() - began) / 3


def _unpacked(batch: Any) -> tuple[Any, ...]:
    return batch if isinstance(batch, tuple) else (batch,)
