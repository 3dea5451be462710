"""Smaller and faster files of a model, what each costs in quality, and the best of those within a budget."""

from __future__ import annotations

import dataclasses
import gzip
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from export.contract import Artifact, Contract
from export.contract.quantization import check_modules
from export.contract.simulation import Simulation
from export.formats import QUANTIZATIONS, format_of, remove_scratch, tflite, with_formats
from export.proof.evaluation import Evaluation, measure_drops
from export.protocol.arrays import save_arrays
from export.runtime import process
from zoobase.errors import Unavailable, Unsupported, UsageError

if TYPE_CHECKING:
    import keras

FLOAT = "float32"  # of a file that is not quantised
FORMS = (FLOAT, *QUANTIZATIONS)
KEPT = (1, 2, 4)  # operators that stay float
SECONDS, ROWS = 0.5, 32  # of the timing of a file, and its inputs


@dataclass(frozen=True)
class Subject:
    """What is compressed."""

    model: keras.Model  # the model whose quality is the reference
    contract: Contract
    calibration: Mapping[str, np.ndarray]  # inputs of training examples, by name
    validation: Evaluation  # the examples by which files are chosen
    test: Evaluation  # the examples on which the chosen file is evaluated, once
    simulation: Simulation | None = None  # what the int8 file computes, if the model was trained for it


@dataclass(frozen=True)
class Variant:
    """A model to write files of: the subject's own, or one that was trained further."""

    name: str  # how it was trained; "" for the subject's own
    model: keras.Model
    contract: Contract
    simulation: Simulation | None = None  # what the int8 file computes, if the model was trained for it

    def simulation_for(self, kind: str, kept: int) -> dict[str, Any]:
        """Return the argument `simulation` of what writes a form, if it has one; not where operators stay float."""
        return {"simulation": self.simulation} if kind == tflite.SIMULATED and not kept else {}


@dataclass(frozen=True)
class Candidate:
    """A file."""

    training: str  # how its model was trained further, or ""
    quantize: str  # its quantised form, or "float32"
    keep_float: int  # how many of its operators stay float
    path: str  # its path, below the folder of all candidates
    size: int = 0  # its bytes
    gzip: int = 0  # its bytes after gzip, which is what is downloaded
    ms: float | None = None  # median time of a call at batch size 1; None if it was not measured
    # the paired drop of the metric on the validation examples, as `export.proof.evaluation.paired_drop`
    drop: Mapping[str, Any] | None = None
    problem: str | None = None  # why there is no such file, or no drop, or None

    @property
    def label(self) -> str:
        """Its name in tables and figures."""
        kept = f", {self.keep_float} operators float" if self.keep_float else ""
        return f"{self.training + ', ' if self.training else ''}{self.quantize}{kept}"

    def is_within(self, budget: float) -> bool:
        """Whether the whole 95 % interval of the drop is within a budget."""
        # The file of the model itself that is not quantised always is: what it computes is proven, not measured.
        if self.problem or self.drop is None:
            return False
        return self.drop["high"] <= budget or (self.quantize == FLOAT and not self.training)


def search(
    subject: Subject,
    folder: Path,
    budget: float,
    trainings: Iterable[tuple[str, Callable[[], Variant], Sequence[str]]],
    progress: Callable[[str], None],
) -> tuple[list[Candidate], dict[str, Variant]]:
    """Write and measure all candidates."""
    # First post-training quantisation; then int8 with operators that stay float, if needed; then further training.
    own = Variant("", subject.model, with_formats(subject.contract), subject.simulation)
    variants = {own.name: own}
    progress(f"post-training: {', '.join(FORMS)}")
    candidates = _measure(subject, folder, _write(own, subject, folder / "own", [(kind, 0) for kind in FORMS]))
    selective = [q.name for q in QUANTIZATIONS.values() if q.may_keep_float]
    outside = [c.quantize for c in candidates if c.quantize in selective and not c.is_within(budget)]
    if outside:
        progress(f"selective: {', '.join(outside)} with operators that stay float")
        artifacts = _write(own, subject, folder / "selective", [(kind, n) for kind in outside for n in KEPT])
        candidates += _measure(subject, folder, artifacts)
    for number, (name, train, kinds) in enumerate(trainings):
        progress(f"training: {name}")
        try:
            variants[name] = variant = train()
        except UsageError as error:  # such as a teacher for a model that computes its losses itself
            progress(f"left out: {error}")
            continue
        artifacts = _write(variant, subject, folder / f"training-{number}", [(kind, 0) for kind in kinds])
        candidates += _measure(subject, folder, artifacts)
    return _timed(subject, folder, candidates), variants


def choose(candidates: Sequence[Candidate], budget: float, goal: str) -> Candidate:
    """Return the smallest file after gzip ("size"), or the fastest ("latency"), of those within a budget."""
    within = [candidate for candidate in candidates if candidate.is_within(budget)]
    return min(within, key=lambda c: c.gzip if goal == "size" else c.ms if c.ms is not None else np.inf)


def _write(
    variant: Variant, subject: Subject, folder: Path, forms: Sequence[tuple[str, int]]
) -> dict[Candidate, Artifact | None]:
    """Write files of a variant, each in a folder of its own, as several have the same name."""
    written: dict[Candidate, Artifact | None] = {}
    for kind, kept in forms:
        place = folder / f"{kind}-{kept}"
        place.mkdir(parents=True)
        candidate, artifact = Candidate(variant.name, kind, kept, ""), None
        try:
            if kind == FLOAT:
                artifact = tflite.write(variant.model, variant.contract, place, 1)
            else:
                QUANTIZATIONS[kind].check_installed()
                check_modules("keeping operators float", *(tflite.SELECTIVE if kept else ((), "")))
                arguments = (QUANTIZATIONS[kind], subject.calibration, kept)
                more = variant.simulation_for(kind, kept)
                artifact = format_of(kind).write_quantized(variant.model, variant.contract, place, *arguments, **more)
            if artifact.finish:
                artifact.finish()
            candidate = dataclasses.replace(candidate, problem=artifact.reason)
        except (Unavailable, Unsupported) as error:  # a form that needs an extra is a row of the table, too
            candidate = dataclasses.replace(candidate, problem=str(error))
        if artifact is not None and candidate.problem is None:
            path = f"{folder.name}/{place.name}/{artifact.path}"
            content = (place / artifact.path).read_bytes()
            sizes = {"size": len(content), "gzip": len(gzip.compress(content, 9))}
            candidate = dataclasses.replace(candidate, path=path, **sizes)
            artifact = dataclasses.replace(artifact, path=path, finish=None)
        remove_scratch(place)
        written[candidate] = artifact
    return written


def _measure(subject: Subject, folder: Path, written: Mapping[Candidate, Artifact | None]) -> list[Candidate]:
    """Return the candidates with their drops against the subject's own model."""
    artifacts = [artifact for candidate, artifact in written.items() if artifact is not None and not candidate.problem]
    drops = measure_drops(folder, subject.contract, artifacts, subject.validation) if artifacts else {}
    measured = []
    for candidate in written:
        drop = drops.get(candidate.path)
        found = {"problem": drop} if isinstance(drop, str) else {"drop": drop}
        measured.append(candidate if candidate.problem else dataclasses.replace(candidate, **found))
    return measured


def _timed(subject: Subject, folder: Path, candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the candidates with the time of a call, measured in one process and in turns."""
    usable = [candidate for candidate in candidates if candidate.problem is None]
    name = subject.validation.endpoint
    endpoint = subject.contract[name]
    inputs = {t.name: t.array(subject.validation.inputs[t.name][:ROWS]) for t in endpoint.inputs}
    with tempfile.TemporaryDirectory(prefix="time-calls-") as scratch:
        save_arrays(file := Path(scratch) / "inputs.npz", inputs)
        described = [
            {
                "format": (tflite.FORMAT if c.quantize == FLOAT else format_of(c.quantize)).name,
                "path": str((folder / c.path).resolve()),
                "endpoints": [endpoint.to_json()],
            }
            for c in usable
        ]
        job = {"artifacts": described, "endpoint": name, "inputs": str(file), "seconds": SECONDS}
        report, problem = process.run_job("jobs/time_calls.py", job, Path(scratch), reads=[folder])
    times = report or {}

    def timed(candidate: Candidate) -> Candidate:
        found = times.get(str((folder / candidate.path).resolve()), {"ms": None, "problem": problem})
        return candidate if candidate.problem else dataclasses.replace(candidate, **found)

    return [timed(candidate) for candidate in candidates]
