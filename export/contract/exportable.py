"""Whether a contract can be exported."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from export.contract import Contract
from zoobase.errors import ExportError


def with_labels(contract: Contract, labels: Sequence[str] | None) -> Contract:
    """Return a contract with class names.

    Args:
        contract: The contract.
        labels: Class names in the order of the outputs, or None for those of the contract.

    Raises:
        ExportError: If the contract has other ones.

    Example:
        >>> with_labels(Contract(()), ["cat", "dog"]).labels
        ('cat', 'dog')
    """
    if isinstance(labels, str) or (labels is not None and contract.labels not in (None, tuple(labels))):
        problem = "is one string" if isinstance(labels, str) else "differs from the labels of the contract"
        raise ExportError(f"labels={labels!r} {problem}; give a list of class names in one place")
    return contract if labels is None else dataclasses.replace(contract, labels=tuple(labels))


def check_exportable(contract: Contract) -> None:
    """Raise ExportError for a contract that no bundle can hold."""
    if not contract.endpoints:
        raise ExportError("the contract has no endpoint; give at least one")
    for endpoint in contract.endpoints:
        if endpoint.call is None:
            raise ExportError(
                f"endpoint {endpoint.name} has no call; a contract read from disk cannot be exported again"
            )
        for tensor in (*endpoint.inputs, *endpoint.outputs):
            where = f"tensor {tensor.name} of endpoint {endpoint.name}"
            if not tensor.shape:
                raise ExportError(
                    f"{where} is declared without a batch dimension; a server needs a row for each example"
                )
            if tensor.dtype == "bfloat16":
                raise ExportError(
                    f"{where} is declared bfloat16, which NumPy and JSON lack; declare and return float32"
                )
    scores = [t for e in contract.endpoints for t in e.outputs if t.meaning in ("logits", "probabilities")]
    sizes = {t.shape[-1] for t in scores if t.shape[-1] is not None}
    if contract.labels is not None and sizes and len(contract.labels) not in sizes:
        raise ExportError(f"{len(contract.labels)} labels for an output of {min(sizes)} classes; give one for each")
