"""Export any Keras model and prove the artifacts. Importing this package does not import TensorFlow."""

from zoobase.importing import lazy_attributes  # isort: skip  (first: zoobase removes the current folder from sys.path)

import os
from typing import TYPE_CHECKING

from export.runtime import onednn

os.environ["TF_CPP_MIN_LOG_LEVEL"] = os.environ.get("TF_CPP_MIN_LOG_LEVEL") or "3"  # TensorFlow reads it when imported
onednn.choose()

if TYPE_CHECKING:
    from export.artifacts.equivalence import compare as compare
    from export.bundle.layout import Bundle as Bundle
    from export.bundle.loader import load as load
    from export.certifier import certify as certify
    from export.contract import Contract as Contract
    from export.contract import Endpoint as Endpoint
    from export.contract import Tensor as Tensor
    from export.contract.inference import infer_contract as infer_contract
    from export.contract.simulation import Simulation as Simulation
    from export.exporter import Checks as Checks
    from export.exporter import Documents as Documents
    from export.exporter import export_model as export_model
    from export.proof.certificate import Certificate as Certificate
    from export.proof.evaluation import Evaluation as Evaluation
    from export.proof.evaluation import Quantization as Quantization
    from export.serving.publisher import publish as publish
    from export.serving.publisher import rollback as rollback
    from export.serving.servecheck import check_serving as check_serving
    from export.verifier import verify_bundle as verify_bundle
    from zoobase.errors import ExportError as ExportError
    from zoobase.errors import ExportFailed as ExportFailed

_lazy = lazy_attributes(__name__, __file__)

if not TYPE_CHECKING:  # a type checker reports names that are not imported above
    __getattr__, __dir__, __all__ = _lazy, _lazy.names, sorted(_lazy.modules)
