"""Check whether TF Serving can serve a base path. One file per level, each pass, fail or not_run."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from export.artifacts import check_trusted
from export.formats.saved_model_versions import check_base_path
from export.proof.certificate import EXIT_CODES, FAIL, INCOMPLETE, NOT_RUN, PASS
from export.proof.prove import check_names
from export.serving.servecheck.subject import KILLS, Level, run
from zoobase.errors import Unavailable

LEVELS = (
    "structure",
    "loader",
    "warmup",
    "poller",
    "wire",
    "independent",
    "kserve_v1",
    "triton",
    "older_c_api",
    "server",
)
REQUIRED = ("structure", "loader", "poller", "wire")


@dataclass
class Report:
    """The result of all levels for a base path."""

    base_path: str
    version: int | None
    levels: list[Level]

    @property
    def verdict(self) -> str:
        """Return fail if a level failed, incomplete if a required one did not run, else pass."""
        if any(level.state == FAIL for level in self.levels):
            return FAIL
        if any(level.state == NOT_RUN and level.required for level in self.levels):
            return INCOMPLETE
        return PASS

    @property
    def exit_code(self) -> int:
        """Return 0 for pass, 1 for fail, 3 for incomplete."""
        return EXIT_CODES[self.verdict]

    def summary(self) -> str:
        """Return a summary. Only the level that runs TF Serving itself can report that it serves the model."""
        served = any(level.name == "server" and level.state == PASS for level in self.levels)
        if self.verdict == PASS and served:
            return f"TF Serving: pass (version {self.version} was served and answered)"
        if self.verdict == PASS:
            return "every level that can run here passed; TF Serving itself was not run"
        decisive = [level for level in self.levels if level.state == (FAIL if self.verdict == FAIL else NOT_RUN)]
        return f"{self.verdict}: {decisive[0].name}: {decisive[0].reason}"

    def to_json(self) -> dict[str, Any]:
        """Return the form that --json prints."""
        levels = [asdict(level) for level in self.levels]
        return {"base_path": self.base_path, "version": self.version, "verdict": self.verdict, "levels": levels}


def check_serving(
    base_path: str | os.PathLike[str],
    *,
    require: Sequence[str] = (),
    kills: int = KILLS,
    trust: Collection[str] = (),
    progress: Callable[[str], None] | None = None,
) -> Report:
    """Check the version that TF Serving would pick from a base path, level by level.

    Args:
        base_path: The folder of one model's versions, also of third parties.
        require: Additional levels without which the verdict is incomplete.
        kills: How many publishes are killed in the poller level.
        trust: Operators that may run although they are not on the list of inference operators.
        progress: Called with a short description of each stage.

    Raises:
        Unavailable: If `base_path` does not exist.
        ExportError: If it is a version instead of the folder of versions, or a level is unknown.
        CheckFailed: If the model can execute code and is not trusted.

    Example:
        >>> report = check_serving("served", kills=1)
        >>> report.levels[0].name, report.levels[0].state
        ('structure', 'pass')
        >>> report.verdict
        'pass'
    """
    from export.serving.servecheck import (
        independent,
        kserve_v1,
        loader,
        older_c_api,
        poller,
        server,
        structure,
        triton,
        warmup,
        wire,
    )

    base, report = Path(base_path), progress or (lambda text: None)
    check_names(require, LEVELS, "level")
    if not base.is_dir():
        raise Unavailable(f"there is no base path {base}; publish a bundle there first")
    check_base_path(base)
    required = {*REQUIRED, *require}
    report("structure")
    first, subject = structure.check(base)
    levels = [first]
    if subject is not None:
        check_trusted(subject.description, trust)
        subject.kills = kills
        report("running it in every runtime")
        run(subject)
        for level in (loader, warmup, poller, wire, independent, kserve_v1, triton, older_c_api, server):
            report(level.__name__.rpartition(".")[2])
            levels.append(level.check(subject))
    else:
        levels += [Level(name, NOT_RUN, "the structure is invalid") for name in LEVELS[1:]]
    for level in levels:
        level.required = level.name in required
    return Report(str(base), subject.version if subject else None, levels)
