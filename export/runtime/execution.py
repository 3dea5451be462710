"""Run the artifacts of a bundle, one process per runtime, restarted without an artifact that crashed it."""

import contextlib
import json
import os
import tempfile
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from export.contract import Artifact, Contract
from export.protocol.arrays import MAIN, Outputs
from export.protocol.runner import Runtime, read_result
from export.runtime import process
from zoobase.files import cache_root


class Named(Protocol):
    """What has a name, such as a golden case."""

    name: str


Case = TypeVar("Case", bound=Named)


@dataclass
class ArtifactRun:
    """The result of one artifact in one runtime."""

    problem: str | None = None  # how its process failed, or None
    timed_out: bool = False  # whether it exceeded the time limit
    report: dict[str, Any] = field(default_factory=dict)  # the report of the runner; empty if the process crashed
    outputs: dict[str, Outputs] = field(default_factory=dict)  # what it returned and raised, by endpoint

    def of(self, endpoint: str) -> Outputs:
        """Return what an endpoint returned and raised; empty if it did not run."""
        return self.outputs.get(endpoint, Outputs())

    def applicable(self, endpoint: str, cases: Sequence[Case]) -> list[Case]:
        """Return the golden cases that the runtime could be given."""
        left_out = self.of(endpoint).inapplicable
        return [case for case in cases if case.name not in left_out]

    @property
    def failure(self) -> str | None:
        """Why nothing of it ran, or None."""
        return self.problem or self.report.get("error")


def run_all(
    folder: Path,
    contract: Contract,
    plan: Mapping[str, tuple[Runtime, Sequence[Artifact]]],
    modules: Sequence[str],
    golden: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> dict[tuple[str, str], ArtifactRun]:
    """Run every artifact in its runtimes, in as many parallel processes as there are cores."""
    runs: dict[tuple[str, str], ArtifactRun] = {}
    golden = golden or folder / "golden"

    def work(name: str, unfinished: Sequence[Future[None]]) -> None:
        wait(unfinished)
        runtime, artifacts = plan[name]
        runnable = [artifact for artifact in artifacts if artifact.state is None]
        needed = modules if runtime.process.imports_code else ()
        for path, run in _run_runtime(folder, contract, runtime, runnable, needed, golden, environment).items():
            runs[name, path] = run

    with ThreadPoolExecutor(process.cores()) as pool:
        # conversions first: they take longest, and the work that waits for them must follow them in the queue
        unfinished = {a.path: a for _, artifacts in plan.values() for a in artifacts if a.finish}
        finishing = {path: pool.submit(artifact.finish) for path, artifact in unfinished.items()}
        for artifact in unfinished.values():
            artifact.finish = None
        prerequisites = {name: [finishing[a.path] for a in plan[name][1] if a.path in finishing] for name in plan}
        working = [
            pool.submit(work, name, prerequisites[name])
            for name in sorted(plan, key=lambda name: len(prerequisites[name]))
        ]
    for future in [*finishing.values(), *working]:
        future.result()
    return runs


def other_kernels_of(run: ArtifactRun, other: ArtifactRun) -> dict[str, Outputs]:
    """Return the outputs of a run by endpoint, and as the variant "kernels" those of a run with other kernels."""
    return {
        endpoint: Outputs(
            {key: value for key, value in outputs.arrays.items() if key[1] == MAIN}
            | {(c, "kernels", o): v for (c, variant, o), v in other.of(endpoint).arrays.items() if variant == MAIN}
        )
        for endpoint, outputs in run.outputs.items()
    }


def _run_runtime(
    folder: Path,
    contract: Contract,
    runtime: Runtime,
    artifacts: Sequence[Artifact],
    modules: Iterable[str],
    golden: Path,
    environment: Mapping[str, str] | None,
) -> dict[str, ArtifactRun]:
    runs: dict[str, ArtifactRun] = {}
    named = saved_models_named_by(folder / "model.keras") if modules else ()
    while remaining := [artifact for artifact in artifacts if artifact.path not in runs]:
        with tempfile.TemporaryDirectory(prefix=f"{runtime.name}-") as scratch:
            results = Path(scratch) / "results"
            results.mkdir()
            job = {
                "golden": str(golden.resolve()),
                "results": str(results),
                "modules": list(modules),
                "artifacts": [_job_entry(folder, contract, runtime, artifact) for artifact in remaining],
            }
            started = runtime.process
            further = [*started.reads, *(started.prepare() if started.prepare else ())]
            if started.installation:
                further.append(str(started.installation.folder))
            paths = [a["path"] for a in job["artifacts"]]
            paths += [f"{path.removesuffix('.xml')}.bin" for path in paths if path.endswith(".xml")]  # of OpenVINO
            packages = sorted({name.partition(".")[0] for name in modules})
            variables = {**started.environment, **(environment or {})}
            result = process.run_script(
                runtime.file,
                job,
                Path(scratch),
                packages,
                variables,
                started.forked_from,
                reads=(folder, golden, *paths, *further, *named),
                writes=started.writes,
                network=started.network,
                python=str(started.installation.python) if started.installation else None,
            )
            for artifact in remaining:
                if (found := read_result(results, _id(artifact))) is not None:
                    runs[artifact.path] = ArtifactRun(report=found[0], outputs=found[1])
        crashed = next((artifact for artifact in remaining if artifact.path not in runs), None)
        if crashed is not None:
            runs[crashed.path] = ArtifactRun(result.problem or "ended without a result", result.timed_out)
    return runs


def saved_models_named_by(file: Path) -> list[str]:
    """Return what a model whose code is trusted reads besides its file: SavedModels that its configuration names."""
    # Of a JSON file or `.keras`. Layers around a SavedModel load a folder, or the cache of TensorFlow Hub.
    named = [os.environ.get("TFHUB_CACHE_DIR") or str(cache_root() / "tfhub")]
    with contextlib.suppress(OSError, KeyError, ValueError, zipfile.BadZipFile):  # no such file, or a damaged one
        with zipfile.ZipFile(file) if file.suffix == ".keras" else contextlib.nullcontext() as archive:
            pending = [json.loads(archive.read("config.json") if archive else file.read_bytes())]
        while pending:
            value = pending.pop()
            pending += value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
            if isinstance(value, str) and "/" in value and (Path(value) / "saved_model.pb").is_file():
                named.append(value)
    return named


def _id(artifact: Artifact) -> str:
    return artifact.path.replace("/", "-")


def _job_entry(folder: Path, contract: Contract, runtime: Runtime, artifact: Artifact) -> dict[str, Any]:
    return {
        "id": _id(artifact),
        "format": artifact.format,
        "path": str((folder / artifact.path).resolve()),
        "batch": artifact.batch,
        "measure_noise": artifact.format in runtime.capabilities.measures_noise,
        "labels": None if contract.labels is None else list(contract.labels),
        "endpoints": [contract[name].to_json() for name in artifact.endpoints],
    }
