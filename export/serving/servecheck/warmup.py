"""Level 3: replay of the warm-up records. An invalid record makes TF Serving reject the version."""

from __future__ import annotations

from export.bundle.serving import WARMUP
from export.proof.certificate import FAIL, NOT_RUN, PASS
from export.serving.servecheck.subject import Level, Subject, problem_of


def check(subject: Subject) -> Level:
    """Report the result of the replay in TensorFlow's process."""
    if not (subject.folder / WARMUP).is_file():
        return Level("warmup", NOT_RUN, f"the version has no {WARMUP}")
    run = subject.runs["tensorflow"]
    if problem := problem_of(run):
        return Level("warmup", FAIL, f"TensorFlow cannot run it: {problem}")
    messages = run.report["findings"]
    return Level("warmup", FAIL if messages else PASS, messages[0] if messages else None, "every record replayed")
