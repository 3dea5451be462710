"""Export any Keras model and prove the artifacts. Importing this package does not import TensorFlow."""

from __future__ import annotations

import os
import sys

# `python -m` would import a numpy.py of the current folder: that folder goes, unless we ourselves are imported from it
if sys.argv[:1] == ["-m"] and not sys.flags.safe_path:
    if (
        os.path.realpath(sys.path[0] or ".")
        == os.path.realpath(".")
        != os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    ):  # not a folder of PYTHONPATH, which is the first one after another of our packages has removed the current one
        del sys.path[0]

import importlib
from typing import Any

from export.runtime import onednn

os.environ["TF_CPP_MIN_LOG_LEVEL"] = os.environ.get("TF_CPP_MIN_LOG_LEVEL") or "3"  # TensorFlow reads it when imported
onednn.choose()

_MODULES = {
    "export_model": "export.exporter",
    "verify_bundle": "export.verifier",
    "publish": "export.bundle.publisher",
    "push": "export.serving.transfer.pusher",
    "pull": "export.serving.transfer.puller",
    "compare": "export.artifacts.comparison",
    "check_serving": "export.serving.servecheck",
    "load": "export.bundle.loader",
    "infer_contract": "export.contract.inference",
    "Bundle": "export.bundle.layout",
    "Certificate": "export.proof.certificate",
    "Contract": "export.contract",
    "Endpoint": "export.contract",
    "Evaluation": "export.proof.evaluation",
    "Tensor": "export.contract",
    "ExportError": "export.errors",
    "ExportFailed": "export.errors",
}

__all__ = list(_MODULES)


def __getattr__(name: str) -> Any:
    """Import public names on first access."""
    if name in _MODULES:
        return getattr(importlib.import_module(_MODULES[name]), name)
    raise AttributeError(f"module 'export' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(_MODULES)
