"""A reader that polls versions as TF Serving does, while publishers are killed at random."""

import os
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from export.formats.saved_model import served_versions
from export.serving.publisher import STAGING, find_version_damage

REPUBLISH = """
import pathlib, sys
from export.serving.publisher import republish

print("publishing", flush=True)
republish(*map(pathlib.Path, sys.argv[1:]))
"""
PUBLISHER = (sys.executable, "-c", REPUBLISH)
COMPLETE_EVERY = 5  # one publisher in so many is not killed, so that new versions appear


@dataclass
class Reader:
    """A reader that polls a base path as TF Serving does."""

    base: Path  # the base path
    # version -> state of its files when it was first seen
    seen: dict[int, dict[str, tuple[int, int]]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)  # violations, a message each
    polls: int = 0  # number of polls
    killed: int = 0  # number of publishers killed meanwhile

    def poll(self) -> None:
        """Poll once: a new version must be complete."""
        self.polls += 1
        for version, names in served_versions(self.base).items():
            if version not in self.seen:
                folder = self.base / names[0]
                self.problems += [
                    f"version {version} was visible before it was complete: {text}"
                    for text in find_version_damage(folder)[:1]
                ]
                self.seen[version] = _file_states(folder)

    def finish(self) -> None:
        """Poll once more: no version may have changed since it was first seen."""
        self.poll()
        for version, states in self.seen.items():
            if _file_states(self.base / str(version)) != states:
                self.problems.append(f"version {version} was modified after it was published")
            self.problems += [
                f"version {version} is damaged: {text}" for text in find_version_damage(self.base / str(version))[:1]
            ]


def _file_states(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(p.relative_to(folder)): (p.stat().st_ino, p.stat().st_mtime_ns) for p in folder.rglob("*")}


def kill_publishers(
    source: Path, base: Path, kills: int, publisher: Sequence[str] = PUBLISHER, seed: int = 0
) -> Reader:
    """Publish `source` repeatedly by a command, kill it at random times, and poll meanwhile."""
    rng, reader = random.Random(seed), Reader(base)
    base.mkdir()
    duration = _publish(source, base, publisher, reader, None)
    for attempt in range(1, 10 * kills + 1):  # some finish before they are killed
        if reader.killed == kills:
            break
        killed = reader.killed
        seconds = _publish(source, base, publisher, reader, rng.uniform(0, 1.2 * duration))
        if reader.killed == killed:  # it was faster: the first one read the files from disk
            duration = min(duration, seconds)
        if attempt % COMPLETE_EVERY == 0:
            _publish(source, base, publisher, reader, None)
    _publish(source, base, publisher, reader, None)  # removes the folder of the last killed publisher
    reader.finish()
    if remaining := [path.name for path in base.glob(f"{STAGING}*")]:
        reader.problems.append(f"{remaining[0]} was not removed")
    return reader


def _publish(source: Path, base: Path, publisher: Sequence[str], reader: Reader, kill_after: float | None) -> float:
    """Run one publisher while polling, and kill it after some seconds of work; return the duration of its work."""
    root = str(Path(__file__).resolve().parents[4])
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}
    command = [*publisher, str(source), str(base)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as process:
        process.stdout.readline()
        started = time.monotonic()
        while process.poll() is None:
            reader.poll()
            if kill_after is not None and time.monotonic() - started >= kill_after:
                process.kill()
                process.wait()
                reader.killed += 1
        duration = time.monotonic() - started
        if process.returncode > 0:
            lines = process.stderr.read().decode(errors="replace").strip().splitlines()
            reader.problems.append(f"a publisher failed: {lines[-1] if lines else process.returncode}")
    reader.poll()
    return duration
