"""How sure a classifier is of rows that it was not trained on: inputs unlike those of the training have a low energy.

Reference: Liu et al. 2020, arXiv:2010.03759.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from export.contract import Endpoint

FILE = "assets.extra/energies.json"  # of a SavedModel
ROWS = 1000  # at most
LEAST_ROWS = 50
DIGITS = 6  # significant ones of a stored number


def write(saved_model: Path, endpoint: Endpoint, outputs: Mapping[str, np.ndarray]) -> None:
    """Write the sorted energies of the answers to such rows into a SavedModel, if it gives scores of classes."""
    for tensor in endpoint.outputs:
        scores = outputs[tensor.name].astype(float)
        if tensor.meaning in ("logits", "probabilities") and scores.ndim == 2 and len(scores) >= LEAST_ROWS:
            largest = scores.max(1)  # of probabilities, which have no energy
            if tensor.meaning == "logits":
                largest += np.log(np.exp(scores - largest[:, None]).sum(1))
            values = [float(f"{v:.{DIGITS}g}") for v in np.sort(largest[np.isfinite(largest)])]
            path = saved_model / FILE
            path.parent.mkdir(exist_ok=True)
            content = {"schema": 1, "endpoint": endpoint.name, "output": tensor.name, "energies": values}
            path.write_text(json.dumps(content), encoding="utf-8")
            return
