"""Level 3: the warm-up records, replayed. One that does not fit makes TF Serving refuse the version."""

from __future__ import annotations

from export.bundle.serving import WARMUP
from export.proof.certificate import FAIL, NOT_RUN, PASS
from export.servecheck.subject import Level, Subject, problem_of


def check(subject: Subject) -> Level:
    """Say what the replay in TensorFlow's process found."""
    if not (subject.folder / WARMUP).is_file():
        return Level("warmup", NOT_RUN, f"the version has no {WARMUP}")
    run = subject.runs["tensorflow"]
    if problem := problem_of(run):
        return Level("warmup", FAIL, f"TensorFlow cannot run it: {problem}")
    found = run.report["findings"]
    return Level("warmup", FAIL if found else PASS, found[0] if found else None, "every record replayed")
