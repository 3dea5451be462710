"""Level 6: a runtime that shares no code with TensorFlow."""

from __future__ import annotations

from export.servecheck.loader import compare_with_tensorflow
from export.servecheck.subject import Level, Subject

RUNTIME = "openvino"


def check(subject: Subject) -> Level:
    """Compare the outputs of OpenVINO with those of TensorFlow."""
    return compare_with_tensorflow(subject, "independent", RUNTIME, "openvino is not installed; pip install openvino")
