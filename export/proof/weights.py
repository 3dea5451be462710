"""Write the checksums of the live model's weights, with which the fresh processes compare those of each artifact."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from export.runners.lib import weights


def write_weights(folder: Path, model: Any) -> None:
    """Write the checksums of every weight of a model to the golden folder.

    Args:
        folder: The golden folder.
        model: A built Keras model.
    """
    weights.write(folder, ((weight.path, np.asarray(weight.value)) for weight in model.weights))
