"""What in a graph may answer differently in calls that no proof has made: a pass is then stated with reservations."""

from __future__ import annotations

from pathlib import Path

from export.artifacts import Description, describe

FORMATS = ("saved_model", "tflite")  # the formats that hold a graph, and nothing of training
KINDS = {
    "random": "draws random numbers",
    "stateful": "changes a state from call to call",
    "clock": "reads the clock",
    "external": "reaches files, the console or Python",
    "branches": "chooses by input numbers what it computes, and the proof saw only what its inputs chose",
}
HARMLESS = frozenset({"CALL_ONCE"})  # TFLite's initialisation of a lookup table


def reservations(description: Description) -> dict[str, list[str]]:
    """Return {kind: operators} of what an artifact may do differently in calls that no proof has made.

    Args:
        description: A SavedModel or TFLite file.

    Returns:
        Of `KINDS`, those that it holds. Random numbers from a fixed seed ("Stateless...") are the same in each call;
        what changes the seed is stateful.
    """
    found = {kind: [op for op in description.flagged.get(kind, ()) if op not in HARMLESS] for kind in KINDS}
    found["random"] = [op for op in found["random"] if not op.startswith("Stateless")]
    return {kind: operators for kind, operators in found.items() if operators}


def reservations_of(path: Path, format: str) -> dict[str, list[str]]:
    """Return the reservations about the artifact at a path; none for a format without a graph.

    Raises:
        ExportError: If it cannot be read.
    """
    return reservations(describe(path, complete=False)) if format in FORMATS else {}


def sentence(kind: str, operators: list[str]) -> str:
    """Return a reservation as a sentence.

    Example:
        >>> sentence("clock", ["Timestamp"])
        'it reads the clock (Timestamp)'
    """
    return f"it {KINDS.get(kind, kind)} ({', '.join(operators)})"
