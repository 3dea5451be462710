"""The clock of `time_to_accuracy`, of the standard library only: our trainer and the peers are timed by the same."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

TARGETS = (0.92, 0.94)
SECONDS = "seconds to {:.0%}"


class Race:
    """Seconds of training until each target is reached; the clock stands still while the test split is judged."""

    def __init__(self, targets: Sequence[float] = TARGETS) -> None:
        """Start the clock of a race to some targets, in rising order."""
        self.targets = targets
        self.seconds, self.epochs, self.best = 0.0, 0, 0.0
        self.reached: dict[float, float] = {}
        self.began = time.perf_counter()

    def pause(self) -> None:
        """End an epoch of training."""
        self.seconds += time.perf_counter() - self.began
        self.epochs += 1

    def judge(self, accuracy: float) -> bool:
        """Take the test accuracy after the epoch, and start the clock again; return whether all targets are reached."""
        self.best = max(self.best, accuracy)
        for target in self.targets:
            if accuracy >= target:
                self.reached.setdefault(target, self.seconds)
        self.began = time.perf_counter()
        return len(self.reached) == len(self.targets)

    def told(self) -> dict[str, float]:
        """Return what the harness is told: the first target as the value, the others beside it; infinite if never."""
        first, *others = self.targets
        so_far = {"epochs": self.epochs, "seconds in all": self.seconds, "best accuracy": self.best}
        return {
            "value": self.reached.get(first, math.inf),
            **{SECONDS.format(target): self.reached.get(target, math.inf) for target in others},
            **so_far,
        }
