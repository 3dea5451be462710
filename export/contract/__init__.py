"""Tensors, endpoints, the contract that collects them, and the artifacts that carry them.

A contract is written before anything is exported. Every format carries the endpoints that it can represent, under these
names; golden inputs and edge cases are generated from the meaning of each tensor; outputs are compared by name.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

import numpy as np

from export.contract import preprocessing
from export.contract.preprocessing import Preprocessing
from zoobase.errors import ExportError

MEANINGS = (
    "image",  # pixels, in [low, high]
    "encoded_image",  # the bytes of a JPEG or PNG file
    "text",  # a UTF-8 string
    "audio",  # samples of a sound, in [low, high], by default [-1, 1]
    "token",  # an integer id in [low, high]
    "category",  # one string of `vocabulary`
    "noise",  # standard normal numbers
    "latent",  # a latent vector, about standard normal
    "state",  # recurrent state: initially zeros, then the output of the previous step
    "logits",
    "probabilities",
    "class_ids",  # of an output: the position of the largest of the endpoint's logits or probabilities
    "tensor",  # none of these
)

OPTIONAL = frozenset(
    {"ranges", "missing", "words", "delimiter", "sample_rate", "preprocessing"}
)  # fields that JSON has only if they are set
MAX_NAMES = 20  # of labels and of values that a text lists


def _plain(value: Any) -> Any:
    """Return a value with lists in place of tuples, as JSON has them."""
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _frozen(value: Any) -> Any:
    """Return a value of JSON with tuples in place of lists."""
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


@dataclass(frozen=True)
class Tensor:
    """One named input or output.

    Attributes:
        name: The name in every format. A valid Python identifier.
        dtype: A NumPy dtype name, or "string".
        shape: With the batch dimension first; None is a dimension known only at run time.
        meaning: One of `MEANINGS`; golden inputs are generated from it.
        low: The smallest legal value, or None; a tuple holds one for each position along the last axis.
        high: The largest legal value (for tokens: vocabulary size - 1), or None; a tuple as `low`.
        vocabulary: The legal values of a category, strings or integers; the words of a text; or None.
        ranges: Where it is not known which of several ranges the values have, all of them: each golden row has one.
        min_size: The least size of the dimensions that are known only at run time, or None if any is legal.
        missing: What stands for a value that a client does not have: "NaN" or ""; None if every value is needed.
        words: The words of token ids, by id, of which 0 is padding and 1 any other word, or None; forms of one word,
            such as film and Film, are separated by a space.
        delimiter: The regular expression (RE2) of what is between two words of a text, where that is all there is to
            tokenizing; or None.
        sample_rate: Samples per second of a sound, or None.
        preprocessing: How a file becomes this tensor, which an application must do too; None if that is not stated.

    Example:
        >>> image = Tensor("image", "float32", (None, 28, 28, 1), "image", low=0, high=255)
        >>> Tensor.from_json(image.to_json()) == image
        True
        >>> Tensor("tokens", "int32", (None, None), "token")
        Traceback (most recent call last):
            ...
        ValueError: tensor tokens: token ids need `high`; an id outside the table crashes runtimes
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]
    meaning: str = "tensor"
    low: float | tuple[float, ...] | None = None
    high: float | tuple[float, ...] | None = None
    vocabulary: tuple[str, ...] | tuple[int, ...] | None = None
    ranges: tuple[tuple[float, float], ...] | None = None
    min_size: int | None = None
    missing: str | None = None
    words: tuple[str, ...] | None = None
    delimiter: str | None = None
    sample_rate: int | None = None
    preprocessing: Preprocessing | None = None

    def __post_init__(self) -> None:
        """Raise ValueError for a tensor that no format can represent."""
        if not self.name.isidentifier():
            raise ValueError(f"tensor name {self.name!r} is not a valid identifier")
        if self.meaning not in MEANINGS:
            raise ValueError(f"tensor {self.name}: unknown meaning {self.meaning!r}; one of {', '.join(MEANINGS)}")
        if self.meaning == "token" and self.high is None:
            raise ValueError(f"tensor {self.name}: token ids need `high`; an id outside the table crashes runtimes")
        if self.words is not None and len(self.words) != (self.high or 0) + 1:
            raise ValueError(
                f"tensor {self.name}: {len(self.words)} words for ids up to {self.high}; give one for each"
            )
        if self.meaning == "audio" and self.sample_rate is None:
            raise ValueError(f"tensor {self.name}: samples of a sound need `sample_rate`; clients resample theirs")

    def array(self, values: Any) -> np.ndarray:
        """Return values in the dtype that they have in NumPy; strings are objects."""
        return np.asarray(values, object if self.dtype == "string" else self.dtype)

    def fits(self, shape: Sequence[int]) -> bool:
        """Return whether an array of this shape is one of the tensor's, with any batch size."""
        return len(shape) == len(self.shape) and all(
            declared in (None, size) for declared, size in zip(self.shape[1:], shape[1:], strict=True)
        )

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form used in manifests."""
        data = {item.name: _plain(getattr(self, item.name)) for item in fields(Tensor)}
        data["preprocessing"] = self.preprocessing and self.preprocessing.to_json()
        return {key: value for key, value in data.items() if key not in OPTIONAL or value is not None}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild from `to_json`."""
        values = {item.name: _frozen(data[item.name]) for item in fields(Tensor) if item.name in data}
        stated = values.get("preprocessing")
        return cls(**values | {"preprocessing": stated and preprocessing.from_json(stated)})


@dataclass(frozen=True)
class Endpoint:
    """One function of an artifact, with named inputs and outputs.

    Attributes:
        name: The signature name, such as "serving_default".
        inputs: In call order.
        outputs: In order.
        call: TensorFlow function `{input name: tensor} -> {output name: tensor}`, deterministic, inference mode. None
            in a contract that was read back from disk.
        formats: The names of the formats that carry it; None for every format that can represent it. A format that
            holds the model's classes may be named only where `call` is the model's own call.
        batch: The only legal batch size, or None if any is.
        structure: How the model's own call takes its inputs: "tensor", "dict" (by input name) or "list".

    Example:
        >>> x = Tensor("x", "float32", (None, 4))
        >>> double = Endpoint("double", (x,), (x,), lambda inputs: {"x": 2 * inputs["x"]}, formats=("saved_model",))
        >>> double.call({"x": 3.0})
        {'x': 6.0}
    """

    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    call: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None
    formats: tuple[str, ...] | None = None
    batch: int | None = None
    structure: str = "tensor"

    def __post_init__(self) -> None:
        """Raise ValueError for names that collide."""
        for kind, tensors in (("input", self.inputs), ("output", self.outputs)):
            names = [t.name for t in tensors]
            if len(set(names)) != len(names):
                raise ValueError(f"endpoint {self.name}: two {kind}s share a name: {names}")

    @property
    def has_strings(self) -> bool:
        """Whether it takes or returns strings."""
        return any(tensor.dtype == "string" for tensor in (*self.inputs, *self.outputs))

    def is_carried_by(self, format: str) -> bool:
        """Return whether a format carries it."""
        return self.formats is None or format in self.formats

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form used in manifests, without `call`."""
        tensors = {kind: [t.to_json() for t in getattr(self, kind)] for kind in ("inputs", "outputs")}
        others = {name: _plain(getattr(self, name)) for name in ("formats", "batch", "structure")}
        return {"name": self.name} | tensors | others

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild from `to_json`, without `call`."""
        tensors = {kind: tuple(map(Tensor.from_json, data[kind])) for kind in ("inputs", "outputs")}
        return cls(data["name"], **tensors, **{key: _frozen(data[key]) for key in ("formats", "batch", "structure")})


@dataclass(frozen=True)
class Contract:
    """All endpoints of a model, and the labels of its classes if it has any.

    Attributes:
        endpoints: The endpoints; the first one is the model's own call.
        labels: Class names in the order of the outputs, or of the ids of an input, or None.

    Example:
        >>> x, logits = Tensor("x", "float32", (None, 4)), Tensor("logits", "float32", (None, 2), "logits")
        >>> contract = Contract((Endpoint("serving_default", (x,), (logits,)),), labels=("cat", "dog"))
        >>> contract["serving_default"].inputs[0].name
        'x'
        >>> ", ".join(endpoint.name for endpoint in contract.carried_by("tflite"))
        'serving_default'
    """

    endpoints: tuple[Endpoint, ...]
    labels: tuple[str, ...] | None = None

    def __getitem__(self, name: str) -> Endpoint:
        """Return the endpoint of that name; KeyError lists the available ones."""
        for endpoint in self.endpoints:
            if endpoint.name == name:
                return endpoint
        raise KeyError(f"no endpoint {name!r}; available: {', '.join(e.name for e in self.endpoints)}")

    def carried_by(self, format: str) -> tuple[Endpoint, ...]:
        """Return the endpoints that `format` carries."""
        return tuple(e for e in self.endpoints if e.is_carried_by(format))

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form used in manifests."""
        return {"endpoints": [e.to_json() for e in self.endpoints], "labels": _plain(self.labels)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild from `to_json`."""
        return cls(tuple(map(Endpoint.from_json, data["endpoints"])), _frozen(data.get("labels")))


@dataclass
class Artifact:
    """One file or folder of a bundle."""

    format: str
    path: str  # relative to the bundle
    endpoints: tuple[str, ...]  # names of those it carries
    batch: int | None = None  # the batch size that every call must have, or None
    producer: dict[str, str] = field(default_factory=dict)  # library -> version
    reason: str | None = None  # why it does not exist (unsupported or failed)
    state: str | None = None  # None while unproven, else "unsupported" or "fail"
    quantize: str | None = None  # name of its quantised form
    note: str | None = None
    # work that can run in parallel, such as a conversion; called once before use
    finish: Callable[[], None] | None = field(default=None, repr=False, compare=False)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form used in manifests."""
        return {item.name: _plain(getattr(self, item.name)) for item in fields(self) if item.name != "finish"}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Rebuild from `to_json`."""
        return cls(**{key: _frozen(value) for key, value in data.items()})


def shape_text(shape: Sequence[int | None]) -> str:
    """Return a shape as text: "(?, 28, 28)"."""
    return f"({', '.join('?' if size is None else str(size) for size in shape)})"


def range_text(tensor: Tensor) -> str:
    """Return the legal values of an input as text, "" where the contract states none."""
    if tensor.ranges:
        return " or ".join(f"from {low:g} to {high:g}" for low, high in tensor.ranges)
    if tensor.vocabulary is not None:
        kind = "words such as" if tensor.meaning == "text" else "one of"
        return f"{kind} {_first(value for value in map(str, tensor.vocabulary) if value)}"
    if tensor.low is None or tensor.high is None:
        return ""
    if isinstance(tensor.low, tuple) or isinstance(tensor.high, tuple):
        columns = np.broadcast_arrays(tensor.low, tensor.high)
        return f"by column from {_first(f'{low:g} to {high:g}' for low, high in zip(*columns, strict=True))}"
    return f"from {tensor.low:g} to {tensor.high:g}"


def labels_text(contract: Contract) -> str:
    """Return the labels of a contract as a sentence, "" without labels."""
    return f"Labels in the order of the classes: {_first(contract.labels)}." if contract.labels else ""


def _first(texts: Iterable[str]) -> str:
    """Return the first texts of many, and how many more there are."""
    texts = list(texts)
    more = f" and {len(texts) - MAX_NAMES} more" if len(texts) > MAX_NAMES else ""
    return ", ".join(texts[:MAX_NAMES]) + more


def with_labels(contract: Contract, labels: Sequence[str] | None) -> Contract:
    """Return a contract with class names, in the order of the outputs; ExportError if it has other ones."""
    if isinstance(labels, str) or (labels is not None and contract.labels not in (None, tuple(labels))):
        problem = "is one string" if isinstance(labels, str) else "differs from the labels of the contract"
        raise ExportError(f"labels={labels!r} {problem}; give a list of class names in one place")
    return contract if labels is None else replace(contract, labels=tuple(labels))


def check_exportable(contract: Contract) -> None:
    """Raise ExportError for a contract that no bundle can hold."""
    if not contract.endpoints:
        raise ExportError("the contract has no endpoint; give at least one")
    for endpoint in contract.endpoints:
        if endpoint.call is None:
            raise ExportError(
                f"endpoint {endpoint.name} has no call; a contract read from disk cannot be exported again"
            )
        for tensor in (*endpoint.inputs, *endpoint.outputs):
            where = f"tensor {tensor.name} of endpoint {endpoint.name}"
            if not tensor.shape:
                raise ExportError(
                    f"{where} is declared without a batch dimension; a server needs a row for each example"
                )
            if tensor.dtype == "bfloat16":
                raise ExportError(
                    f"{where} is declared bfloat16, which NumPy and JSON lack; declare and return float32"
                )
    outputs = [t for e in contract.endpoints for t in e.outputs]
    scores = [t for t in outputs if t.meaning in ("logits", "probabilities")]
    scores = scores or [t for t in outputs if len(t.shape) == 2]  # such as those of an activation that is not known
    sizes = {t.shape[-1] for t in scores if t.shape[-1] is not None}
    if contract.labels is not None and sizes and len(contract.labels) not in sizes:
        raise ExportError(f"{len(contract.labels)} labels for an output of {min(sizes)} classes; give one for each")
