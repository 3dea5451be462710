"""The run folder: the whole state of a training, and all that came of it.

config.json       the plan, the data's info, versions, git revision, machine
history.csv       one row an epoch
logs/             TensorBoard
checkpoints/      best.weights.h5 by validation loss; state-N.npz to resume from
evaluation.json   metrics on the test split
figures/          what people would rather look at
bundle/           exported and proven
"""

from __future__ import annotations

import csv
import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from export.runtime import onednn
from pipelines.dataset import Info
from pipelines.sources.storage import write_atomic
from zoo.core.errors import MissingError, UsageError, ZooError
from zoo.core.plan import Plan, make_plan

if TYPE_CHECKING:
    import keras

LIBRARIES = ("tensorflow", "keras", "numpy", "h5py", "tensorflow-datasets", "ai-edge-litert", "keras-proof-zoo")


class Run:
    """One run folder."""

    def __init__(self, path: str | Path) -> None:
        """Point at a folder that exists; see `create` and `open`."""
        self.path = Path(path)

    @classmethod
    def create(cls, model: str, out: str | Path | None = None) -> Run:
        """Make a new folder: exactly `out`, or runs/MODEL/TIME.

        Raises:
            UsageError: `out` holds something already; a finished run is never overwritten.
        """
        if out is not None:
            cls.check_free(out)
            Path(out).mkdir(parents=True, exist_ok=True)
            return cls(out)
        time = datetime.datetime.now().strftime("%Y-%m-%dT%H-%M-%S")
        for attempt in range(1, 1000):
            path = Path("runs") / model / (time if attempt == 1 else f"{time}-{attempt}")
            try:
                path.mkdir(parents=True)  # fails if it exists: two runs in one second get two folders
            except FileExistsError:
                continue
            return cls(path)
        raise ZooError(f"{path.parent} holds a thousand runs of this second")

    @staticmethod
    def check_free(out: str | Path) -> None:
        """Raise UsageError if `out` holds something: a run is never overwritten."""
        path = Path(out)
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            what = "a run" if (path / "config.json").exists() else "something"
            raise UsageError(f"{path} holds {what} already: choose another --out, or remove it first")

    @classmethod
    def open(cls, path: str | Path) -> Run:
        """Return the run in a folder.

        Raises:
            UsageError: There is no run.
        """
        run = cls(path)
        if not (run.path / "config.json").is_file():
            hint = "; it is a bundle" if (run.path / "manifest.json").is_file() else ""
            raise UsageError(f"{run.path} is not a run folder: it has no config.json{hint}")
        return run

    @staticmethod
    def exists(path: str | Path) -> bool:
        """Whether a folder holds a run, finished or not."""
        return (Path(path) / "config.json").is_file()

    @property
    def finished(self) -> bool:
        """Whether everything that was asked of the run is done."""
        return (self.path / "summary.json").is_file()

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Write summary.json: from now on the run is never changed."""
        self.write("summary.json", summary)

    def differences(self, plan: Plan, only_given: bool = False) -> list[str]:
        """Return where a plan differs from the one that this run was asked for: `recipe.epochs: 3 here, 5 asked`.

        With `only_given`, what the plan leaves at the default of the recipe is not a difference.
        """
        here, asked = flat(self.read("config.json")["requested"]), flat(json.loads(json.dumps(plan.to_json())))
        plain = flat(json.loads(json.dumps(make_plan(plan.model).to_json()))) if only_given else {}
        return [
            f"{key}: {here.get(key)!r} here, {asked.get(key)!r} asked"
            for key in sorted(here | asked)
            if here.get(key) != asked.get(key) and not (only_given and asked.get(key) == plain.get(key))
        ]

    @property
    def weights(self) -> Path:
        """Return the path of the best weights."""
        return self.path / "checkpoints" / "best.weights.h5"

    def read(self, name: str) -> dict[str, Any]:
        """Return a JSON file of the run.

        Raises:
            MissingError: It is not there yet.
            ZooError: It is not JSON.
        """
        try:
            return json.loads((self.path / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise MissingError(f"{self.path} has no {name}: the run did not get that far") from None
        except ValueError as e:
            raise ZooError(f"{self.path / name} is damaged: {e}") from None

    def write(self, name: str, value: Mapping[str, Any]) -> None:
        """Write a JSON file of the run, whole or not at all."""
        write_atomic(self.path / name, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())

    def save_config(self, plan: Plan, info: Info, extra: Mapping[str, Any]) -> None:
        """Write config.json: everything needed to repeat the run."""
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

    def choose(self, candidate: int, info: Info) -> None:
        """Write down which candidate of the recipe the weights of this run belong to."""
        config = self.read("config.json")
        plan = Plan.from_json({**config, "candidate": candidate})
        self.write("config.json", {**config, "candidate": candidate, "arguments": plan.arguments(info)})

    def plan(self) -> Plan:
        """Return the plan that the run follows."""
        return Plan.from_json(self.read("config.json"))

    def info(self) -> Info:
        """Return what was known of the data."""
        return Info.from_json(self.read("config.json")["info"])

    def model(self) -> keras.Model:
        """Return the model with its best weights, in float32, uncompiled.

        Raises:
            MissingError: No epoch was finished.
            ZooError: The weights are damaged or of another model.
        """
        plan, info = self.plan(), self.info()
        if not self.weights.is_file():
            raise MissingError(f"{self.path} has no best weights yet: no epoch was finished")
        model = plan.build(info)
        try:
            model.load_weights(self.weights)
        except (OSError, ValueError, KeyError) as e:
            raise ZooError(f"{self.weights} cannot be loaded: {str(e).splitlines()[0]}") from e
        return model

    def history(self) -> list[dict[str, float]]:
        """Return the epochs so far, in order; empty before the first has ended."""
        path = self.path / "history.csv"
        if not path.is_file():
            return []
        with path.open(newline="") as f:
            return [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(f)]

    def write_history(self, rows: list[Mapping[str, float]]) -> None:
        """Write history.csv, whole or not at all."""
        names = list(dict.fromkeys(name for row in rows for name in row))
        lines = [",".join(names), *(",".join(f"{row[n]:.9g}" if n in row else "" for n in names) for row in rows)]
        write_atomic(self.path / "history.csv", ("\n".join(lines) + "\n").encode())


def flat(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return {"recipe.epochs": 3, ...} of nested dictionaries."""
    found: dict[str, Any] = {}
    for key, value in nested.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found


def versions() -> dict[str, str]:
    """Return the versions of the libraries that decide what a run gives."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def git_revision() -> dict[str, Any] | None:
    """Return the revision of our source and whether it was changed; None outside a checkout."""
    here = Path(__file__).parent.parent.parent
    if not (here / ".git").exists():
        return None

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", "-C", str(here), *arguments], capture_output=True, text=True, timeout=20)
        return done.stdout.strip()

    try:
        return {"revision": git("rev-parse", "HEAD"), "changed": bool(git("status", "--porcelain", "-uno"))}
    except (OSError, subprocess.SubprocessError):
        return None
