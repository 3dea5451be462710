"""What a quantised form of a file is: the types of its numbers, the error that is allowed, and what it needs."""

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from export.contract import Endpoint
from zoobase.errors import ExportError, Unavailable
from zoobase.requirements import install_command

MAX_DROP = 0.01  # the largest allowed drop of the metric of a quantised file, unless another is given
CALIBRATION_ROWS = 100  # fewer give unusable ranges: with 8 a small CNN was off by 0.34, with 50 by 0.024


@dataclass(frozen=True)
class Budget:
    """The quantisation error that is allowed on typical inputs."""

    sqnr_db: float  # smallest signal-to-quantization-noise ratio of every output, in dB
    top1: float  # smallest fraction of rows, without ties, whose top-1 class is unchanged


@dataclass(frozen=True)
class QuantizedForm:
    """A quantised form in which a format writes a model."""

    name: str
    weights: str  # "float16", "int8" or "int4"
    activations: str | None  # "int8" or "int16", with ranges of calibration data; None if they are float
    budget: Budget
    # what quantises, if it is not the converter of the format: modules that an extra installs
    modules: tuple[str, ...] = ()
    extra: str = ""
    may_keep_float: bool = False  # whether a number of operators can be named that stay float

    @property
    def is_calibrated(self) -> bool:
        """Whether ranges are measured on calibration data."""
        return self.activations is not None

    def types(self) -> dict[str, str | None]:
        """Return the types of weights and activations, as jobs that convert or quantise take them."""
        return {"weights": self.weights, "activations": self.activations}

    def check_installed(self) -> None:
        """Raise Unavailable if what quantises is not installed."""
        check_modules(self.name, self.modules, self.extra)

    def check_calibration(self, endpoint: Endpoint, calibration: Mapping[str, np.ndarray] | None) -> None:
        """Raise ExportError unless every input of an endpoint has enough calibration rows."""
        names, given = {t.name for t in endpoint.inputs}, calibration or {}
        if missing := names - set(given):
            raise ExportError(
                f"{self.name} needs calibration rows of {', '.join(sorted(missing))}: give {CALIBRATION_ROWS} or more "
                f"real inputs of the training data, by name (--calibration x.npz)"
            )
        if (rows := min(len(given[name]) for name in names)) < CALIBRATION_ROWS:
            raise ExportError(
                f"{self.name} needs at least {CALIBRATION_ROWS} calibration rows to measure its ranges, not {rows}; "
                f"give real inputs of the training data, never of the test data (--calibration x.npz)"
            )


def check_modules(what: str, modules: tuple[str, ...], extra: str) -> None:
    """Raise Unavailable if a module that `what` needs, which an extra installs, is missing."""
    missing = [name.replace("_", "-") for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        raise Unavailable(f"{what} needs {' and '.join(missing)}, which {verb} not installed; {install_command(extra)}")


def calibration_of(
    endpoints: tuple[Endpoint, ...], calibration: Mapping[str, np.ndarray] | None
) -> dict[str, dict[str, np.ndarray]]:
    """Return the calibration rows (N, ...) of each endpoint that they feed, as its inputs are stored, by input name."""
    given = calibration or {}
    fed = [endpoint for endpoint in endpoints if all(t.name in given for t in endpoint.inputs)]
    return {endpoint.name: {t.name: t.array(given[t.name]) for t in endpoint.inputs} for endpoint in fed}
