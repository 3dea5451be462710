"""What a format is, and what is known of one of its files before it is run."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from export.contract import Artifact, Contract, Endpoint
from export.contract.quantization import QuantizedForm

KINDS = {  # of what a graph may do otherwise in calls that no proof has made: a pass is then stated with reservations
    "random": "draws random numbers",
    "stateful": "changes a state from call to call",
    "clock": "reads the clock",
    "external": "reaches files, the console or Python",
    "branches": "chooses by input numbers what it computes, and the proof saw only what its inputs chose",
}
NATIVE = "keras"  # the format that carries the model's own call and nothing else


@dataclass(frozen=True)
class TensorQuantization:
    """The parameters of a quantised TFLite tensor: real = scale * (stored - zero_point)."""

    dtype: str
    scale: float
    zero_point: int

    def quantize(self, real: np.ndarray) -> np.ndarray:
        """Return the stored integers of real numbers, which saturate at the ends of the range."""
        limits = np.iinfo(self.dtype)
        return np.clip(np.round(real / self.scale) + self.zero_point, limits.min, limits.max).astype(self.dtype)

    def dequantize(self, stored: np.ndarray) -> np.ndarray:
        """Return the real numbers of stored integers, float32."""
        return (self.scale * (stored.astype(np.float64) - self.zero_point)).astype(np.float32)


@dataclass(frozen=True)
class Port:
    """An input or output: name, NumPy dtype name or "string", and shape; None where they are unknown."""

    name: str
    dtype: str | None
    shape: tuple[int | None, ...] | None
    quantization: TensorQuantization | None = None


@dataclass(frozen=True)
class Signature:
    """A function of an artifact. A file without signatures has one, called ""."""

    name: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]


@dataclass
class Description:
    """The contents of an artifact."""

    path: Path
    format: str
    size: int  # bytes on disk, all files
    # library -> version of the program that wrote it, as far as recorded
    producer: dict[str, str] = field(default_factory=dict)
    signatures: tuple[Signature, ...] = ()
    parameters: int | None = None  # number of learnt parameters
    # operator or layer class -> count, reachable from the signatures
    operations: dict[str, int] = field(default_factory=dict)
    # "flex", "custom", "random", "stateful"; of a SavedModel also "clock", "external" (files, the console, Python),
    # "branches" (chosen by input numbers) -> names
    flagged: dict[str, list[str]] = field(default_factory=dict)
    # contents that can execute code or access files or the network, a message each
    risks: list[str] = field(default_factory=list)
    # operators that are not on the list of inference operators; `risks` names them too
    unlisted: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return the form that --json prints."""
        return asdict(self) | {"path": str(self.path)}


@dataclass(frozen=True)
class Format:
    """A format of artifacts, as its file declares it."""

    name: str  # its name in the command line, the manifest and the certificate
    extension: str  # the end of its files' names; empty for a folder
    # `(model, contract, folder, version) -> Artifact`, which raises Unsupported; None for a format that is only read
    write: Callable[[Any, Contract, Path, int], Artifact] | None
    # `(path, head) -> whether it is of this format`; `head` are its first bytes, none of a folder
    matches: Callable[[Path, bytes], bool]
    describe: Callable[[Description], None]  # fills in a `Description`
    # the same without what needs TensorFlow, or None if `describe` does not need it
    describe_graph: Callable[[Description], None] | None = None
    files: tuple[str, ...] = ()  # what a failed writer may leave behind
    is_default: bool = True  # whether it is written unless other formats are asked for
    needs_code: bool = False  # whether it names the classes of the model. It then has the model's own call only.
    # whether its endpoints may take or return strings; else it carries those that do not, if any do
    has_strings: bool = True
    holds_code: bool = False  # whether it can hold code, or operators that act on the machine
    holds_graph: bool = False  # whether it holds a graph and nothing of training, so that reservations can be stated
    is_drawn: bool = True  # whether Netron draws its files
    # `(path, contract) -> why` what a file says of itself is not what the contract says, or None
    contradiction: Callable[[Path, Contract], str | None] | None = None
    # returns from the error why a file just written is unreadable and so withheld; None where that is a failure
    unreadable: Callable[[str], str] | None = None
    quantizations: tuple[QuantizedForm, ...] = ()  # the quantised forms that it has
    # `(model, contract, folder, quantization, calibration, keep_float) -> Artifact`, as `write`
    write_quantized: Callable[..., Artifact] | None = None

    def artifact(self, contract: Contract, path: str, **facts: Any) -> Artifact:
        """Return an artifact of the format, with the endpoints of a contract that it carries."""
        return Artifact(self.name, path, tuple(e.name for e in contract.carried_by(self.name)), **facts)

    def carries(self, contract: Contract) -> Sequence[Endpoint]:
        """Return the endpoints that it carries unless they say otherwise; it is tried if it might have none of them."""
        able = contract.endpoints[:1] if self.needs_code else contract.endpoints
        plain = [e for e in able if not e.has_strings]
        return able if self.has_strings else plain or able


def sentence(kind: str, operators: list[str]) -> str:
    """Return a reservation as a sentence: "it reads the clock (Timestamp)"."""
    return f"it {KINDS.get(kind, kind)} ({', '.join(operators)})"
