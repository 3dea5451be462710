"""A training whose workers Ray Train starts.

    python ray_train.py WORKERS OUT NAME [--set recipe.epochs=3 ...]

Ray sets TF_CONFIG in each worker, which then does what `python -m zoo.train NAME --out OUT` does under any other
TF_CONFIG. If a worker ends, Ray starts all of them again, and they resume from the run folder OUT, which is on a path
that all machines share. `ray.init` connects to the cluster that RAY_ADDRESS names, else it starts one on this machine.
"""

import os
import sys
from pathlib import Path

from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.tensorflow import TensorflowTrainer


def train(job: dict[str, list[str]]) -> None:
    """Train in one worker."""
    os.environ.pop("TF_USE_LEGACY_KERAS", None)  # Ray sets it with TF_CONFIG
    from zoo.train import main

    main(job["words"], standalone_mode=False)


if __name__ == "__main__":
    workers, out, *words = sys.argv[1:]
    out = Path(out).absolute()
    TensorflowTrainer(
        train,
        train_loop_config={"words": [*words, "--out", str(out)]},
        scaling_config=ScalingConfig(num_workers=int(workers)),
        run_config=RunConfig(
            name="ray",
            storage_path=str(out.with_name(f"{out.name}.ray")),
            failure_config=FailureConfig(max_failures=10),
        ),
    ).fit()
