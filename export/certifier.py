"""Certify a conversion that somebody else made: `compare`, with inputs that cover the reference."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from export.artifacts import READABLE, describe, torch_program
from export.artifacts.equivalence import Comparison, compare
from export.contract import Contract, Endpoint
from export.contract.inference import infer_contract
from export.contract.sampling import corner_values, has_corners
from export.formats.format import Description
from export.formats.keras import merged_weights, read_model
from export.parity.cases import GoldenCase, scores_of
from export.proof.certificate import describe_coverage
from export.proof.coverage import Coverage
from export.proof.reference import run_reference
from export.protocol import weight_sums

CORNERS = 16  # rows


@dataclass
class Certified:
    """A comparison, and what its inputs reached in the reference."""

    comparison: Comparison
    # by endpoint, as in a certificate; empty where the reference has no layers that can be observed
    coverage: dict[str, dict[str, Any]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the form that `-o` writes and --json prints: that of `compare`, and `coverage`."""
        return self.comparison.to_json() | {"coverage": self.coverage}

    def sentences(self) -> list[str]:
        """Return what the inputs reached, and which weights are there, for people."""
        texts = [(name, text) for name, summary in self.coverage.items() for text in describe_coverage(summary)]
        sentences = [f"coverage: {f'{name}: ' if len(self.coverage) > 1 else ''}{text}" for name, text in texts]
        sentences = sentences or ["coverage: not measured; only that of a Keras reference can be"]
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
) -> Certified:
    """Compare two artifacts of any format as `export.compare` does, which also says what is raised.

    Rows of the largest contrast are added. If the reference is a Keras file, so are inputs that read every row of its
    tables with an effect, and inputs near the constants that it compares with; what all of them reached is measured,
    and the constants of the candidate are compared with its weights, as with those of a program of PyTorch: one that
    holds a weight with some rows changed is different, whatever it answered. Weights that were folded into others are
    only counted.

    Args:
        reference: An artifact.
        candidate: Another one, such as a conversion of it.
        samples: Real inputs (N, ...) by the names of the reference.
        match: {input or output of the reference: that of the candidate}.
        trust: Operators that may run although they are not on the list of inference operators.

    Example:
        >>> certify("bundle/saved_model/1", "served/1").comparison.verdict
        'same'
    """
    coverage: dict[str, dict[str, Any]] = {}
    format = READABLE[describe(Path(reference)).format]

    def write_weights(folder: Path) -> None:
        if format is torch_program.FORMAT:
            weight_sums.write(folder, torch_program.weights(Path(reference)))
        else:
            model = read_model(Path(reference))
            weight_sums.write(folder, ((w.path, np.asarray(w.value)) for w in model.weights), merged_weights(model))

    def more_cases(description: Description, endpoint: Endpoint, cases: Sequence[GoldenCase]) -> list[GoldenCase]:
        every = [*cases, *_corners(endpoint)]
        if READABLE[description.format].needs_code:
            every, summary = _covering(description.path, endpoint, every)
            coverage.update({endpoint.name: summary} if summary else {})
        return every[len(cases) :]

    has_weights = format.needs_code or format is torch_program.FORMAT
    options = {"more_cases": more_cases, "weights": write_weights if has_weights else None}
    result = compare(reference, candidate, samples=samples, match=match, trust=trust, **options)
    return Certified(result, coverage)


def _corners(endpoint: Endpoint) -> list[GoldenCase]:
    """Return a case in which each number is at an end of its range; named rows do not widen the tolerance of others."""
    if not any(map(has_corners, endpoint.inputs)):
        return []
    rng, rows = np.random.default_rng(0), CORNERS * (endpoint.batch or 1)
    inputs = {tensor.name: corner_values(tensor, rows, rng) for tensor in endpoint.inputs}
    return [
        GoldenCase("corners", inputs, rows=tuple(f"corner {row}" for row in range(rows)), scores=scores_of(endpoint))
    ]


def _covering(path: Path, endpoint: Endpoint, cases: Sequence[GoldenCase]) -> tuple[list[GoldenCase], dict[str, Any]]:
    """Return the cases with those that cover the Keras model at a path, and the summary of what they reached."""
    model = read_model(path)
    calls = {e.name: e.call for e in infer_contract(model).endpoints}
    if endpoint.name not in calls:  # of a contract that the file itself does not imply
        return list(cases), {}
    live = Contract((dataclasses.replace(endpoint, call=calls[endpoint.name]),))
    every, coverage = {endpoint.name: list(cases)}, Coverage(model)
    with coverage.observer.observing(live) as observed:
        for name, more in coverage.search(observed, every).items():
            every[name] += more
        run_reference(observed, every, model.weights)
    return every[endpoint.name], coverage.summary()
