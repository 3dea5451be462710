"""Level 4: a reader that picks versions as TF Serving does, while publishers are killed at random.

It happens in a folder beside the base path, on the same file system, with the files of the version that is checked.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from export.bundle.publisher import STAGING, broken
from export.formats.saved_model_versions import served_versions
from export.proof.certificate import FAIL, NOT_RUN, PASS
from export.servecheck.subject import Level, Subject

PUBLISHER = (sys.executable, "-m", "export.bundle.publisher")
WHOLE_EVERY = 5  # so often a publisher is left alone, so that there is something to pick


def check(subject: Subject) -> Level:
    """Kill publishers, and look at what a reader sees all the while."""
    with tempfile.TemporaryDirectory(
        prefix=f".{subject.base.name}-check-", dir=subject.base.resolve().parent
    ) as scratch:
        reader = provoke(subject.folder, Path(scratch) / "base", subject.kills)
    details = f"{reader.killed} publishers killed, {len(reader.seen)} versions seen, {reader.polls} polls"
    reason = reader.found[0] if reader.found else None
    if not reader.found and not reader.killed:
        return Level("poller", NOT_RUN, "no publisher was killed")
    return Level("poller", FAIL if reader.found else PASS, reason, details)


@dataclass
class Reader:
    """TF Serving's eye on a base path.

    Attributes:
        base: What it polls.
        seen: {version: how its files looked when it was first seen}.
        found: What it saw that must not be, a sentence each.
        polls: How often it looked.
        killed: How many publishers were killed meanwhile.
    """

    base: Path
    seen: dict[int, dict[str, tuple[int, int]]] = field(default_factory=dict)
    found: list[str] = field(default_factory=list)
    polls: int = 0
    killed: int = 0

    def poll(self) -> None:
        """Look once: a version that is new must be whole at once."""
        self.polls += 1
        for version, names in served_versions(self.base).items():
            if version not in self.seen:
                folder = self.base / names[0]
                self.found += [f"version {version} was seen in part: {text}" for text in broken(folder)[:1]]
                self.seen[version] = _look(folder)

    def finish(self) -> None:
        """Look at everything once more: what was seen must still be the same."""
        self.poll()
        for version, looked in self.seen.items():
            if _look(self.base / str(version)) != looked:
                self.found.append(f"version {version} was touched after it was seen")
            self.found += [f"version {version} is broken: {text}" for text in broken(self.base / str(version))[:1]]


def _look(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(p.relative_to(folder)): (p.stat().st_ino, p.stat().st_mtime_ns) for p in folder.rglob("*")}


def provoke(source: Path, base: Path, kills: int, publisher: Sequence[str] = PUBLISHER, seed: int = 0) -> Reader:
    """Publish `source` over and over, killing the publisher at a random moment, and poll all the while.

    Args:
        source: A version folder.
        base: A base path to make.
        kills: How many publishers are killed; every few one is left alone.
        publisher: The command; SOURCE and BASE are added, and it prints a line when it begins.
        seed: Of the moments.
    """
    chance, reader = random.Random(seed), Reader(base)
    base.mkdir()
    whole = _publish(source, base, publisher, reader, None)
    for attempt in range(1, 10 * kills + 1):  # some are faster than their killer
        if reader.killed == kills:
            break
        _publish(source, base, publisher, reader, chance.uniform(0, 1.2 * whole))
        if attempt % WHOLE_EVERY == 0:
            _publish(source, base, publisher, reader, None)
    _publish(source, base, publisher, reader, None)  # sweeps what the last dead one left
    reader.finish()
    if left := [path.name for path in base.glob(f"{STAGING}*")]:
        reader.found.append(f"{left[0]} was left behind")
    return reader


def _publish(source: Path, base: Path, publisher: Sequence[str], reader: Reader, kill_after: float | None) -> float:
    """Run one publisher, polling, and kill it after that many seconds of work; return how long it worked."""
    home = str(Path(__file__).resolve().parents[2])
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([home, os.environ.get("PYTHONPATH", "")])}
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
        worked = time.monotonic() - started
        if process.returncode > 0:
            lines = process.stderr.read().decode(errors="replace").strip().splitlines()
            reader.found.append(f"a publisher failed: {lines[-1] if lines else process.returncode}")
    reader.poll()
    return worked
