"""The workers of a search as tasks of a Ray cluster, on any of its machines."""

from __future__ import annotations

import contextlib
import math
import os
from pathlib import Path

import ray

from zoo.distribution import ray_cluster
from zoo.search.worker import thread_limits, work
from zoobase.console import describe_error
from zoobase.errors import ZooError


class Task:
    """A worker as a task of the connected cluster, whose machines share the path of the folder."""

    def __init__(self, folder: Path, trials: int, workers: int) -> None:
        """Submit it: it starts when the cluster has a processor for it."""
        machines = sum(node["Alive"] for node in ray.nodes())
        task = ray.remote(_work).options(num_cpus=1, max_retries=0, scheduling_strategy="SPREAD")
        self._result = task.remote(str(folder.absolute()), os.getcwd(), trials, math.ceil(workers / machines))

    def end(self) -> str | None:
        if not ray.wait([self._result], timeout=0)[0]:
            return None
        with ray_cluster.errors():
            try:
                error = ray.get(self._result)
            except ray.exceptions.RayTaskError:
                raise
            except ray.exceptions.RayError as lost:
                return type(lost).__name__
        if error is not None:
            raise ZooError(*error)
        return ""

    def kill(self) -> None:
        with contextlib.suppress(ray.exceptions.RayError):
            ray.cancel(self._result, force=True)


def _work(folder: str, working_directory: str, trials: int, workers: int) -> tuple[str, int] | None:
    """Train trials; return the sentence and the exit code of an error."""
    os.environ.update(thread_limits(workers))
    with contextlib.suppress(OSError):  # another machine need not have the folder of the command
        os.chdir(working_directory)
    try:
        work(Path(folder), trials)
    except Exception as error:
        return describe_error(error)
    return None
