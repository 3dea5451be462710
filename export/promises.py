"""What the live model returns, against what its contract promises."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from export.contract import Tensor
from export.golden import Case
from export.measures import is_real, spread


def broken_promises(cases: Sequence[Case], outputs: Sequence[Tensor]) -> list[str]:
    """Say where the live model returns something else than the contract promises."""
    found = []
    for case in (c for c in cases if c.judged and c.outputs):
        if set(case.outputs) != {t.name for t in outputs}:
            returned, promised = ", ".join(sorted(case.outputs)), ", ".join(t.name for t in outputs)
            return [f"returns {returned} where the contract promises {promised}"]
        for tensor in outputs:
            value = case.outputs[tensor.name]
            dtype = "string" if value.dtype.kind in "OSU" else value.dtype.name
            fits = len(value.shape) == len(tensor.shape) and all(
                w in (None, s) for w, s in zip(tensor.shape[1:], value.shape[1:], strict=True)
            )
            if dtype != tensor.dtype or not fits:
                promised = f"{tensor.dtype} {tensor.shape}"
                found.append(f"{tensor.name} is {dtype} {value.shape} where the contract promises {promised}")
    return list(dict.fromkeys(found))


def constant_outputs(cases: Sequence[Case]) -> list[str]:
    """Return the outputs that are the same for every input, so that comparing them proves little."""
    rows: dict[str, list[np.ndarray]] = {}
    for case in (c for c in cases if c.judged):
        for name, value in case.outputs.items():
            if is_real(value) and value.ndim > 1:
                rows.setdefault(name, []).extend(value)
    same = {name: [r for r in found if r.shape == found[0].shape] for name, found in rows.items()}
    return [name for name, found in same.items() if spread(np.stack(found), np.stack([found[0]] * len(found))) < 1e-6]
