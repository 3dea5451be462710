"""Export any Keras model and prove the artifacts. Importing this package does not import TensorFlow."""

from zoobase.importing import lazy_attributes  # isort: skip  (first: zoobase removes the current folder from sys.path)

import os
from typing import TYPE_CHECKING

from export.runtime import onednn

os.environ["TF_CPP_MIN_LOG_LEVEL"] = os.environ.get("TF_CPP_MIN_LOG_LEVEL") or "3"  # TensorFlow reads it when imported
onednn.choose()

if TYPE_CHECKING:
    from export.artifacts.equivalence import compare
    from export.bundle.layout import Bundle
    from export.bundle.loader import load
    from export.certifier import certify
    from export.contract import Contract, Endpoint, Tensor
    from export.contract.inference import infer_contract
    from export.contract.simulation import Simulation
    from export.exporter import Checks, Documents, export_model
    from export.proof.certificate import Certificate
    from export.proof.evaluation import Evaluation, Quantization
    from export.serving.publisher import publish, rollback
    from export.serving.servecheck import check_serving
    from export.serving.transfer.exchange import pull, push
    from export.verifier import verify_bundle
    from zoobase.errors import ExportError, ExportFailed

__all__ = [
    "Bundle",
    "Certificate",
    "Checks",
    "Contract",
    "Documents",
    "Endpoint",
    "Evaluation",
    "ExportError",
    "ExportFailed",
    "Quantization",
    "Simulation",
    "Tensor",
    "certify",
    "check_serving",
    "compare",
    "export_model",
    "infer_contract",
    "load",
    "publish",
    "pull",
    "push",
    "rollback",
    "verify_bundle",
]

_lazy = lazy_attributes(__name__, __file__)

if not TYPE_CHECKING:  # a type checker reports names that are not imported above
    __getattr__ = _lazy


def __dir__() -> list[str]:
    return _lazy.names()
