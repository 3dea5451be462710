"""Call any artifact, also without a contract, through the runners of the proof."""

import dataclasses
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from export.artifacts import READABLE
from export.contract import Artifact, Contract, Endpoint, Tensor
from export.formats.format import Description, Port, Signature, TensorQuantization
from export.formats.keras import read_model
from export.parity.cases import GoldenCase, write_golden
from export.protocol.runner import Runtime
from export.runners import GROUPS, RUNTIMES, runtimes_of
from export.runtime.execution import ArtifactRun, run_all
from zoobase import suggestion
from zoobase.errors import ExportError, Unavailable

CPU = "cpu"  # stands for the runtime that a format has without any being named


@dataclass(frozen=True)
class ThirdPartyTensor(Tensor):
    """A tensor of a third-party artifact, which may be quantised."""

    quantization: TensorQuantization | None = None

    def __post_init__(self) -> None:
        """Accept any name."""


def endpoints_of(description: Description) -> tuple[Endpoint, ...]:
    """Return the functions of an artifact as endpoints, with the ranges of an adjacent contract if there is one."""
    format = READABLE[description.format]
    if format.needs_code and not description.signatures:
        raise ExportError(f"{description.path} holds weights only, which cannot run; give a whole model")
    contract = adjacent_contract(description.path)
    if format.needs_code:
        if contract and contract.carried_by(description.format):
            return contract.carried_by(description.format)
        from export.contract.inference import infer_contract

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
    declared = next((e for e in contract.endpoints if e.name == endpoint.name), None) if contract else None
    named = {t.name: t for t in (*declared.inputs, *declared.outputs)} if declared else {}

    def with_range(tensor: Tensor) -> Tensor:
        other = named.get(tensor.name)
        return with_facts(tensor, other) if other is not None and other.dtype == tensor.dtype else tensor

    return with_tensors(endpoint, with_range)


def with_facts(tensor: Tensor, other: Tensor) -> Tensor:
    """Return a tensor with the meaning and the legal values that another one declares."""
    return dataclasses.replace(tensor, **{key: getattr(other, key) for key in ("meaning", "low", "high", "vocabulary")})


def with_tensors(endpoint: Endpoint, change: Callable[[Tensor], Tensor]) -> Endpoint:
    """Return the endpoint with changed inputs and outputs."""
    return dataclasses.replace(
        endpoint, inputs=tuple(map(change, endpoint.inputs)), outputs=tuple(map(change, endpoint.outputs))
    )


def quantization_of(tensor: Tensor) -> TensorQuantization | None:
    """Return the quantisation parameters of a tensor of a third-party file, or None."""
    return getattr(tensor, "quantization", None)


def as_real(endpoint: Endpoint) -> Endpoint:
    """Return the endpoint with quantised tensors as float32, with the range that they can hold."""

    def real(tensor: Tensor) -> Tensor:
        if (quantization := quantization_of(tensor)) is None:
            return tensor
        limits = np.iinfo(quantization.dtype)
        low, high = quantization.dequantize(np.array([limits.min, limits.max])).tolist()
        return dataclasses.replace(tensor, dtype="float32", low=low, high=high)

    return with_tensors(endpoint, real)


def as_stored(endpoint: Endpoint) -> Endpoint:
    """Return the endpoint with the dtypes of the file."""
    return with_tensors(endpoint, lambda t: dataclasses.replace(t, dtype=q.dtype) if (q := quantization_of(t)) else t)


def without_quantization(endpoint: Endpoint) -> Endpoint:
    """Return the endpoint with quantised tensors as plain integers."""
    return with_tensors(endpoint, lambda t: dataclasses.replace(t, quantization=None) if quantization_of(t) else t)


def with_samples(endpoint: Endpoint, samples: Mapping[str, np.ndarray]) -> Endpoint:
    """Return the endpoint with the range of each input taken from its samples."""

    def with_range(tensor: Tensor) -> Tensor:
        sample = samples.get(tensor.name)
        if sample is None or not sample.size or sample.dtype.kind not in "fiub":
            return tensor
        return dataclasses.replace(tensor, low=float(np.min(sample)), high=float(np.max(sample)))

    return dataclasses.replace(endpoint, inputs=tuple(map(with_range, endpoint.inputs)))


def has_rows(endpoint: Endpoint) -> bool:
    """Return whether all inputs have a first dimension, the same of all: that of the rows of a batch."""
    return all(t.shape for t in endpoint.inputs) and len({t.shape[0] for t in endpoint.inputs}) <= 1


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


def runtime_for(format: str, name: str = CPU) -> Runtime:
    """Return the first installed runtime that runs a format, of a name or a group; Unavailable if none is."""
    choices = (CPU, *GROUPS, *RUNTIMES)
    if name not in choices:
        raise ExportError(f"unknown runtime {name!r}; {suggestion(name, choices)}")
    if name == CPU:
        candidates = [runtime for runtime in runtimes_of(format) if not runtime.on_request]
    else:
        candidates = [runtime for runtime in runtimes_of(format) if name in (runtime.name, runtime.group)]
        if not candidates:
            raise ExportError(f"{name} does not run {format}")
    for runtime in candidates:
        if runtime.version:
            return runtime
    hints = [runtime.install or f"pip install {runtime.distribution}" for runtime in candidates]
    raise Unavailable(f"no installed runtime runs {format}; {' or '.join(dict.fromkeys(hints)) or 'install one'}")


def run_artifact(
    path: Path,
    format: str,
    endpoints: Sequence[Endpoint],
    cases: Mapping[str, Sequence[GoldenCase]],
    runtimes: Sequence[Runtime],
    environment: Mapping[str, str] | None = None,
    weights: Callable[[Path], None] | None = None,
) -> dict[str, ArtifactRun]:
    """Return the run of an artifact on cases by runtime; `weights` writes checksums for the comparison by value."""
    with tempfile.TemporaryDirectory(prefix="export-") as scratch:
        write_golden(Path(scratch) / "golden", {name: list(group) for name, group in cases.items()})
        if weights:
            weights(Path(scratch) / "golden")
        contract = Contract(tuple(endpoints))
        names = tuple(endpoint.name for endpoint in endpoints)
        plan = {r.name: (r, [Artifact(format, str(path.resolve()), names)]) for r in runtimes}
        runs = run_all(Path(scratch), contract, plan, (), environment=environment)
    return {name: run for (name, _), run in runs.items()}
