"""Golden rows for the pages of a site: inputs of the bundle, and what Python's LiteRT returns for them."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from export.contract import Endpoint, Tensor
from export.parity.cases import GoldenCase
from export.serving.web.pages import Page
from export.wire.calls import Function, in_batches

ROWS = 8
BYTES = 1_500_000  # of the inputs and outputs of an endpoint; there is always one row
TEXTS = 12
REAL_FIRST = ("real", "typical", "batch_7")  # names of cases; the others follow


def rows_of(endpoint: Endpoint, cases: Sequence[GoldenCase]) -> dict[str, np.ndarray]:
    """Return up to `ROWS` compared rows of an endpoint by input name, real ones first."""
    size = sum(np.dtype(t.dtype).itemsize * int(np.prod(t.shape[1:])) for t in (*endpoint.inputs, *endpoint.outputs))
    limit = max(1, min(ROWS, BYTES // max(size, 1)))
    ordered = [case for case in cases if case.compared and not case.chain]
    ordered.sort(key=lambda case: REAL_FIRST.index(case.name) if case.name in REAL_FIRST else len(REAL_FIRST))
    return {
        t.name: np.concatenate([_fitted(t, case.inputs[t.name]) for case in ordered])[:limit] for t in endpoint.inputs
    }


def _fitted(tensor: Tensor, array: np.ndarray) -> np.ndarray:
    """Return images of another size in the size of the tensor, by their nearest pixels; any other array as it is."""
    if tensor.fits(array.shape) or tensor.meaning != "image":
        return array
    rows, columns = (np.arange(n) * size // n for n, size in zip(tensor.shape[1:3], array.shape[1:3], strict=True))
    return array[:, rows][:, :, columns]


def golden_of(page: Page, cases: Mapping[str, Sequence[GoldenCase]], call: Function) -> dict[str, Any]:
    """Return the golden rows of a page as JSON: arrays as base64 of their bytes.

    Args:
        page: The page.
        cases: The golden cases of the bundle by endpoint.
        call: The endpoint in Python's LiteRT, one row at a time.
    """
    inputs = rows_of(page.endpoint, cases[page.endpoint.name])
    outputs = in_batches(call, inputs, 1)
    rows = len(next(iter(inputs.values())))
    golden = {"rows": rows, "inputs": _encoded(inputs), "outputs": _encoded(outputs)}
    return golden | {"texts": _texts(page, cases)}


def _encoded(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    return {
        name: {
            "dtype": array.dtype.name,
            "shape": list(array.shape),
            "data": base64.b64encode(array.tobytes()).decode(),
        }
        for name, array in arrays.items()
    }


def _texts(page: Page, cases: Mapping[str, Sequence[GoldenCase]]) -> list[dict[str, Any]]:
    """Return texts with the scores that the reference model gives them, against which the tokenizer is checked."""
    raw, scores = page.options.get("raw"), page.options.get("scores")
    pairs = [
        {"text": text.decode(), "scores": [float(v) for v in row]}
        for case in (cases[raw] if raw else ())
        if case.compared and case.outputs
        for text, row in zip(next(iter(case.inputs.values())).ravel(), case.outputs[scores], strict=True)
        if _is_utf8(text)
    ]
    return pairs[:TEXTS]


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
