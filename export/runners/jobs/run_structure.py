"""Digests of operators by what they compute, and scripts that follow graphs as deep as these are."""

from __future__ import annotations

import hashlib
import json
import sys
import threading
from collections.abc import Callable
from pathlib import Path

LIMIT = 10**6  # operators of one graph


class Digests:
    """Operators by digests that say what they compute, and not how anything is named.

    Attributes:
        operators: Digest -> (operator, digests of its inputs, the attributes that count).
    """

    def __init__(self) -> None:
        self.operators: dict[str, tuple[str, tuple[str, ...], str]] = {}

    def add(self, operator: str, inputs: tuple[str, ...], attributes: str) -> str:
        """Return the digest of an operator, and remember it."""
        digest = hashlib.sha256(repr((operator, inputs, attributes)).encode()).hexdigest()[:24]
        self.operators[digest] = operator, inputs, attributes
        if len(self.operators) > LIMIT:
            raise ValueError(f"the graph has more than {LIMIT:,} operators")
        return digest


def first_difference(ours: Digests, theirs: Digests, one: str, other: str) -> str:
    """Return a clause about the first operator that differs, going from an output towards the inputs."""
    while True:
        (op, inputs, attributes), (their_op, their_inputs, their_attributes) = (
            ours.operators[one],
            theirs.operators[other],
        )
        if op != their_op or len(inputs) != len(their_inputs):
            return f"it has {_named(their_op)} where the model has {_named(op)}"
        pairs = [(a, b) for a, b in zip(inputs, their_inputs, strict=True) if a != b]
        if not pairs:
            kind = "another value" if op in ("Const", "constant", "variable", "table") else "other attributes"
            return f"its {_named(op)} has {kind}" if attributes != their_attributes else f"its {_named(op)} differs"
        one, other = pairs[0]


def _named(operator: str) -> str:
    return {"input": "an input", "function": "a function"}.get(operator, operator)


def run_deep(main: Callable[[], None]) -> None:
    """Run the main function of a script as deep as its graphs are; end with exit code 1 if it wrote no result."""
    job = json.loads(Path(sys.argv[1]).read_text())  # before a converter takes its own arguments from sys.argv
    sys.setrecursionlimit(10**6)
    threading.stack_size(2**29)
    worker = threading.Thread(target=main)
    worker.start()
    worker.join()
    if not Path(job["result"]).is_file():
        sys.exit(1)
