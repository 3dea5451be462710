"""Call any artifact, also without a contract, through the runners of the proof."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from export.artifacts import Description, Port, Signature
from export.artifacts.quantized import Quantization
from export.contract import KERAS_FORMATS, Contract, Endpoint, Tensor
from export.contract.artifact import Artifact
from export.parity.golden import Case, write_golden
from export.runtime.execution import Run, run_all
from export.runtime.runtimes import RUNTIMES, Runtime
from zoobase.errors import ExportError, Unavailable


@dataclass(frozen=True)
class ThirdPartyTensor(Tensor):
    """A tensor of a third-party artifact, which may be quantised."""

    quantization: Quantization | None = None

    def __post_init__(self) -> None:
        """Accept any name."""


def endpoints_of(description: Description) -> tuple[Endpoint, ...]:
    """Return the functions of an artifact as endpoints, with the ranges of an adjacent contract if there is one.

    Raises:
        ExportError: If it cannot be called: weights only, or a Keras file that does not load.
    """
    if description.format == "weights":
        raise ExportError(f"{description.path} holds weights only, which cannot run; give a whole model")
    contract = adjacent_contract(description.path)
    if description.format in KERAS_FORMATS:
        if contract and contract.carried_by(description.format):
            return contract.carried_by(description.format)
        from export.contract.inference import infer_contract
        from export.formats.keras import read_model

        endpoints = infer_contract(read_model(description.path)).endpoints
    else:
        endpoints = tuple(_endpoint(signature, description.format) for signature in description.signatures)
    return tuple(_with_ranges(endpoint, contract) for endpoint in endpoints)


def _endpoint(signature: Signature, format: str) -> Endpoint:
    inputs, outputs = (tuple(map(_tensor, ports)) for ports in (signature.inputs, signature.outputs))
    sizes = {t.shape[0] for t in inputs if t.shape}
    batch = sizes.pop() if len(sizes) == 1 else None
    return Endpoint(signature.name, inputs, outputs, formats=(format,), batch=batch, structure="dict")


def _tensor(port: Port) -> ThirdPartyTensor:
    shape = port.shape if port.shape is not None else ()
    meaning = "image" if port.dtype != "string" and len(shape) == 4 and shape[-1] in (1, 3, 4) else "tensor"
    low, high = (0, 255) if meaning == "image" else (None, None)
    return ThirdPartyTensor(
        port.name, port.dtype or "float32", shape, meaning, low, high, quantization=port.quantization
    )


def adjacent_contract(path: Path) -> Contract | None:
    """Return the contract of the bundle or the published version that an artifact lies in, or None."""
    manifests = [folder / "manifest.json" for folder in list(path.parents)[:2]]
    for file in (path / "assets.extra" / "published.json", *manifests):
        try:
            return Contract.from_json(json.loads(file.read_text())["contract"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
    return None


def _with_ranges(endpoint: Endpoint, contract: Contract | None) -> Endpoint:
    """Return the endpoint with the meanings and ranges that a contract declares for tensors of the same names."""
    contract_endpoint = next((e for e in contract.endpoints if e.name == endpoint.name), None) if contract else None
    if contract_endpoint is None:
        return endpoint
    named = {t.name: t for t in (*contract_endpoint.inputs, *contract_endpoint.outputs)}

    def with_range(tensor: Tensor) -> Tensor:
        declared = named.get(tensor.name)
        if declared is None or declared.dtype != tensor.dtype:
            return tensor
        facts = {key: getattr(declared, key) for key in ("meaning", "low", "high", "vocabulary")}
        return dataclasses.replace(tensor, **facts)

    return dataclasses.replace(
        endpoint, inputs=tuple(map(with_range, endpoint.inputs)), outputs=tuple(map(with_range, endpoint.outputs))
    )


def with_samples(endpoint: Endpoint, samples: Mapping[str, np.ndarray]) -> Endpoint:
    """Return the endpoint with the range of each input taken from its samples."""

    def with_range(tensor: Tensor) -> Tensor:
        sample = samples.get(tensor.name)
        if sample is None or not sample.size or sample.dtype.kind not in "fiub":
            return tensor
        return dataclasses.replace(tensor, low=float(np.min(sample)), high=float(np.max(sample)))

    return dataclasses.replace(endpoint, inputs=tuple(map(with_range, endpoint.inputs)))


def check_samplable(endpoint: Endpoint, path: Path) -> None:
    """Raise ExportError if inputs cannot be generated: integers of unknown range, or no batch dimension."""
    for tensor in endpoint.inputs:
        is_unbounded = tensor.dtype not in ("bool", "uint8", "int8", "string") and not tensor.dtype.startswith("float")
        if is_unbounded and tensor.high is None:
            raise ExportError(
                f"input {tensor.name} of {path} is {tensor.dtype} and its legal values are unknown; "
                f"give --samples with an array {tensor.name} in it"
            )
        if not tensor.shape:
            raise ExportError(f"input {tensor.name} of {path} has no batch dimension; it cannot be called row by row")


def runtime_for(format: str) -> Runtime:
    """Return the first installed runtime that runs a format.

    Raises:
        Unavailable: If none is installed.
    """
    candidates = [r for r in RUNTIMES.values() if format in r.formats and not r.on_request]
    for runtime in candidates:
        if runtime.version:
            return runtime
    names = " or ".join(r.distribution for r in candidates) or "a runtime"
    raise Unavailable(f"no installed runtime runs {format}; pip install {names}")


def run_artifact(
    path: Path,
    format: str,
    endpoints: Sequence[Endpoint],
    cases: Mapping[str, Sequence[Case]],
    runtimes: Sequence[Runtime],
    again_with: Mapping[str, Mapping[str, str]] | None = None,
) -> dict[str, Run]:
    """Run an artifact on cases, in a fresh process for each runtime: {runtime name: run}.

    `again_with` is as of `run_all`.
    """
    with tempfile.TemporaryDirectory(prefix="export-") as scratch:
        write_golden(Path(scratch) / "golden", {name: list(group) for name, group in cases.items()})
        contract = Contract(tuple(endpoints))
        names = tuple(endpoint.name for endpoint in endpoints)
        plan = {r.name: (r, [Artifact(format, str(path.resolve()), names)]) for r in runtimes}
        runs = run_all(Path(scratch), contract, plan, (), again_with=again_with)
    return {name: run for (name, _), run in runs.items()}
