"""The protocol of the runners: read golden files, run the cases, write the outputs.

Only NumPy and the standard library, because a runner must not load more than its own runtime.

A job is a JSON file:
    {"golden": folder, "results": folder, "memory": bytes or null, "modules": [names that may be imported],
     "confine": {"reads": [paths], "writes": [paths], "network": bool},
     "artifacts": [{"id", "format", "path", "batch", "measure_noise", "labels": [names] or null,
                    "endpoints": [endpoint as in the contract]}]}
For every artifact a runner writes `results/<id>.npz` with the outputs by (endpoint, case, variant, output), then
`results/<id>.json`. No JSON file means that the process died in that artifact.
"""

import importlib
import importlib.metadata
import importlib.util
import json
import os
import sys
import sysconfig
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

if __package__:
    from export.protocol import machine, rest, weight_sums
    from export.protocol.arrays import Arrays, Outputs, read_arrays, save_arrays
    from export.protocol.calls import Function, Inapplicable, one_line, run_endpoint
    from export.protocol.machine import read_job
else:
    import machine
    import rest
    import weight_sums
    from arrays import Arrays, Outputs, read_arrays, save_arrays
    from calls import Function, Inapplicable, one_line, run_endpoint
    from machine import read_job

__all__ = ["Arrays", "Capabilities", "Function", "Inapplicable", "Opened", "Process", "Runtime"]

Opened = dict[str, dict[str, Function]]  # {endpoint name: {"main": function, other variant: function}}


class Installation(Protocol):
    """A Python environment of its own, see `export.runners.environments`."""

    @property
    def folder(self) -> Path: ...

    @property
    def python(self) -> Path: ...

    @property
    def version(self) -> str | None: ...


@dataclass(frozen=True)
class Process:
    """The process in which a runtime runs."""

    imports: tuple[str, ...] = ()  # the frameworks that it may import
    imports_code: bool = False  # whether the formats name classes of the model, whose modules it imports
    forked_from: str | None = None  # "keras" or "c_api" where it is forked from a process that has loaded that, or None
    # environment variables, in addition to those of this process
    environment: Mapping[str, str] = field(default_factory=dict)
    installation: Installation | None = None  # the Python environment in which it runs, where that is not this one
    # called before it is started, such as to compile what it runs; returns what it may read then
    prepare: Callable[[], Iterable[str]] | None = None
    reads: tuple[str, ...] = ()  # what it may read besides the bundle and the libraries
    writes: tuple[str, ...] = ()  # what it may write besides its scratch folder
    network: bool = False  # whether it may use the network


@dataclass(frozen=True)
class Capabilities:
    """What a runtime finds out about an artifact besides its outputs."""

    measures_noise: tuple[str, ...] = ()  # the formats on which it measures the noise floor
    serves: bool = False  # whether REST requests are answered too
    # `(artifact, opened) -> messages`: further checks after the cases have run
    check: Callable[..., list[str]] | None = None
    # `(artifact, opened) -> (name, array)` of constants to compare with the weights; None if they cannot be read
    constants: Callable[..., Iterable[tuple[str, np.ndarray]] | None] | None = None
    exact: bool = True  # whether the artifact stores every weight as it is; see `weight_sums.compare`
    facts: Callable[..., dict[str, int]] | None = None  # `(artifact, opened) -> {name: number}`, such as its memory
    remarks: Callable[..., list[str]] | None = None  # `(artifact, opened) -> messages` that are no failures


@dataclass(frozen=True)
class Runtime:
    """A runtime, as its runner declares it."""

    name: str  # name in the rows of a certificate and in --runtime
    file: str  # the runner
    distribution: str  # the distribution that contains it, for versions and installation hints
    module: str  # the module whose presence shows that it is installed
    formats: tuple[str, ...]  # the formats it runs
    # `(artifact, examples) -> Opened`, where `examples` holds inputs of each endpoint, for models that must be called
    # before they have weights. An extra may leave out endpoints that it cannot run.
    open: Callable[..., Opened]
    # `() -> {library: version}`; None for the version of the distribution
    versions: Callable[[], dict[str, str]] | None = None
    # whether a bundle with one of its formats is incomplete without it; else only if the format was requested
    required: bool = False
    # whether it is optional: it may skip endpoints, and does not decide the verdict unless it is required
    extra: bool = False
    on_request: bool = False  # whether it runs only if it is named, because it takes seconds
    # a file of the module that not every build contains; without it the runtime is not required. None: none
    library: str | None = None
    # returns the version, or None, of a runtime that is not a Python package
    probe: Callable[[], str | None] | None = None
    install: str = ""  # how such a runtime is installed
    group: str = ""  # a name by which it is chosen together with others, such as "gpu"
    # the quantized form by whose budget a float file is compared, where it computes in less than float32
    precision: str | None = None
    counterpart: str | None = None  # the runtime with which a failed file is compared operator by operator, or None
    process: Process = Process()  # its process: what it imports, reads and writes
    capabilities: Capabilities = Capabilities()  # what it finds out about an artifact

    @property
    def version(self) -> str | None:
        """The installed version, or None."""
        if self.probe is not None:
            return self.probe()
        if self.process.installation is not None:
            return self.process.installation.version
        if importlib.util.find_spec(self.module) is None:
            return None
        if self.library and machine.folder_with(self.module, self.library) is None:
            return None
        try:
            return importlib.metadata.version(self.distribution)
        except importlib.metadata.PackageNotFoundError:
            return "unknown"


def threads() -> int | None:
    """Return the number of threads that a runtime is told to compute with; None for its own choice."""
    text = os.environ.get("EXPORT_THREADS")
    return int(text) if text else None


def by_endpoint(
    artifact: Mapping[str, Any], function: Callable[[dict[str, Any]], Function], present: Iterable[str]
) -> Opened:
    """Return the endpoints of an artifact as functions; `present` are the signatures that it has."""
    if missing := sorted({endpoint["name"] for endpoint in artifact["endpoints"]} - {*present}):
        raise ValueError(f"no signature {missing}; the artifact has {sorted(present)}")
    return {endpoint["name"]: {"main": function(endpoint)} for endpoint in artifact["endpoints"]}


def read_cases(golden: Path, endpoint: str) -> list[dict[str, Any]]:
    """Return the cases of an endpoint, as `cases.json` has them, with "inputs": {name: array}."""
    cases = json.loads((golden / "cases.json").read_text())[endpoint]
    arrays = read_arrays(golden / f"{endpoint}.inputs.npz")
    for case in cases:
        case["inputs"] = {name: value for (of, name), value in arrays.items() if of == case["name"]}
    return cases


def local_modules(before: set[str]) -> list[str]:
    """Return the top-level modules loaded since `before` that are not from Python, site-packages or the runner."""
    folders = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    folders += [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    own = os.path.dirname(os.path.realpath(__file__))
    folders += [own, os.path.join(os.path.dirname(own), "runners")]
    folders = [os.path.realpath(path) + os.sep for path in folders]
    names = set()
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None)
        if name.startswith("__autograph_generated_file"):  # TensorFlow's form of a function whose module counts itself
            continue
        if file and not os.path.realpath(file).startswith(tuple(folders)):
            names.add(name.partition(".")[0])
    return sorted(names)


def import_modules(names: list[str]) -> str | None:
    """Import the modules that define a model's classes; return why one cannot be imported, or None."""
    for name in names:
        try:
            importlib.import_module(name)
        except Exception as error:
            return f"{name} cannot be imported ({one_line(error)})"
    return None


def main(runtime: Runtime) -> None:
    """Run the job given on the command line with this runtime."""
    before = set(sys.modules)
    job = read_job()
    golden, results, capabilities = Path(job["golden"]), Path(job["results"]), runtime.capabilities
    versions = runtime.versions() if runtime.versions else {runtime.distribution: runtime.version}
    for artifact in job["artifacts"]:
        report = {"versions": versions, "memory_error": False, "missing": None, "error": None}
        report |= {"errors": [], "skipped": [], "findings": [], "replies": {}, "weights": None}
        report |= {"inapplicable": {}, "facts": {}, "remarks": []}
        report["confinement"] = machine.state
        endpoints = {endpoint["name"]: endpoint for endpoint in artifact["endpoints"]}
        arrays: dict[tuple[str, ...], np.ndarray] = {}
        started = time.perf_counter()
        try:
            report["missing"] = import_modules(job["modules"])
            cases = {name: read_cases(golden, name) for name in endpoints}
            opened = runtime.open(artifact, {name: c[0]["inputs"] for name, c in cases.items() if c})
            report["skipped"] = [name for name in cases if name not in opened]
            for name, functions in opened.items():
                batch = endpoints[name]["batch"] or artifact["batch"]
                outputs = run_endpoint(functions, cases[name], batch, artifact["measure_noise"])
                arrays |= {(name, *key): value for key, value in outputs.arrays.items()}
                report["errors"] += [[name, *key, text] for key, text in outputs.errors.items()]
                report["inapplicable"][name] = outputs.inapplicable
                if capabilities.serves:
                    report["replies"][name] = rest.replies(golden, endpoints[name], functions["main"])
            report["findings"] = capabilities.check(artifact, opened) if capabilities.check else []
            report["facts"] = capabilities.facts(artifact, opened) if capabilities.facts else {}
            report["remarks"] = capabilities.remarks(artifact, opened) if capabilities.remarks else []
            values = capabilities.constants(artifact, opened) if capabilities.constants else None
            if values is not None and (expected := weight_sums.read(golden)) is not None:
                report["weights"] = weight_sums.compare(expected, values, capabilities.exact)
        except Exception as error:
            report |= {"error": one_line(error), "memory_error": isinstance(error, MemoryError)}
        report["seconds"] = round(time.perf_counter() - started, 3)
        report["modules"] = sorted({name.partition(".")[0] for name in sys.modules})
        report["local"] = local_modules(before)
        save_arrays(results / f"{artifact['id']}.npz", arrays)
        partial = results / f"{artifact['id']}.json.partial"
        partial.write_text(json.dumps(report))
        os.replace(partial, results / f"{artifact['id']}.json")


def read_result(results: Path, name: str) -> tuple[dict[str, Any], dict[str, Outputs]] | None:
    """Return the report of a runner about an artifact, and its outputs by endpoint; None if its process died in it."""
    if not (results / f"{name}.json").exists():
        return None
    report = json.loads((results / f"{name}.json").read_text())
    outputs: dict[str, Outputs] = {}
    for (endpoint, *key), value in read_arrays(results / f"{name}.npz").items():
        outputs.setdefault(endpoint, Outputs()).arrays[tuple(key)] = value
    for endpoint, *key, text in report["errors"]:
        outputs.setdefault(endpoint, Outputs()).errors[tuple(key)] = text
    for endpoint, cases in report["inapplicable"].items():
        outputs.setdefault(endpoint, Outputs()).inapplicable.extend(cases)
    return report, outputs
