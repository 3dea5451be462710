"""Training by Ray Train: workers on the machines of a cluster, started again after a failure, fewer if some are lost.

Ray sets `TF_CONFIG` in each worker, which then does what it does under any other `TF_CONFIG`: the state of the training
is that of the run folder, not a checkpoint of Ray.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from zoo.core.run_folder import RunFolder
from zoo.distribution import ray_cluster
from zoo.distribution.replicas import WorkerLost
from zoobase.console import Console, describe_error
from zoobase.errors import ZooError
from zoobase.files import write_atomic

FAILURES = 10  # of workers, after which the training has to be resumed by hand
POLL = 0.5  # seconds
OUTPUT, ERROR, STORAGE = "output", "error.json", "ray"  # in the folder that the command shares with the workers


def launch(
    train: Callable[..., dict[str, Any]],
    options: Mapping[str, Any],
    address: str,
    workers: int,
    min_workers: int,
    console: Console,
) -> dict[str, Any]:
    """Call `zoo.train.run` in several workers, until all have returned; the output of the first one is printed."""
    # `out` or `resume` is on a path that all workers share; `min_workers` continue, if the others cannot be started
    # again.
    ray_cluster.check(address)
    folder = Path(options.get("out") or options["resume"]).absolute()
    shared = folder.parent / f".{folder.name}.ray"
    shared.mkdir(parents=True, exist_ok=True)
    job = {"shared": str(shared), "folder": os.getcwd(), "quiet": console.quiet, "train": train}
    job["options"] = {**options, **{key: str(folder) for key in ("out", "resume") if key in options}}
    with RunFolder(shared).locked():  # by one command at a time
        _clear(shared)  # it may be that of a command that was killed
        try:
            with ray_cluster.connected(address, workers), ray_cluster.errors(), _printed(shared / OUTPUT, console):
                return _fit(job, shared, workers, min_workers, folder)
        finally:
            shutil.rmtree(shared, ignore_errors=True)


def _clear(shared: Path) -> None:
    for name in (OUTPUT, ERROR):
        (shared / name).unlink(missing_ok=True)
    shutil.rmtree(shared / STORAGE, ignore_errors=True)


def _fit(job: Mapping[str, Any], shared: Path, workers: int, min_workers: int, folder: Path) -> dict[str, Any]:
    import ray
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.tensorflow import TensorflowTrainer

    trainer = TensorflowTrainer(
        _work,
        train_loop_config=dict(job),
        scaling_config=ScalingConfig(
            num_workers=workers if min_workers == workers else (min_workers, workers),
            use_gpu=ray.cluster_resources().get("GPU", 0) >= workers,
        ),
        run_config=RunConfig(
            name=STORAGE, storage_path=str(shared), failure_config=FailureConfig(max_failures=FAILURES)
        ),
    )
    try:
        result = trainer.fit()
        _raise_final(shared)
        return result.return_value
    except SystemExit:  # how Ray answers Ctrl-C
        raise KeyboardInterrupt from None
    except ray.train.TrainingFailedError as error:
        _raise_final(shared)
        cause = (str(error).strip().splitlines() or [""])[-1]
        raise ZooError(
            f"workers have failed more than {FAILURES} times ({cause}); continue with --resume {folder}"
        ) from error


def _work(job: Mapping[str, Any]) -> dict[str, Any]:
    """Train in a worker."""
    os.environ.pop("TF_USE_LEGACY_KERAS", None)  # Ray sets it with TF_CONFIG
    shared = Path(job["shared"])
    if (shared / ERROR).is_file():  # Ray starts the workers again after any error
        return {}
    with contextlib.suppress(OSError):  # another machine need not have the folder of the command
        os.chdir(job["folder"])
    try:
        with (shared / OUTPUT).open("a", buffering=1) as output, contextlib.redirect_stdout(output):
            return job["train"](**job["options"], console=Console(job["quiet"]))
    except Exception as error:
        import tensorflow as tf

        if not isinstance(error, WorkerLost | tf.errors.OpError):  # what another worker's end may cause
            write_atomic(shared / ERROR, json.dumps(describe_error(error)))
        raise


def _raise_final(shared: Path) -> None:
    """Raise the error with which a worker has ended for good, if there is one."""
    if (shared / ERROR).is_file():
        raise ZooError(*json.loads((shared / ERROR).read_text()))


@contextlib.contextmanager
def _printed(file: Path, console: Console) -> Iterator[None]:
    """Print what is appended to a file while the block runs."""
    file.touch()
    ended = threading.Event()

    def follow() -> None:
        with file.open() as lines:
            while True:
                last, line = ended.wait(POLL), lines.read()
                for text in line.splitlines():
                    console.print(text)
                if last:
                    return

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
