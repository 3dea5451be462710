"""The replicas of a training: copies of the model that share each batch, on several devices or in several processes."""

from __future__ import annotations

import contextlib
import functools
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zoobase.errors import UsageError, ZooError

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from pipelines.dataset import Dataset
    from pipelines.feeding import Feed
    from zoo.core.plan import Plan
    from zoo.core.recipe import Recipe

REFUSED = {  # recipe field -> why
    "clip_norm": "the gradient of each replica would be clipped by itself",
    "clusters": "each would cluster its own copy",
    "ema": "Keras does not average weights there",
    "minutes": "processes differ in speed",
    "teacher": "it is not copied to them",
    "sparsity": "each would choose the zeros of its own copy",
}


@dataclass(frozen=True)
class Replicas:
    """The copies of a model that are trained together; the default is one, without `tf.distribute`."""

    strategy: tf.distribute.Strategy | None = None  # the strategy of TensorFlow; None for a single copy
    workers: int = 1  # number of processes
    index: int = 0  # number of this process

    @property
    def count(self) -> int:
        """The number of copies in all processes."""
        return 1 if self.strategy is None else self.strategy.num_replicas_in_sync

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the run folder, evaluates and exports."""
        return self.index == 0

    @contextlib.contextmanager
    def scope(self) -> Iterator[None]:
        """Create variables of all replicas inside the block: model, metrics, optimizer."""
        with contextlib.nullcontext() if self.strategy is None else self.strategy.scope():
            yield

    def check(self, recipe: Recipe) -> None:
        """Raise UsageError for a recipe that replicas cannot share."""
        if self.count == 1:
            return
        for name, reason in REFUSED.items():
            if getattr(recipe, name) not in (0, "0", ""):
                raise UsageError(
                    f"recipe.{name} is not possible with {self.count} replicas, because {reason}; set it to 0"
                )
        if recipe.qat != "none":
            raise UsageError(
                f"recipe.qat={recipe.qat} is not possible with {self.count} replicas, each of which "
                "would measure ranges of its own; omit it"
            )
        if recipe.batch_size < self.count:
            raise UsageError(
                f"recipe.batch_size={recipe.batch_size} is too small for {self.count} replicas: each computes one "
                "at least"
            )

    def adapt(self, model: keras.Model, feed: Feed, batch_size: int) -> None:
        """Prepare a compiled model for `fit` on batches of a feed, within `scope`."""
        if self.count == 1:
            return
        from zoo.modeling.instance_methods import adapt_to_replicas

        is_equal = not any(size % self.count for size in (batch_size, feed.count % batch_size))
        adapt_to_replicas(model, feed.epochs(1, seed=0, stop=1).element_spec, self.workers > 1, is_equal)

    def served(self, training: Feed, plan: Plan, dataset: Dataset) -> Feed:
        """Return the training feed of this process."""
        # Of shards, each of several workers reads files of its own.
        if self.workers > 1 and plan.data["name"] == "shards" and not plan.recipe.limit:
            from pipelines import worker_shards

            where = (plan.data["data_dir"], self.index, self.workers, plan.data["cache_dir"])
            training = worker_shards.share(training, dataset.train, *where)
        return training

    def share(self, feed: Feed) -> Feed:
        """Return the feed of the part of each batch that this process computes."""
        local = self.count // self.workers
        return feed.share(self.count, range(self.index * local, (self.index + 1) * local)) if self.count > 1 else feed

    def distribute(self, dataset: tf.data.Dataset) -> Any:
        """Return a dataset of `share`d batches in the form that `fit` takes."""
        return dataset if self.count == 1 else self.strategy.distribute_datasets_from_function(lambda _: dataset)

    def validation_size(self, count: int, largest: int) -> int:
        """Return the largest batch size in which no replica gets an empty part of the last batch."""
        for size in range(largest, self.count - 1, -1):
            if count % size == 0 or count % size >= self.count:
                return size
        raise UsageError(f"{count} validation examples cannot be divided among {self.count} replicas")

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Raise ZooError if another process ends while the block computes with it."""
        import tensorflow as tf

        try:
            yield
        except (tf.errors.UnavailableError, tf.errors.AbortedError) as error:
            if self.workers == 1:
                raise
            raise ZooError(
                "another worker has ended; start all of them again with the same command, which resumes the run"
            ) from error

    def sharing(self, call: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[dict[str, Any]], dict[str, Any]]:
        """Return a function of a batch, of which each process computes a part, and all get all of the outputs."""
        # Every process calls it with the same batches. Outputs that are strings, and several devices in each process,
        # are not shared: then each process computes all.
        if self.workers == 1 or self.count > self.workers:
            return call
        import tensorflow as tf

        @tf.function(reduce_retracing=True)
        def gather(outputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
            context = tf.distribute.get_replica_context()
            return {name: context.all_gather(tf.identity(values), axis=0) for name, values in outputs.items()}

        def shared(inputs: dict[str, Any]) -> dict[str, Any]:
            size = len(next(iter(inputs.values())))
            if size < self.workers:
                return call(inputs)
            own = slice(size * self.index // self.workers, size * (self.index + 1) // self.workers)
            outputs = call({name: values[own] for name, values in inputs.items()})
            if any(values.dtype == tf.string for values in outputs.values()):
                return call(inputs)
            gathered = self.strategy.run(gather, (outputs,))
            return {n: self.strategy.experimental_local_results(values)[0] for n, values in gathered.items()}

        return shared

    def wait(self, step: int = 0) -> None:
        """Wait until every process has called this method, with the same step."""
        if self.workers == 1:
            return
        import tensorflow as tf

        def gather() -> tf.Tensor:
            return tf.distribute.get_replica_context().all_gather(tf.constant([step], tf.int64), axis=0)

        with self.together():
            found = self.strategy.experimental_local_results(self.strategy.run(tf.function(gather)))[0].numpy().tolist()
        if len(set(found)) > 1:
            raise ZooError(
                f"the workers would resume after different steps, {found}: is the run folder on a shared path?"
            )


SINGLE = Replicas()


def read_environment() -> tuple[int, int]:
    """Return the number of workers in `TF_CONFIG` and the number of this one; (1, 0) without it."""
    text = os.environ.get("TF_CONFIG")
    if not text:
        return 1, 0
    try:
        config = json.loads(text)
        cluster, task = config["cluster"], config["task"]
        workers, index, kind = len(cluster["worker"]), int(task["index"]), task["type"]
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f'TF_CONFIG is not valid ({error}): it is {{"cluster": {{"worker": ["HOST:PORT", ...]}}, "task": {{"type": '
            '"worker", "index": 0}}'
        ) from None
    if set(cluster) != {"worker"} or kind != "worker" or not 0 <= index < workers:
        raise UsageError("TF_CONFIG has tasks of another type than worker, or no worker of this index")
    return workers, index


def choose(devices: str | None) -> Replicas:
    """Return the replicas that `TF_CONFIG` and `--devices` ask for. Called before TensorFlow computes anything."""
    import tensorflow as tf

    workers, index = read_environment()
    for gpu in tf.config.list_physical_devices("GPU"):
        with contextlib.suppress(RuntimeError):  # in use already, with the setting it has
            tf.config.experimental.set_memory_growth(gpu, True)
    if workers > 1:
        if devices is not None:
            raise UsageError(
                "--devices is for one process; under TF_CONFIG with several workers each one uses all its GPUs"
            )
        return Replicas(_strategy(()), workers, index)
    if devices is None:
        return Replicas()
    names = [device.name for device in tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")]
    try:
        numbers = range(len(names)) if devices == "auto" else [int(number) for number in devices.split(",")]
        chosen = list(dict.fromkeys(names[number] for number in numbers if number >= 0))
    except ValueError:
        raise UsageError(f"--devices is auto or numbers such as 0,1, not {devices!r}") from None
    except IndexError:
        chosen = []
    if not chosen:
        raise UsageError(f"--devices {devices}: this machine has only {', '.join(names)}")
    alone = len(chosen) == 1 == len(names)
    return Replicas(None if alone else _strategy(tuple(chosen)))


@functools.cache  # collective operations of a second strategy would be mistaken for those of the first
def _strategy(devices: tuple[str, ...]) -> tf.distribute.Strategy:
    """Return the strategy for some devices of this process; for none, that for the workers of `TF_CONFIG`."""
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(devices) if devices else tf.distribute.MultiWorkerMirroredStrategy()
