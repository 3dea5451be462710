"""Check whether TF Serving can serve a base path, level by level, each pass, fail or not_run."""

import functools
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from export.artifacts import check_trusted
from export.attestation.policy import OF_PUBLISHING
from export.attestation.statement import digests_of
from export.formats.saved_model import check_base_path
from export.proof.certificate import EXIT_CODES, FAIL, INCOMPLETE, NOT_RUN, PASS
from export.proof.prove import check_names
from export.serving.servecheck import rest_servers, runs, serialization, structure, triton_server
from export.serving.servecheck.version import Level, ServedVersion, run
from export.serving.servers import kserve, tensorflow_model_server
from zoobase.errors import Unavailable

REQUIRED = ("structure", "loader", "serialization")
CHECKS: dict[str, Callable[[ServedVersion], Level]] = {  # of a version whose structure is valid
    "loader": functools.partial(  # the C++ loader of TF Serving, without Python TensorFlow in the process
        runs.compare_with_tensorflow,
        level="loader",
        runtime="c_api",
        absent="the C API of TensorFlow is not available here",
    ),
    "warmup": runs.check_warmup,
    "serialization": serialization.check,
    "independent": functools.partial(  # a runtime that shares no code with TensorFlow
        runs.compare_with_tensorflow,
        level="independent",
        runtime="openvino",
        absent="openvino is not installed; pip install openvino",
    ),
    "kserve_v1": functools.partial(rest_servers.serve_and_check, level="kserve_v1", server=kserve),
    "triton": triton_server.check,
    "older_c_api": runs.check_older_loaders,
    "server": functools.partial(rest_servers.serve_and_check, level="server", server=tensorflow_model_server),
}
LEVELS = ("structure", *CHECKS)


@dataclass
class Report:
    """The result of all levels for a base path."""

    base_path: str
    version: int | None
    levels: list[Level]
    files: Mapping[str, str] = field(default_factory=dict)  # of the version: {path: sha256}

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
        head = {"base_path": self.base_path, "version": self.version, "verdict": self.verdict}
        return head | {"levels": levels, "files": dict(self.files)}


def check_serving(
    base_path: str | os.PathLike[str],
    *,
    require: Sequence[str] = (),
    trust: Collection[str] = (),
    url: str | None = None,
    progress: Callable[[str], None] | None = None,
) -> Report:
    """Check the version that TF Serving would pick from a base path, level by level.

    Args:
        base_path: The folder of one model's versions, also of third parties.
        require: Additional levels without which the verdict is incomplete.
        trust: Operators that may run although they are not on the list of inference operators.
        url: Where TF Serving serves the version already, http://HOST:8501/v1/models/NAME, for the level "server".
        progress: Called with a short description of each stage.

    Raises:
        Unavailable: If `base_path` does not exist.
        ExportError: If it is a version instead of the folder of versions, or a level is unknown.
        CheckFailed: If the model can execute code and is not trusted.

    Example:
        >>> report = check_serving("served")
        >>> report.levels[0].name, report.levels[0].state
        ('structure', 'pass')
        >>> [level for level in report.levels if level.state == "fail"], report.verdict
        ([], 'pass')
    """
    base, report = Path(base_path), progress or (lambda text: None)
    check_names(require, LEVELS, "level")
    if not base.is_dir():
        raise Unavailable(f"there is no base path {base}; publish a bundle there first")
    check_base_path(base)
    required = {*REQUIRED, *require}
    report("structure")
    first, version = structure.check(base)
    levels = [first]
    if version is not None:
        check_trusted(version.description, trust)
        report("running it in every runtime")
        run(version)
        for name, check in CHECKS.items():
            report(name)
            running = url is not None and name == "server"
            levels.append(rest_servers.check_running(version, url or "") if running else check(version))
    else:
        levels += [Level(name, NOT_RUN, "the structure is invalid") for name in CHECKS]
    levels = [replace(level, required=level.name in required) for level in levels]
    if version is None:
        return Report(str(base), None, levels)
    files = {name: digest for name, digest in digests_of(version.folder).items() if name not in OF_PUBLISHING}
    return Report(str(base), version.version, levels, files)
