"""What is asked of the quantised TFLite files of an export."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from export.certificate import Certificate
from export.contract import Contract
from export.errors import ExportError
from export.evaluation import Evaluation, judge_drop
from export.formats.tflite import QUANTIZE, check_calibration
from export.proof import Subject, check_names


@dataclass(frozen=True)
class Quantisation:
    """Which precisions, what they are calibrated and judged with.

    Attributes:
        kinds: Of `QUANTIZE`.
        calibration: Real inputs by name, of the training data.
        evaluation: Real data with its truth, or None.
        max_drop: How much of the metric a file may lose.
    """

    kinds: tuple[str, ...] = ()
    calibration: Mapping[str, np.ndarray] | None = None
    evaluation: Evaluation | None = None
    max_drop: float = 0.01

    def check(self, contract: Contract) -> None:
        """Raise ExportError for what does not fit together, before anything is written."""
        check_names(self.kinds, QUANTIZE, "precision")
        if not self.kinds and (self.calibration is not None or self.evaluation is not None):
            raise ExportError("calibration and evaluation data are for quantised files; ask for them (--quantize int8)")
        if "int8" in self.kinds:
            check_calibration(contract, self.calibration)

    def typical(self, samples: Mapping[str, np.ndarray] | None) -> Mapping[str, np.ndarray] | None:
        """Return the real inputs that the files are judged on: evaluation data if there is any, else the next best."""
        if not self.kinds:
            return None
        return self.evaluation.inputs if self.evaluation else samples or self.calibration

    def judge(self, subject: Subject, certificate: Certificate) -> None:
        """Measure the drop of the files that passed so far, and write it into their rows."""
        if self.evaluation and self.kinds:
            judge_drop(
                *(subject.folder, subject.contract, subject.artifacts, certificate.artifacts),
                *(self.evaluation, self.max_drop),
            )
