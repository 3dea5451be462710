"""Level 6: a runtime that shares no code with TensorFlow."""

from __future__ import annotations

from export.serving.servecheck.loader import compare_with_tensorflow
from export.serving.servecheck.subject import Level, Subject

RUNTIME = "openvino"


def check(subject: Subject) -> Level:
    """Compare the outputs of OpenVINO with those of TensorFlow."""
    return compare_with_tensorflow(subject, "independent", RUNTIME, "openvino is not installed; pip install openvino")
