"""Level 2: the C++ loader that TF Serving calls, without Python's TensorFlow in the process."""

from __future__ import annotations

from export.parity.comparison import compare_endpoint
from export.proof.certificate import FAIL, NOT_RUN, PASS
from export.servecheck.subject import Level, Subject, problem_of

RUNTIME = "c_api"


def check(subject: Subject) -> Level:
    """Judge what the C API returned against what Python's TensorFlow returned."""
    return compare_with_tensorflow(subject, "loader", RUNTIME, "the C API of TensorFlow is not to be had here")


def compare_with_tensorflow(subject: Subject, level: str, runtime: str, absent: str) -> Level:
    """Return a level that passes if a runtime gives what Python's TensorFlow gives."""
    reference = problem_of(subject.runs["tensorflow"])
    if reference:
        return Level(level, FAIL, f"TensorFlow cannot run it: {reference}")
    if runtime not in subject.runs:
        return Level(level, NOT_RUN, absent)
    run = subject.runs[runtime]
    if problem := problem_of(run):
        return Level(level, NOT_RUN if run.timed_out else FAIL, f"{runtime} cannot run it: {problem}")
    found = [
        f"endpoint {e.name}: {text}"
        for e in subject.endpoints
        for text in compare_endpoint(
            [case for case in subject.cases[e.name] if case.outputs],
            run.arrays.get(e.name, {}),
            run.errors.get(e.name, {}),
            {},
        ).findings
    ]
    ran = sum(len(cases) for cases in subject.cases.values())
    versions = ", ".join(f"{name} {version}" for name, version in run.report["versions"].items())
    return Level(level, FAIL if found else PASS, found[0] if found else None, f"{ran} calls in {versions}")
