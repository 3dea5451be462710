"""Level 2: the C++ loader of TF Serving, without Python TensorFlow in the process."""

from __future__ import annotations

from export.parity.comparison import compare_endpoint
from export.proof.certificate import FAIL, NOT_RUN, PASS
from export.serving.servecheck.subject import Level, Subject, problem_of

RUNTIME = "c_api"


def check(subject: Subject) -> Level:
    """Compare the outputs of the C API with those of Python TensorFlow."""
    return compare_with_tensorflow(subject, "loader", RUNTIME, "the C API of TensorFlow is not available here")


def compare_with_tensorflow(subject: Subject, level: str, runtime: str, absent: str) -> Level:
    """Return a level that passes if a runtime returns the outputs of Python TensorFlow."""
    reference = problem_of(subject.runs["tensorflow"])
    if reference:
        return Level(level, FAIL, f"TensorFlow cannot run it: {reference}")
    if runtime not in subject.runs:
        return Level(level, NOT_RUN, absent)
    run = subject.runs[runtime]
    if problem := problem_of(run):
        return Level(level, NOT_RUN if run.timed_out else FAIL, f"{runtime} cannot run it: {problem}")
    messages = [
        f"endpoint {e.name}: {text}"
        for e in subject.endpoints
        for text in compare_endpoint(
            [case for case in subject.cases[e.name] if case.outputs],
            run.arrays.get(e.name, {}),
            run.errors.get(e.name, {}),
            {},
        ).findings
    ]
    calls = sum(len(cases) for cases in subject.cases.values())
    versions = ", ".join(f"{name} {version}" for name, version in run.report["versions"].items())
    return Level(level, FAIL if messages else PASS, messages[0] if messages else None, f"{calls} calls in {versions}")
