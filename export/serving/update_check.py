"""Check a new version against the one it is to replace: the same signatures, and paired answers to the same requests.

Both run in the C++ loader of TF Serving, one call after the other, so that their times can be compared.
"""

import json
import math
import statistics
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from export.artifacts import check_trusted, describe
from export.artifacts.calling import adjacent_contract, check_samplable, endpoints_of
from export.contract import Endpoint, Tensor
from export.contract.quantization import MAX_DROP
from export.parity.comparison import agreeing_rows
from export.parity.golden import cases_for
from export.proof.certificate import describe_drop
from export.proof.evaluation import BATCH, default_metrics, paired_drop, read_evaluation
from export.protocol import rest
from export.protocol.arrays import Arrays
from export.protocol.calls import Function, in_batches, one_line
from export.runners import RUNTIMES
from export.runners.run_tensorflow import read_requests
from export.runtime.backend import load_tensorflow
from zoobase.console import quiet_stderr
from zoobase.errors import CheckFailed, ExportError, Unavailable
from zoobase.files import check_present

TOLERANCE = 0.05  # of outputs that are no classes: the largest difference in a row, in units of that row
CLASSES = ("logits", "probabilities", "class_ids")


@dataclass(frozen=True)
class Requirements:
    """What a new version must hold to replace the old one."""

    requests: Path | None = None  # a file with a TF Serving REST body on each line, recorded from users, or None
    # labelled rows: the inputs of `serving_default` by name and one more array, the truth; or None
    evaluation: Mapping[str, np.ndarray] | None = None
    min_agreement: float = 0.99  # the smallest share of rows in which both versions agree
    max_drop: float = MAX_DROP  # the largest drop of the metric: the whole 95 % interval must be within
    trust: Collection[str] = ()  # operators that may run although they are not on the list of inference operators

    def __post_init__(self) -> None:
        """Raise ExportError for limits that are no shares."""
        if not 0 <= self.min_agreement <= 1:
            raise ExportError(f"the smallest agreement is {self.min_agreement}; give a share of rows from 0 to 1")
        if not 0 <= self.max_drop < math.inf:
            raise ExportError(f"the largest drop of the metric is {self.max_drop}; give a number, zero or more")


@dataclass
class Agreement:
    """Paired answers to a set of requests."""

    rows: int = 0  # number of rows that the old version answered
    agreed: int = 0  # number of these in which the new one agrees
    first: str | None = None  # the first row in which it does not, or None

    @property
    def share(self) -> float:
        """The share of rows; 1 if there is none."""
        return self.agreed / self.rows if self.rows else 1.0

    def add(self, agrees: np.ndarray, where: str) -> None:
        """Add the rows of one call."""
        self.rows, self.agreed = self.rows + len(agrees), self.agreed + int(agrees.sum())
        if self.first is None and not agrees.all():
            self.first = f"row {int(np.argmin(agrees))} of {where}"


@dataclass
class UpdateCheck:
    """The comparison of two versions."""

    # agreement on the warm-up records of both and on generated inputs
    golden: Agreement = field(default_factory=Agreement)
    # agreement on the recorded requests, or None. If given, it decides in place of `golden`.
    requests: Agreement | None = None
    latency_ratio: float | None = None  # median time of the new version's calls over that of the old one; reported only
    metric: dict[str, Any] | None = None  # the paired drop of the metric with its 95 % interval, or None

    def to_json(self) -> dict[str, Any]:
        """Return the form that --json prints."""
        sets = {"golden": self.golden, "requests": self.requests}
        data = {name: asdict(value) | {"share": value.share} if value else None for name, value in sets.items()}
        return data | {"latency_ratio": self.latency_ratio, "metric": self.metric}

    def summary(self) -> str:
        """Return the comparison on one line."""
        sets = (("golden", self.golden), ("recorded", self.requests))
        parts = [f"{a.agreed} of {a.rows} {name} rows agree" for name, a in sets if a]
        parts += [f"median latency x {self.latency_ratio:.2f}"] if self.latency_ratio else []
        return ", ".join(parts + ([describe_drop(self.metric)] if self.metric else []))


@dataclass(frozen=True)
class OpenVersion:
    """A version in the loader of TF Serving, in this process."""

    endpoints: Mapping[str, Endpoint]  # its signatures by name
    functions: Mapping[str, Function]  # the same to call
    labels: tuple[str, ...] | None  # the names of its classes, or None

    def call(self, name: str, inputs: Arrays) -> Arrays:
        """Return the outputs of a signature, a fixed batch size at a time."""
        return in_batches(self.functions[name], inputs, self.endpoints[name].batch)


def check_update(old: Path, new: Path, requirements: Requirements) -> UpdateCheck:
    """Compare two version folders; CheckFailed names the first row of which the new one is worse."""
    with quiet_stderr():
        before, after = (open_version(folder, requirements.trust) for folder in (old, new))
    if problem := _incompatibility(before, after):
        raise CheckFailed(f"{new} cannot replace {old}: {problem}")
    check, times = UpdateCheck(), ([], [])
    for where, name, inputs in _golden(before, old, new):
        _compare(before, after, where, name, inputs, check.golden, times)
    if requirements.requests:
        check.requests = Agreement()
        times = ([], [])  # those of real requests
        for where, name, inputs in _recorded(requirements.requests, before):
            _compare(before, after, where, name, inputs, check.requests, times)
    if all(times):
        check.latency_ratio = statistics.median(times[1]) / statistics.median(times[0])
    decisive = check.requests or check.golden
    if not decisive.rows:
        raise CheckFailed(f"{old} answered no row, so that nothing says whether {new} can replace it; give --requests")
    if decisive.share < requirements.min_agreement:
        raise CheckFailed(
            f"{new} agrees with {old} in {decisive.agreed} of {decisive.rows} rows, less than "
            f"{requirements.min_agreement:g}; the first that differs is {decisive.first}; if it was trained anew, "
            f"--min-agreement {math.floor(100 * decisive.share) / 100:g} --eval ROWS.npz lets labelled rows decide"
        )
    if requirements.evaluation is not None:
        check.metric = _evaluate(before, after, requirements.evaluation)
        if not check.metric["high"] <= requirements.max_drop:
            text = f"{describe_drop(check.metric)}, which may be more than {requirements.max_drop:g}"
            raise CheckFailed(f"{new} cannot replace {old}: {text}")
    return check


def open_version(folder: Path, trust: Collection[str]) -> OpenVersion:
    """Load a version with the C API, after the gate."""
    description = describe(folder)
    check_trusted(description, trust)
    endpoints, contract = endpoints_of(description), adjacent_contract(folder)
    job = {"path": str(folder.resolve()), "endpoints": [endpoint.to_json() for endpoint in endpoints]}
    try:
        opened = RUNTIMES["c_api"].open(job, {})
    except ImportError as error:
        raise Unavailable(f"versions cannot be compared here ({error})") from error
    except Exception as error:  # whatever the loader raises
        raise CheckFailed(f"{folder} cannot be loaded ({one_line(error)})") from error
    functions = {name: variants["main"] for name, variants in opened.items()}
    return OpenVersion({e.name: e for e in endpoints}, functions, contract.labels if contract else None)


def _incompatibility(before: OpenVersion, after: OpenVersion) -> str | None:
    """Return what requests to the old version, or readers of its answers, would miss in the new one."""
    for name, old in before.endpoints.items():
        if name not in after.endpoints:
            return f"it has no signature {name}"
        new = after.endpoints[name]
        if added := sorted({t.name for t in new.inputs} - {t.name for t in old.inputs}):
            return f"signature {name} needs another input, {added[0]}"
        for kind, ours, theirs in (("input", old.inputs, new.inputs), ("output", old.outputs, new.outputs)):
            named = {t.name: t for t in theirs}
            for tensor in ours:
                if tensor.name not in named:
                    return f"signature {name} has no {kind} {tensor.name}"
                if not _fits(tensor, named[tensor.name], kind == "input"):
                    facts = [f"{t.dtype} {t.shape}" for t in (tensor, named[tensor.name])]
                    return f"{kind} {tensor.name} of signature {name} is {facts[1]} instead of {facts[0]}"
    if before.labels and before.labels != (after.labels or ())[: len(before.labels)]:
        return "the classes have other labels or another order"
    return None


def _fits(old: Tensor, new: Tensor, is_input: bool) -> bool:
    """Return whether a tensor of the new version takes, or gives, what that of the old one did."""
    wide, narrow = (new.shape, old.shape) if is_input else (old.shape, new.shape)
    same_rank = old.dtype == new.dtype and len(wide) == len(narrow)
    return same_rank and all(w is None or w == n for w, n in zip(wide, narrow, strict=True))


def _golden(before: OpenVersion, old: Path, new: Path) -> Iterator[tuple[str, str, Arrays]]:
    """Yield (description, endpoint, inputs): the warm-up records of both, which hold real rows, and generated ones."""
    load_tensorflow()
    for folder in (old, new):
        for number, (name, inputs) in enumerate(read_requests(folder)):
            if name in before.endpoints and set(inputs) == {t.name for t in before.endpoints[name].inputs}:
                yield f"warm-up record {number} of {folder} ({name})", name, inputs
    for endpoint in before.endpoints.values():
        try:
            check_samplable(endpoint, old)
        except ExportError:  # its legal inputs are unknown
            continue
        for case in cases_for(endpoint):
            if case.compared and not case.chain:
                yield f"golden case {case.name} ({endpoint.name})", endpoint.name, case.inputs


def _recorded(path: Path, before: OpenVersion) -> Iterator[tuple[str, str, Arrays]]:
    """Yield (description, endpoint, inputs) of a file of REST bodies."""
    check_present(path)
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        if not line.strip():
            continue
        where = f"line {number} of {path}"
        try:
            request = json.loads(line)
            name = request.get("signature_name", "serving_default")
            if name not in before.endpoints:
                raise rest.NotJson(f"the old version has no signature {name}")
            inputs = rest.decode_request(request, {t.name: t.dtype for t in before.endpoints[name].inputs})
        except Exception as error:  # it may hold anything
            raise ExportError(f"{where} is not a predict request ({one_line(error)})") from error
        yield where, name, inputs


def _compare(
    before: OpenVersion,
    after: OpenVersion,
    where: str,
    name: str,
    inputs: Arrays,
    agreement: Agreement,
    times: tuple[list[float], list[float]],
) -> None:
    """Send a request to both versions; a row that the old one does not answer is not compared."""
    started = time.perf_counter()
    try:
        expected = before.call(name, inputs)
    except Exception:  # a request that the old version rejects
        return
    between = time.perf_counter()
    try:
        outputs = after.call(name, inputs)
    except Exception as error:  # whatever a runtime raises
        raise CheckFailed(f"the new version rejects {where}, which the old one answers: {one_line(error)}") from error
    times[0].append(between - started)
    times[1].append(time.perf_counter() - between)
    # Of a classifier its classes must agree: trained again it has other features. Of any other model all outputs.
    classes = {e.name: [t for t in e.outputs if t.meaning in CLASSES] for e in before.endpoints.values()}
    tensors = classes[name] if any(classes.values()) else before.endpoints[name].outputs
    rows = min(len(np.atleast_1d(value)) for value in expected.values())
    agrees = [agreeing_rows(t, expected[t.name], outputs[t.name], rows, TOLERANCE) for t in tensors]
    if rows and agrees:
        agreement.add(np.logical_and.reduce(agrees), where)


def _evaluate(before: OpenVersion, after: OpenVersion, arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Return the paired drop of the metric of `serving_default`, or of the only endpoint."""
    endpoint = before.endpoints.get("serving_default") or next(iter(before.endpoints.values()))
    evaluation = read_evaluation(arrays, endpoint)
    outputs = []
    for version in (before, after):
        size, parts = endpoint.batch or BATCH, []
        for start in range(0, len(evaluation.truth), size):
            part = evaluation.part(slice(start, start + size)).inputs
            parts.append(version.call(endpoint.name, {t.name: t.array(part[t.name]) for t in endpoint.inputs}))
        outputs.append({t.name: np.concatenate([part[t.name] for part in parts]) for t in endpoint.outputs})
    return paired_drop(default_metrics(endpoint), *outputs, evaluation.truth, evaluation.groups)
