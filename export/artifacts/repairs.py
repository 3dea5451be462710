"""Rewrite what GPUs compute wrongly in a TFLite file, and prove the new file against the old one on the processor."""

import os
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from export.artifacts import check_confined, describe
from export.artifacts.calling import CPU
from export.artifacts.equivalence import Comparison, compare
from export.formats import tflite
from export.runners import RUNTIMES, members
from export.runtime import process
from zoobase.errors import CheckFailed, ExportError
from zoobase.files import write_atomic


@dataclass(frozen=True)
class Repaired:
    """What was rewritten, and what the file answered before and after, by runtime."""

    path: Path  # the new file; it is not there if there are no repairs
    repairs: list[str]  # a sentence for each
    before: dict[str, Comparison]  # the file in each runtime against itself on the processor
    # the new file in each runtime against the old one on the processor; empty if there are no repairs
    after: dict[str, Comparison]

    @property
    def left(self) -> list[str]:
        """What is wrong still, a message for each runtime, with the operator where it is known."""
        final = self.after or self.before
        return [f"{name}: {(c.findings or [c.verdict])[-1]}" for name, c in final.items() if c.exit_code]

    def to_json(self) -> dict[str, Any]:
        """Return the form that --json prints."""
        verdicts = {key: {n: c.verdict for n, c in getattr(self, key).items()} for key in ("before", "after")}
        path = str(self.path) if self.repairs else None
        return {"path": path, "repairs": self.repairs, **verdicts, "left": self.left}


def repair(
    path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    target: str = "gpu",
    samples: Mapping[str, np.ndarray] | None = None,
    trust: Collection[str] = (),
) -> Repaired:
    """Write a TFLite file without what is known to fail on GPUs: `export.runners.jobs.repair_tflite` lists it.

    The graph of the file is rewritten, not the model before its conversion, because the converter would undo some of
    it; so files of third parties can be repaired, too. No value on the processor changes.

    Args:
        path: A TFLite file.
        out: The new file; nothing is written if there is nothing to rewrite.
        target: The group of runtimes, or the runtime, for which it is repaired.
        samples: Real inputs (N, ...) by name, as of `export.compare`.
        trust: As of `export.compare`.

    Raises:
        Unavailable: If the runtime is not installed.
        CheckFailed: If the file does not run, or answers otherwise on the processor when it is repaired.
        ExportError: If it is not a TFLite file.

    Example:
        >>> repair("model.tflite", "model_gpu.tflite").left
        []
    """
    source, target_file = Path(path), Path(out)
    if (format := describe(source).format) != tflite.FORMAT.name:
        raise ExportError(f"{source} is of format {format}; only TFLite files are repaired")
    check_confined(source, trust)
    options = {"samples": samples, "trust": trust}
    names = [name for name in members([target], [format]) if name not in RUNTIMES or RUNTIMES[name].version] or [target]
    before = {name: compare(source, source, runtimes=(CPU, name), **options) for name in names}
    with tempfile.TemporaryDirectory(prefix="repairing-") as scratch:
        file = Path(scratch) / source.name
        job = {"path": str(source.resolve()), "out": str(file)}
        found, problem = process.run_job("jobs/repair_tflite.py", job, Path(scratch), reads=[source.resolve()])
        if problem:
            raise CheckFailed(f"{source} cannot be rewritten: the process {problem}")
        if not found:
            return Repaired(target_file, [], before, {})
        if (same := compare(source, file, **options)).exit_code:
            raise CheckFailed(f"{source}: on the processor the new file is {same.verdict}: {same.findings[0]}")
        after = {name: compare(source, file, runtimes=(CPU, name), **options) for name in names}
        write_atomic(target_file, file.read_bytes())
    return Repaired(target_file, found, before, after)
