"""One file per format, each with its record, `FORMAT`; they are collected here, and nothing else lists them."""

import contextlib
import shutil
from dataclasses import replace
from pathlib import Path

from export.contract import Contract
from export.contract.quantization import QuantizedForm
from export.formats import hdf5, keras, onnx, saved_model, tflite, weights
from export.formats.format import Format
from zoobase import suggestion
from zoobase.errors import ExportError

_FILES = (keras, hdf5, weights, saved_model, tflite, onnx)
FORMATS: dict[str, Format] = {file.FORMAT.name: file.FORMAT for file in _FILES}
QUANTIZATIONS: dict[str, QuantizedForm] = {q.name: q for format in FORMATS.values() for q in format.quantizations}
DEFAULT_FORMATS = tuple(format.name for format in FORMATS.values() if format.is_default)


def format_of(quantize: str) -> Format:
    """Return the format of a quantised form, such as "int8"."""
    return next(format for format in FORMATS.values() if QUANTIZATIONS[quantize] in format.quantizations)


def remove_scratch(folder: Path) -> None:
    """Remove what conversions left in a staging folder, and the folders of formats in which nothing was written."""
    for converted in (tflite, onnx):
        shutil.rmtree(folder / converted.SCRATCH, ignore_errors=True)
        with contextlib.suppress(OSError):  # it is not there, or holds files
            (folder / converted.FORMAT.name).rmdir()


def with_formats(contract: Contract) -> Contract:
    """Return a contract in which every endpoint names the formats that carry it."""
    # An endpoint that names none is carried by every format that can represent it: one with the model's classes has
    # its own call only, the first endpoint, and one without strings the endpoints without strings.
    carried, endpoints = {format.name: format.carries(contract) for format in FORMATS.values()}, []
    for endpoint in contract.endpoints:
        able = tuple(name for name, of_format in carried.items() if endpoint in of_format)
        endpoints.append(replace(endpoint, formats=able) if endpoint.formats is None else endpoint)
        for name in endpoints[-1].formats:
            if name not in FORMATS:
                raise ExportError(f"endpoint {endpoint.name}: unknown format {name!r}; {suggestion(name, FORMATS)}")
    return replace(contract, endpoints=tuple(endpoints))
