"""Levels that compare the outputs of a runtime with those of Python TensorFlow, and the replay of warm-up records."""

import dataclasses

from export.artifacts.calling import run_artifact
from export.bundle.tf_serving import WARMUP
from export.formats import saved_model
from export.parity.comparison import compare_endpoint
from export.proof.certificate import FAIL, NOT_RUN, PASS
from export.protocol import c_api
from export.runners import RUNTIMES
from export.serving.servecheck.version import Level, ServedVersion
from export.serving.servers.environments import OLDER


def compare_with_tensorflow(version: ServedVersion, level: str, runtime: str, absent: str) -> Level:
    """Return a level that passes if a runtime returns the outputs of TensorFlow; `absent` says why it does not run."""
    if reference := version.runs["tensorflow"].failure:
        return Level(level, FAIL, f"TensorFlow cannot run it: {reference}")
    if runtime not in version.runs:
        return Level(level, NOT_RUN, absent)
    run = version.runs[runtime]
    if run.failure:
        return Level(level, NOT_RUN if run.timed_out else FAIL, f"{runtime} cannot run it: {run.failure}")
    is_extra = runtime in RUNTIMES and RUNTIMES[runtime].extra
    skipped = run.report["skipped"] if is_extra else ()  # such as what takes strings
    endpoints = [e.name for e in version.endpoints if e.name not in skipped]
    if not endpoints:
        return Level(level, NOT_RUN, f"{runtime} can run no endpoint of it")
    answered = {name: [case for case in version.cases[name] if case.outputs] for name in endpoints}
    messages = [
        f"endpoint {name}: {text}"
        for name, cases in answered.items()
        for text in compare_endpoint(cases, run.of(name), {}).findings
    ]
    calls = sum(map(len, answered.values()))
    versions = ", ".join(f"{name} {number}" for name, number in run.report["versions"].items())
    left_out = f"; it does not run {', '.join(skipped)}" if skipped else ""
    return Level.concluded(level, messages, f"{calls} calls in {versions}{left_out}", calls)


def check_older_loaders(version: ServedVersion) -> Level:
    """Compare the outputs of every older C API of TensorFlow that is installed with those of Python TensorFlow."""
    base, runtimes = RUNTIMES["c_api"], []
    for environment in [environment for environment in OLDER if environment.installed]:
        variables = {c_api.VARIABLE: str(environment.packages / "tensorflow")}
        process = dataclasses.replace(base.process, environment=variables, reads=(str(environment.folder),))
        runtimes.append(dataclasses.replace(base, name=environment.requirements[0], process=process))
    if not runtimes:
        return Level("older_c_api", NOT_RUN, OLDER[-1].hint)
    runs = run_artifact(version.folder, saved_model.FORMAT.name, version.endpoints, version.cases, runtimes)
    older = dataclasses.replace(version, runs=version.runs | runs)
    levels = [compare_with_tensorflow(older, "older_c_api", runtime.name, "") for runtime in runtimes]
    failed = next((level for level in levels if level.state != PASS), None)
    return failed or Level("older_c_api", PASS, details="; ".join(level.details for level in levels))


def check_warmup(version: ServedVersion) -> Level:
    """Report the replay of the warm-up records in TensorFlow; an invalid one makes TF Serving reject the version."""
    if not (version.folder / WARMUP).is_file():
        return Level("warmup", NOT_RUN, f"the version has no {WARMUP}")
    run = version.runs["tensorflow"]
    if run.failure:
        return Level("warmup", FAIL, f"TensorFlow cannot run it: {run.failure}")
    return Level.concluded("warmup", run.report["findings"], "every record replayed")
