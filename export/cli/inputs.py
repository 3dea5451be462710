"""Read and write files of the command line: samples, labels, contracts."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from export.bundle.layout import check_contract_data
from export.contract import Contract
from export.contract.endpoints import structure_of, tensor_endpoint
from export.formats import with_formats
from export.protocol.arrays import check_archive
from zoobase import suggestion
from zoobase.errors import ExportError
from zoobase.files import check_present


def read_samples(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of an .npz file by name; ExportError if it contains anything but plain arrays."""
    check_present(path)
    try:
        check_archive(path)
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except Exception as error:  # a damaged file may raise anything
        raise ExportError(f"{path} is not an .npz file of plain arrays ({error})") from error


def read_labels(path: Path) -> tuple[str, ...]:
    """Return the lines of a text file in UTF-8."""
    check_present(path)
    try:
        return tuple(path.read_text(encoding="utf-8").splitlines())
    except UnicodeDecodeError as error:
        raise ExportError(f"{path} is not UTF-8 text; give one class name on each line") from error


def write_contract(path: Path, contract: Contract) -> None:
    """Write a contract as JSON, for people to edit and for `read_contract`."""
    try:
        path.write_text(
            json.dumps(with_formats(contract).to_json(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
        )
    except OSError as error:
        raise ExportError(f"cannot write {path}: {error.strerror}") from error


def read_contract(path: Path, model: Any) -> Contract:
    """Return the contract that `write_contract` wrote, perhaps edited; its endpoint is the call of a model."""
    check_present(path)
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ExportError(f"{path} is not a JSON file ({error}); python -m export inspect writes one") from error
    check_contract_data(path, data)
    try:
        contract = Contract.from_json(data)
    except ValueError as error:
        raise ExportError(f"{path}: {error}") from error
    if len(contract.endpoints) != 1:
        raise ExportError(f"{path} has {len(contract.endpoints)} endpoints; a file of a model has one, its own call")
    (endpoint,) = contract.endpoints
    names = [t.name for t in endpoint.inputs]
    declared = getattr(model, "inputs", None)
    if declared and len(declared) != len(names):
        raise ExportError(f"{path} has inputs {', '.join(names)}, and model {model.name} takes {len(declared)}")
    structure = structure_of(model, names)
    keys = getattr(model, "_inputs_struct", None)
    if structure == "dict" and keys and (unknown := sorted(set(names) - set(keys))):
        raise ExportError(
            f"{path}: model {model.name} takes no input {unknown[0]!r}; {suggestion(unknown[0], list(keys))}"
        )
    own_call = tensor_endpoint(
        *(model, endpoint.inputs, endpoint.outputs, endpoint.name, endpoint.batch, endpoint.formats, structure)
    )
    return Contract((own_call,), contract.labels)
