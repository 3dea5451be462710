"""The run folder: the complete state and all results of a training.

config.json       the plan, the dataset info, versions, git revision, machine
history.csv       one row per epoch
logs/             TensorBoard
checkpoints/      best.weights.h5 by validation loss; state-N.npz to resume from
evaluation.json   metrics on the test split
baselines.json    outputs of baselines that were fitted while training
candidates.json   the candidates on validation, and why one was selected; their own run folders are in candidates/
figures/          curves, confusion matrix and other figures
bundle/           exported and verified artifacts
.lock             locked by the process that trains
"""

from __future__ import annotations

import contextlib
import csv
import datetime
import importlib.metadata
import json
import os
import platform
import reprlib
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from export.runtime import onednn
from pipelines.dataset import Info
from pipelines.sources.storage import LOCK
from zoo.core import registry
from zoo.core.plan import Plan, damaged
from zoo.core.run_store import RunStore
from zoo.core.settings import from_config
from zoo.core.weight_files import load_file
from zoobase import finite
from zoobase.errors import MissingError, UsageError, ZooError, near
from zoobase.files import locked, write_atomic
from zoobase.notebook import html_table

if TYPE_CHECKING:
    import keras
    import numpy as np

    from pipelines.dataset import Dataset

BASELINES, CANDIDATES = "baselines.json", "candidates.json"
ESCAPED = "backslashreplace"  # paths need not be UTF-8, and JSON has the same escapes
LIBRARIES = ("tensorflow", "keras", "numpy", "h5py", "tensorflow-datasets", "ai-edge-litert", "keras-proof-zoo")


class RunSummary(dict[str, Any]):
    """The result of a training as a dictionary; a notebook shows it as a table."""

    def _repr_html_(self) -> str:
        rows = [(key, f"{value:.4f}") for key, value in self.get("metrics", {}).items()]
        rows += [(key.replace("_", " "), self[key]) for key in ("best_epoch", "epochs", "seconds") if key in self]
        rows += [(bundle["path"], bundle["verdict"]) for bundle in self.get("bundles", ())]
        return html_table(f"{self.get('run')}: {self.get('model', '')} on {self.get('data', '')}", rows)


class RunFolder:
    """One run folder."""

    def __init__(self, path: str | Path) -> None:
        """Represent an existing folder; see `create` and `open`."""
        self.path = Path(path)
        self.store: RunStore | None = None

    def saved(self) -> None:
        """Write the run to its store, if it has one; called when a state is whole."""
        if self.store is not None:
            self.store.save()

    def __repr__(self) -> str:
        return f"RunFolder({str(self.path)!r})"

    @classmethod
    def create(cls, model: str, out: str | Path | None = None) -> RunFolder:
        """Create a new folder: `out`, or runs/MODEL/TIME."""
        if out is not None:
            cls.check_empty(out)
            Path(out).mkdir(parents=True, exist_ok=True)
            return cls(out)
        time = datetime.datetime.now().strftime("%Y-%m-%dT%H-%M-%S")
        for attempt in range(1, 1000):
            path = Path("runs") / model / (time if attempt == 1 else f"{time}-{attempt}")
            try:
                path.mkdir(parents=True)  # fails if it exists: two runs in the same second get two folders
            except FileExistsError:
                continue
            return cls(path)
        raise ZooError(f"{path.parent} already holds a thousand runs with this time")

    @staticmethod
    def check_empty(out: str | Path) -> None:
        """Raise UsageError if `out` is not empty: a run is never overwritten."""
        path = Path(out)
        if path.exists() and (not path.is_dir() or any(file.name != LOCK for file in path.iterdir())):
            what = "holds a run" if (path / "config.json").exists() else "is not empty"
            raise UsageError(f"{path} {what}: choose another --out, or remove it first")

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        """Return the run in a folder, or in a store, of which it fetches a copy."""
        store = RunStore.of(path)
        run = cls(store.path if store else path)
        run.store = store
        if not (run.path / "config.json").is_file():
            hint = "; it is a bundle" if (run.path / "manifest.json").is_file() else ""
            raise UsageError(f"{run.path} is not a run folder: it has no config.json{hint}")
        return run

    @staticmethod
    def exists(path: str | Path) -> bool:
        """Whether a folder holds a run, finished or not."""
        return (Path(path) / "config.json").is_file()

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the folder while this process trains in it; the kernel releases the lock when the process ends."""
        lock = self.path / LOCK
        with contextlib.ExitStack() as stack:
            try:
                descriptor = stack.enter_context(locked(lock, wait=False))
            except BlockingIOError:
                holder = lock.read_text().strip()
                raise UsageError(
                    f"process {holder} is training in {self.path}: wait until it has finished, or choose another --out"
                ) from None
            os.truncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()}\n".encode())
            yield

    @property
    def finished(self) -> bool:
        """Whether the run is complete."""
        return (self.path / "summary.json").is_file()

    def state(self) -> str:
        """Return "finished", "training" in a process of this machine, or "unfinished"."""
        if self.finished:
            return "finished"
        try:
            with locked(self.path / LOCK, wait=False, create=False):
                return "unfinished"
        except BlockingIOError:
            return "training"
        except OSError:  # it was never locked
            return "unfinished"

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Write summary.json: a run with this file is never changed."""
        self.write("summary.json", summary)

    def requested(self) -> dict[str, Any]:
        """Return the settings that the run was asked for, as fields of `TrainSettings`."""
        with damaged(self.path / "config.json"):
            return from_config(self.read("config.json")["requested"])

    def differences(self, plan: Plan) -> list[str]:
        """Return the settings in which a plan differs from this run: `recipe.epochs: 3 in the run, 5 requested`."""
        with damaged(self.path / "config.json"):
            saved = flatten(self.read("config.json")["requested"])
        requested = flatten(json.loads(json.dumps(plan.to_json())))  # JSON has no tuples
        return [
            f"{key}: {reprlib.repr(saved.get(key))} in the run, {reprlib.repr(requested.get(key))} requested"
            for key in sorted(saved | requested)
            if saved.get(key) != requested.get(key)
        ]

    @property
    def weights(self) -> Path:
        """Return the path of the best weights."""
        return self.path / "checkpoints" / "best.weights.h5"

    def read(self, name: str) -> dict[str, Any]:
        """Return a JSON file of the run."""
        try:
            value = json.loads((self.path / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise MissingError(f"{self.path} has no {name}: the run has not reached that step") from None
        except (ValueError, RecursionError) as e:
            raise ZooError(f"{self.path / name} is damaged: {e}") from None
        if not isinstance(value, dict):
            raise ZooError(f"{self.path / name} is damaged: it is not a JSON object")
        return value

    def write(self, name: str, value: Mapping[str, Any]) -> None:
        """Write a JSON file of the run atomically, with null for NaN and infinity."""
        content = json.dumps(finite(value), indent=2, ensure_ascii=False, allow_nan=False)
        write_atomic(self.path / name, (content + "\n").encode(errors=ESCAPED))

    def save_config(self, plan: Plan, info: Info, extra: Mapping[str, Any]) -> None:
        """Write config.json: all settings that are needed to repeat the run."""
        self.write(
            "config.json",
            {
                **plan.to_json(),
                "arguments": plan.arguments(info),
                "info": info.to_json(),
                "versions": versions(),
                "git": git_revision(),
                "machine": {
                    **{"python": platform.python_version(), "cpus": os.cpu_count(), "system": platform.platform()},
                    **onednn.describe(),
                },
                "command": sys.argv,
                **extra,
            },
        )

    def select(self, info: Info, **chosen: Any) -> None:
        """Record to which candidate of the recipe (`candidate`) or of the task (`selected`) the weights belong."""
        config = self.read("config.json") | {"info": info.to_json()} | json.loads(json.dumps(chosen))
        self.write("config.json", {**config, "arguments": Plan.from_json(config).arguments(info)})

    def plan(self) -> Plan:
        """Return the plan of the run."""
        with damaged(self.path / "config.json"):
            return Plan.from_json(self.read("config.json"))

    def info(self) -> Info:
        """Return the dataset info."""
        with damaged(self.path / "config.json"):
            return Info.from_json(self.read("config.json")["info"])

    def dataset(self, given: Dataset | None = None) -> Dataset:
        """Return the run's dataset, prepared for its task: loaded again, or the given one."""
        plan, saved = self.plan(), self._comparable(self.info())
        if given is None:
            return plan.load_data()
        if self._comparable(given.info) == saved:  # it was prepared when the run was made
            return given
        prepared = plan.prepare(given)
        values = self._comparable(prepared.info)
        if different := [name for name, value in saved.items() if values[name] != value]:
            raise UsageError(
                f"{given.info.name} is not the data of {self.path}: the two differ in {', '.join(different)}; give the "
                "dataset that the model was trained on"
            )
        return prepared

    @staticmethod
    def _comparable(info: Info) -> dict[str, Any]:
        """Return what identifies a dataset, with the types of JSON; where it was read from does not."""
        values = json.loads(json.dumps(finite(info.to_json())))
        return {key: value for key, value in values.items() if key not in ("source", "homepage", "licence", "skipped")}

    def model(self) -> keras.Model:
        """Return the model with its best weights, in float32, uncompiled."""
        plan, info = self.plan(), self.info()
        if not self.weights.is_file():
            raise MissingError(f"{self.path} has no best weights yet: no epoch was finished")
        model = plan.build(info)
        try:
            load_file(model, self.weights)
        except (OSError, ValueError, KeyError) as e:
            raise ZooError(f"{self.weights} cannot be loaded: {' '.join(str(e).split())}") from e
        return model

    def metrics(self) -> dict[str, float]:
        """Return the metrics of evaluation.json; empty if the run was never evaluated."""
        try:
            evaluation = self.read("evaluation.json")
        except MissingError:
            return {}
        with damaged(self.path / "evaluation.json"):
            metrics = dict(evaluation["metrics"])
            if not all(isinstance(value, int | float) for value in metrics.values()):
                raise TypeError("a metric is not a number")
            return metrics

    def baselines(self) -> dict[str, dict[str, np.ndarray]]:
        """Return the outputs of the baselines that the training fitted, for the test split, by name."""
        if not (self.path / BASELINES).is_file():
            return {}
        with damaged(self.path / BASELINES):
            return {
                name: {output: np.array(values) for output, values in outputs.items()}
                for name, outputs in self.read(BASELINES).items()
            }

    def history(self) -> list[dict[str, float]]:
        """Return one row per finished epoch, in order."""
        path = self.path / "history.csv"
        if not path.is_file():
            return []
        with damaged(path), path.open(newline="") as f:
            return [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(f)]

    def write_history(self, rows: list[Mapping[str, float]]) -> None:
        """Write history.csv atomically."""
        names = list(dict.fromkeys(name for row in rows for name in row))
        lines = [",".join(names), *(",".join(f"{row[n]:.9g}" if n in row else "" for n in names) for row in rows)]
        write_atomic(self.path / "history.csv", ("\n".join(lines) + "\n").encode())


def check_source(path: Path) -> None:
    """Check that a path can be opened, as far as it needs no import of TensorFlow."""
    if not path.exists():
        if str(path) not in registry.entries():
            matches = near(str(path), registry.entries())
            hint = f"; did you mean the model {' or '.join(matches)}?" if matches else ", a bundle or a model"
            raise UsageError(f"{path} is not a run folder{hint}")
    elif not (path / "manifest.json").is_file():
        RunFolder.open(path)


def flatten(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return {"recipe.epochs": 3, ...} of nested dictionaries."""
    values: dict[str, Any] = {}
    for key, value in nested.items():
        values |= flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return values


def versions() -> dict[str, str]:
    """Return the versions of the libraries that affect the result of a run."""
    installed = {}
    for name in LIBRARIES:
        try:
            installed[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return installed


def git_revision() -> dict[str, Any] | None:
    """Return the git revision of the source and whether it has local changes; None outside a checkout."""
    root = Path(__file__).parent.parent.parent
    if not (root / ".git").exists():
        return None

    def git(*arguments: str) -> str:
        process = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=20)
        return process.stdout.strip()

    try:
        return {"revision": git("rev-parse", "HEAD"), "changed": bool(git("status", "--porcelain", "-uno"))}
    except (OSError, subprocess.SubprocessError):
        return None
