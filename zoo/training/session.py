"""What a training passes from one function to the next."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.dataset import Dataset, Info
from zoo.core.plan import Plan
from zoo.core.run_folder import RunFolder
from zoo.distribution.replicas import SINGLE, Replicas
from zoo.training.compiling import NO_OBJECTS, UserObjects
from zoobase.console import Console


@dataclass(frozen=True)
class Session:
    """One training."""

    plan: Plan  # its settings
    folder: RunFolder  # the run folder, which holds its complete state and from which it resumes
    dataset: Dataset  # the splits
    console: Console = field(default_factory=lambda: Console(quiet=True))  # receives progress
    replicas: Replicas = SINGLE  # the copies of the model that share each batch
    objects: UserObjects = NO_OBJECTS  # callbacks, and what replaces optimizer, loss and metrics
    initial: Path | None = None  # weights from which a model of the user's own starts
    checkpoint_minutes: float = 0.0  # after how many minutes the state is saved within an epoch; 0 for never

    @property
    def info(self) -> Info:
        """The info of the dataset."""
        return self.dataset.info

    def inner(self, name: str, plan: Plan) -> Session:
        """Return the session of one of several trainings of a run, in a folder of its own."""
        folder = RunFolder(self.folder.path / name)
        folder.store = self.folder.store
        folder.path.mkdir(parents=True, exist_ok=True)
        return dataclasses.replace(self, plan=plan, folder=folder)
