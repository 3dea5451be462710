"""The timer of `time_to_accuracy`, shared by all candidates; requires only the standard library."""

import math
import time
from collections.abc import Sequence

TARGETS = (0.92, 0.94)
SECONDS = "seconds to {:.0%}"


class AccuracyTimer:
    """Measures the training seconds to each target accuracy; the evaluation of the test split is not included."""

    def __init__(self, targets: Sequence[float] = TARGETS) -> None:
        """Start the timer for targets in increasing order."""
        self.targets = targets
        self.seconds, self.epochs, self.best = 0.0, 0, 0.0
        self.reached: dict[float, float] = {}
        self.start = time.perf_counter()

    def pause(self) -> None:
        """Pause the timer at the end of an epoch."""
        self.seconds += time.perf_counter() - self.start
        self.epochs += 1

    def record(self, accuracy: float) -> bool:
        """Record the test accuracy of the epoch and restart the timer; return whether all targets are reached."""
        self.best = max(self.best, accuracy)
        for target in self.targets:
            if accuracy >= target:
                self.reached.setdefault(target, self.seconds)
        self.start = time.perf_counter()
        return len(self.reached) == len(self.targets)

    def result(self) -> dict[str, float]:
        """Return the seconds to the first target as the value, and to the others; infinite if not reached."""
        first, *others = self.targets
        extra = {"epochs": self.epochs, "seconds in all": self.seconds, "best accuracy": self.best}
        return {
            "value": self.reached.get(first, math.inf),
            **{SECONDS.format(target): self.reached.get(target, math.inf) for target in others},
            **extra,
        }
