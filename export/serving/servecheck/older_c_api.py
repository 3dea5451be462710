"""Level 9: the loaders of older versions of TF Serving: the C API of older TensorFlow releases."""

from __future__ import annotations

import dataclasses

from export.artifacts.calling import run_artifact
from export.proof.certificate import NOT_RUN, PASS
from export.runners.lib import c_api
from export.runtime.runtimes import RUNTIMES
from export.serving.servecheck.loader import compare_with_tensorflow
from export.serving.servecheck.subject import Level, Subject
from export.serving.servers.environments import OLDER


def check(subject: Subject) -> Level:
    """Compare the outputs of every older C API that is installed with those of Python TensorFlow."""
    runtimes = [
        dataclasses.replace(
            RUNTIMES["c_api"],
            name=environment.requirements[0],
            environment={c_api.VARIABLE: str(environment.packages / "tensorflow")},
        )
        for environment in OLDER
        if environment.installed
    ]
    if not runtimes:
        return Level("older_c_api", NOT_RUN, OLDER[-1].hint)
    runs = run_artifact(subject.folder, "saved_model", subject.endpoints, subject.cases, runtimes)
    older = dataclasses.replace(subject, runs=subject.runs | runs)
    levels = [compare_with_tensorflow(older, "older_c_api", runtime.name, "") for runtime in runtimes]
    failed = next((level for level in levels if level.state != PASS), None)
    return failed or Level("older_c_api", PASS, details="; ".join(level.details for level in levels))
