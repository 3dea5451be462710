"""Certify a conversion that somebody else made: `compare`, with inputs that cover the reference."""

import contextlib
import dataclasses
import os
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from export.artifacts import READABLE, describe, torch_program
from export.artifacts.equivalence import SAME, Comparison, compare
from export.artifacts.whole_file import READERS, first_difference
from export.artifacts.whole_saved_model import WITHOUT_LAYERS, SavedModel, checkpoint_differences
from export.contract import Contract, Endpoint, Tensor
from export.contract.inference import infer_contract
from export.contract.sampling import corner_values, has_corners, sample_values
from export.formats import saved_model
from export.formats.format import Description
from export.formats.keras import merged_weights, read_model
from export.parity.cases import LARGEST_CASE, GoldenCase, read_golden, scores_of, write_golden
from export.parity.noise_floor import Policy
from export.proof.certificate import describe_coverage
from export.proof.coverage import Coverage
from export.proof.reference import run_reference
from export.protocol import weight_sums
from export.runtime import process
from zoobase.errors import CheckFailed

CORNERS = 16  # rows
BATCHES = (65, 257)  # beyond those of golden inputs
PAIRS = 64  # rows that alternate two ids
SAMPLED = "same on the sampled inputs"
SAME_GRAPHS = "same graphs and weights"


@dataclass
class Certified:
    """A comparison, and what its inputs reached in the reference."""

    comparison: Comparison
    # by endpoint, as in a certificate; empty where the reference has no layers that can be observed
    coverage: dict[str, dict[str, Any]] = field(default_factory=dict)
    unsampled: dict[str, list[str]] = field(default_factory=dict)  # by endpoint: what no input was like
    has_same_graphs: bool = False  # whether the files, of one format, are equal field by field

    @property
    def conclusion(self) -> str:
        """The verdict, which is about the inputs that were sampled and no others unless the graphs are equal."""
        if self.has_same_graphs:
            return SAME_GRAPHS
        return f"{SAMPLED}{self.comparison.verdict.removeprefix(SAME)}" if self.is_same else self.comparison.verdict

    @property
    def is_same(self) -> bool:
        """Whether all values are equal, be it under other names or within a budget."""
        return self.comparison.verdict.startswith(SAME)

    def to_json(self) -> dict[str, Any]:
        """Return the form that `-o` writes and --json prints: that of `compare`, with `coverage` and `unsampled`."""
        more = {"coverage": self.coverage, "unsampled": self.unsampled, "conclusion": self.conclusion}
        return self.comparison.to_json() | more

    def sentences(self) -> list[str]:
        """Return what the inputs reached, and which weights are there, for people."""
        texts = [(name, text) for name, summary in self.coverage.items() for text in describe_coverage(summary)]
        sentences = [f"coverage: {f'{name}: ' if len(self.coverage) > 1 else ''}{text}" for name, text in texts]
        sentences = sentences or ["coverage: not measured; only that of a Keras reference can be"]
        for name, axes in self.unsampled.items() if self.is_same and not self.has_same_graphs else ():
            sentences.append(f"not sampled{f' of {name}' if len(self.unsampled) > 1 else ''}: {'; '.join(axes)}")
        if weights := self.comparison.weights:
            sentences.append(f"weights: {weights['matched']} of {weights['of']} are in the candidate, by their values")
        return sentences


def certify(
    reference: str | os.PathLike[str],
    candidate: str | os.PathLike[str],
    *,
    samples: Mapping[str, np.ndarray] | None = None,
    match: Mapping[str, str] | None = None,
    trust: Collection[str] = (),
    tolerance: float = Policy.relative,
) -> Certified:
    """Compare two artifacts of any format as `export.compare` does, which also says what is raised.

    Rows of the largest contrast are added, larger batches, twice the lengths, minus zero, and pairs of ids. What no
    input was like is named, for the verdict is about the sampled inputs. If the reference is a Keras file, so are those
    that read every row of its tables with an effect, and inputs near the constants that it compares with; what all of
    them reached is measured, and the constants of the candidate are compared with its weights, as with those of a
    program of PyTorch: one that holds a weight with some rows changed is different, whatever it answered. Weights that
    were folded into others are only counted. Two files of one format are also compared field by field: if they are
    equal, the conclusion is about all inputs.

    Args:
        reference: An artifact.
        candidate: Another one, such as a conversion of it.
        samples: Real inputs (N, ...) by the names of the reference.
        match: {input or output of the reference: that of the candidate}.
        trust: Operators that may run although they are not on the list of inference operators.
        tolerance: The largest difference that is allowed, as of `export.compare`.

    Example:
        >>> certify("bundle/saved_model/1", "served/1").comparison.verdict
        'same'
    """
    coverage: dict[str, dict[str, Any]] = {}
    unsampled: dict[str, list[str]] = {}
    described = describe(Path(reference))
    format = READABLE[described.format]

    def write_weights(folder: Path) -> None:
        if format is torch_program.FORMAT:
            weight_sums.write(folder, torch_program.weights(Path(reference)))
        else:
            _in_process(Path(reference), {"weights": str(folder)}, folder)

    def more_cases(description: Description, endpoint: Endpoint, cases: Sequence[GoldenCase]) -> list[GoldenCase]:
        every = [*cases, *_corners(endpoint), *_beyond(endpoint)]
        if READABLE[description.format].needs_code:
            with tempfile.TemporaryDirectory(prefix="covering-") as scratch:
                write_golden(Path(scratch, "cases"), {endpoint.name: every})
                summary = _in_process(description.path, {"endpoint": endpoint.to_json()}, Path(scratch))
                every += read_golden(Path(scratch, "more"), Contract((endpoint,)))[endpoint.name]
            coverage.update({endpoint.name: summary} if summary else {})
        unsampled[endpoint.name] = _unsampled(endpoint, every)
        return every[len(cases) :]

    has_weights = format.needs_code or format is torch_program.FORMAT
    options = {"more_cases": more_cases, "weights": write_weights if has_weights else None, "tolerance": tolerance}
    result = compare(reference, candidate, samples=samples, match=match, trust=trust, **options)
    is_same = result.verdict.startswith(SAME) and _are_equal(described, describe(Path(candidate)))
    return Certified(result, coverage, unsampled, is_same)


def _are_equal(one: Description, other: Description) -> bool:
    """Return whether two files have the same format and are equal field by field; False where they cannot be read."""
    if one.format != other.format or one.format not in (*READERS, saved_model.FORMAT.name):
        return False
    with tempfile.TemporaryDirectory(prefix="comparing-") as scratch, contextlib.suppress(CheckFailed):
        job = {"format": one.format, "other": str(other.path.resolve())}
        return _in_process(one.path, job, Path(scratch), [other.path])["equal"]
    return False


def _corners(endpoint: Endpoint) -> list[GoldenCase]:
    """Return a case in which each number is at an end of its range; named rows do not widen the tolerance of others."""
    if not any(map(has_corners, endpoint.inputs)):
        return []
    rng, rows = np.random.default_rng(0), CORNERS * (endpoint.batch or 1)
    inputs = {tensor.name: corner_values(tensor, rows, rng) for tensor in endpoint.inputs}
    return [_case("corners", inputs, endpoint, tuple(f"corner {row}" for row in range(rows)))]


def _beyond(endpoint: Endpoint) -> Iterator[GoldenCase]:
    """Yield what golden inputs leave out: larger batches, longer inputs, minus zero, and rows of two ids."""
    rng, size = np.random.default_rng(0), endpoint.batch or 1
    for rows in BATCHES:
        inputs = {t.name: sample_values(t, rows * size, rng) for t in endpoint.inputs}
        if sum(value.nbytes for value in inputs.values()) <= LARGEST_CASE:
            yield _case(f"batch_{rows}", inputs, endpoint)
    if any(None in tensor.shape[1:] for tensor in endpoint.inputs):
        inputs = {t.name: _doubled(t, sample_values(t, 2 * size, rng)) for t in endpoint.inputs}
        yield _case("twice_as_long", inputs, endpoint)
    if real := [t.name for t in endpoint.inputs if t.dtype.startswith("float") and t.meaning != "token"]:
        inputs = {t.name: sample_values(t, size, rng) for t in endpoint.inputs}
        zeros = {name: np.full_like(inputs[name], -0.0) for name in real}
        yield _case("minus_zero", inputs | zeros, endpoint, ("minus zero",) * size)
    if any(tensor.meaning == "token" for tensor in endpoint.inputs):
        inputs = {t.name: sample_values(t, PAIRS * size, rng) for t in endpoint.inputs}
        for tensor in (t for t in endpoint.inputs if t.meaning == "token" and len(t.shape) == 2):
            ids = inputs[tensor.name]
            ids[:, 0::2], ids[:, 1::2] = ids[:, :1], ids[:, -1:]
        yield _case("pairs_of_ids", inputs, endpoint)


def _case(name: str, inputs: Mapping[str, np.ndarray], endpoint: Endpoint, rows: tuple[str, ...] = ()) -> GoldenCase:
    return GoldenCase(name, dict(inputs), rows=rows, scores=scores_of(endpoint))


def _doubled(tensor: Tensor, values: np.ndarray) -> np.ndarray:
    """Return values twice along each axis whose size is known only at run time."""
    for axis, size in enumerate(tensor.shape):
        values = np.concatenate([values, values], axis) if axis and size is None else values
    return values


def _unsampled(endpoint: Endpoint, cases: Sequence[GoldenCase]) -> list[str]:
    """Return what none of the inputs of an endpoint is like, for people."""
    axes = (
        []
        if endpoint.batch
        else [f"batches of more than {max(len(next(iter(case.inputs.values()))) for case in cases)} rows"]
    )
    for tensor in endpoint.inputs:
        values = [case.inputs[tensor.name] for case in cases]
        if None in tensor.shape[1:]:
            axes.append(f"{tensor.name} of sizes above {max(max(v.shape[1:]) for v in values)}")
        if tensor.meaning == "token":
            ids = len(np.unique(np.concatenate([v.reshape(-1) for v in values])))
            axes.append(f"{tensor.name} with most pairs of ids, and {int(np.max(tensor.high)) + 1 - ids} ids alone")
        elif tensor.dtype.startswith("float"):
            finite = [v[np.isfinite(v)] for v in values]
            low, high = min(v.min(initial=0) for v in finite), max(v.max(initial=0) for v in finite)
            axes.append(f"{tensor.name} outside {low:g} to {high:g}, NaN and infinities")
    return [*axes, "more than a few calls"]


def _in_process(path: Path, job: Mapping[str, Any], scratch: Path, others: Sequence[Path] = ()) -> dict[str, Any]:
    """Run the main function of this module on a file in a confined process, and return what it found."""
    options = {"packages": ["export", "zoobase"], "reads": [path, *others]}
    result, problem = process.run_job(__file__, {**job, "path": str(path.resolve())}, scratch, "keras", **options)
    if problem:
        raise CheckFailed(f"{path} cannot be loaded: the process {problem}")
    return result


def _covering(model: Any, endpoint: Endpoint, cases: Sequence[GoldenCase]) -> tuple[list[GoldenCase], dict[str, Any]]:
    """Return further cases, which cover a Keras model, and the summary of what all of them reached."""
    calls = {e.name: e.call for e in infer_contract(model).endpoints}
    if endpoint.name not in calls:  # of a contract that the file itself does not imply
        return [], {}
    live = Contract((dataclasses.replace(endpoint, call=calls[endpoint.name]),))
    every, coverage = {endpoint.name: list(cases)}, Coverage(model)
    with coverage.observer.observing(live) as observed:
        for name, more in coverage.search(observed, every).items():
            every[name] += more
        run_reference(observed, every, model.weights)
    return [dataclasses.replace(case, outputs={}) for case in every[endpoint.name][len(cases) :]], coverage.summary()


def _are_equal_files(format: str, paths: Sequence[Path]) -> bool:
    if format != saved_model.FORMAT.name:
        return first_difference(*(READERS[format](path).whole for path in paths)) is None
    one, other = (SavedModel(path, ()) for path in paths)
    return not [*one.differences(other), *checkpoint_differences(one, other, WITHOUT_LAYERS)]


def answer(job: Mapping[str, Any]) -> dict[str, Any]:
    """Load the Keras file of a job; write the checksums of its weights, or what covers it and what that reached.

    Of a job with another file, whether both are equal.
    """
    if "other" in job:
        return {"equal": _are_equal_files(job["format"], [Path(job["path"]), Path(job["other"])])}
    model, summary = read_model(Path(job["path"])), {}
    if "weights" in job:
        values = ((weight.path, np.asarray(weight.value)) for weight in model.weights)
        weight_sums.write(Path(job["weights"]), values, merged_weights(model))
    else:
        folder, endpoint = Path(job["result"]).parent, Endpoint.from_json(job["endpoint"])
        cases = read_golden(folder / "cases", Contract((endpoint,)))[endpoint.name]
        more, summary = _covering(model, endpoint, cases)
        write_golden(folder / "more", {endpoint.name: more})
    return summary


if __name__ == "__main__":
    import machine

    machine.answer_job(answer)
