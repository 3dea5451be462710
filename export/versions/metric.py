"""The paired change of a metric on data, from the installed release of a runtime to another one."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from export.artifacts.calling import run_artifact
from export.contract import Artifact, Contract, Endpoint
from export.parity.cases import GoldenCase
from export.proof.evaluation import default_metrics, paired_drop, read_evaluation
from export.protocol.arrays import Arrays
from export.protocol.runner import Runtime
from export.runners import RUNTIMES
from export.versions.releases import Release
from zoobase.errors import ExportError


def metric_change(
    folder: Path, contract: Contract, artifact: Artifact, release: Release, data: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    """Return the drop of the metric of an artifact with its 95 % confidence interval, as `paired_drop` does."""
    able = [contract[name] for name in artifact.endpoints if {t.name for t in contract[name].inputs} <= {*data}]
    if not able:
        raise ExportError(f"no function of {artifact.path} takes the inputs in the data: {', '.join(sorted(data))}")
    endpoint = dataclasses.replace(able[0], batch=artifact.batch or able[0].batch)
    evaluation = read_evaluation(data, endpoint)
    before, after = (
        answers(folder / artifact.path, artifact.format, endpoint, evaluation.inputs, runtime)
        for runtime in (RUNTIMES[release.package.runtime], release.runtime())
    )
    return paired_drop(default_metrics(endpoint), before, after, evaluation.truth, evaluation.groups)


def answers(path: Path, format: str, endpoint: Endpoint, inputs: Mapping[str, np.ndarray], runtime: Runtime) -> Arrays:
    """Return the outputs of an endpoint on all rows, by name; ExportError if it does not run."""
    case = GoldenCase("data", {t.name: t.array(inputs[t.name]) for t in endpoint.inputs}, compared=False)
    run = run_artifact(path, format, [endpoint], {endpoint.name: [case]}, [runtime])[runtime.name]
    outputs = run.of(endpoint.name)
    if failure := run.failure or outputs.first_error():
        raise ExportError(f"{path} does not run on the data in {runtime.distribution}: {failure}")
    return outputs.of(case.name)
