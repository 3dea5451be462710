"""A flavor of MLflow: a proven bundle is logged with its certificate, and loaded as `pyfunc`.

    pip install mlflow-skinny pandas sqlalchemy alembic
    MLFLOW_TRACKING_URI=sqlite:///mlflow.db PYTHONPATH=examples/mlflow python examples/mlflow/bundle_flavor.py BUNDLE

`log_model` refuses a bundle that is damaged or did not pass. Whoever loads the model needs this project, and no code of
the model: this file is copied into what is logged.
"""

import json
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from mlflow.models import Model
from mlflow.models.signature import ModelSignature
from mlflow.types import Schema, TensorSpec

import export
from export.attestation.envelope import envelopes_of
from export.bundle.gate import read_proven

FLAVOR, MODULE = "keras_proof_zoo", Path(__file__).stem


def save_model(
    bundle: str,
    path: str,
    mlflow_model: Model | None = None,
    format: str = "tflite",
    endpoint: str | None = None,
    **_: Any,
) -> None:
    """Write a model of MLflow with a copy of a bundle; `format` and `endpoint` are what `predict` calls."""
    source, target = Path(bundle), Path(path)
    manifest = read_proven(source, "is logged")
    model, contract = mlflow_model or Model(), export.Contract.from_json(manifest["contract"])
    chosen = contract[endpoint] if endpoint else contract.carried_by(format)[0]
    shutil.copytree(source, target / "bundle")
    if envelopes_of(source).is_file():
        shutil.copyfile(envelopes_of(source), envelopes_of(target / "bundle"))
    (target / "code").mkdir()
    shutil.copyfile(__file__, target / "code" / f"{MODULE}.py")
    verdict = json.loads((source / "parity.json").read_text())["verdict"]
    model.signature = ModelSignature(inputs=_schema(chosen.inputs), outputs=_schema(chosen.outputs))
    model.add_flavor(
        FLAVOR, data="bundle", certificate="bundle/parity.json", verdict=verdict, created=manifest["created"]
    )
    config = {"format": format, "endpoint": chosen.name}
    mlflow.pyfunc.add_to_model(model, loader_module=MODULE, data="bundle", code="code", model_config=config)
    model.save(target / "MLmodel")


def log_model(bundle: str, name: str, **options: Any) -> Any:
    """Log a bundle to the active run, with its metrics and their 95 % intervals; options as of `save_model`."""
    manifest = read_proven(Path(bundle), "is logged")
    numbers = {key: float(value) for key, value in manifest["metrics"].items() if isinstance(value, int | float)}
    for key, (low, high) in manifest["card"].get("intervals", {}).items():
        numbers |= {f"{key}_low": float(low), f"{key}_high": float(high)}
    info = Model.log(artifact_path=None, name=name, flavor=sys.modules[__name__], bundle=str(bundle), **options)
    if numbers:
        mlflow.log_metrics(numbers, model_id=info.model_id)
    return info


def _schema(tensors: Iterable[export.Tensor]) -> Schema:
    return Schema(
        [
            TensorSpec(np.dtype("O" if t.dtype == "string" else t.dtype), tuple(s or -1 for s in t.shape), t.name)
            for t in tensors
        ]
    )


class _Bundle:
    def __init__(self, path: str, format: str, endpoint: str) -> None:
        read_proven(Path(path), "is loaded")
        self.call = export.load(path, format)[endpoint]

    def predict(self, data: Mapping[str, Any], params: Any = None) -> dict[str, np.ndarray]:
        """Return {output: array} of {input: array}."""
        return self.call(**{name: np.asarray(value) for name, value in data.items()})


def _load_pyfunc(path: str, model_config: Mapping[str, str] | None = None) -> _Bundle:
    return _Bundle(path, **(model_config or {}))


if __name__ == "__main__":
    import bundle_flavor  # under the name by which it is loaded again

    info = bundle_flavor.log_model(sys.argv[1], "bundle")
    print(f"{info.model_uri}: logged. Next: mlflow.pyfunc.load_model({info.model_uri!r}).predict(...)")
