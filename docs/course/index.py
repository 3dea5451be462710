"""The index of the course."""
from pathlib import Path


def write(out: Path) -> None:
    """Write it."""
