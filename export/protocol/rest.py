"""TF Serving's REST rules: conversion of tensors to JSON and back.

Source: https://www.tensorflow.org/tfx/serving/api_rest, and json_tensor.cc of TF Serving.
- Row format: {"instances": [...]}, one entry a row; with one input the entry is its value, with several a dict by name.
  It needs every input to have the same first dimension. Column format: {"inputs": value or dict by name}.
- The response has the format of the request: {"predictions": [...]} or {"outputs": ...}.
- Bytes are {"b64": "..."}. A string output uses it where its name ends in "_bytes"; else it must be UTF-8.
- NaN, Infinity and -Infinity are written as such, which strict JSON readers reject.
"""

import base64
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

Arrays = Mapping[str, np.ndarray]
Shape = tuple[int | None, ...]
FORMS = ("row", "column")
KINDS = {"f": "fiu", "i": "iu", "u": "iu", "b": "b"}  # kinds of arrays of JSON values that a dtype takes
FOLDER = "rest"  # folder of request bodies in the golden folder: ENDPOINT.row.json, ENDPOINT.column.json


class NotJson(ValueError):
    """A value or message that the REST interface cannot represent."""


def replies(
    golden: Path, endpoint: Mapping[str, Any], function: Callable[[dict[str, np.ndarray]], Arrays]
) -> dict[str, dict[str, str]]:
    """Answer an endpoint's golden requests, in the golden folder, as TF Serving would."""
    # By format {"body": response}, {"error": why it is rejected} or {"impossible": why JSON cannot represent it}.
    results: dict[str, dict[str, str]] = {}
    dtypes = {t["name"]: t["dtype"] for t in endpoint["inputs"]}
    for form in FORMS:
        path = golden / FOLDER / f"{endpoint['name']}.{form}.json"
        if not path.is_file():
            continue
        try:
            outputs = function(decode_request(path.read_text(), dtypes))
        except Exception as error:  # any error of a runtime is its response
            results[form] = {"error": f"{type(error).__name__}: {' '.join(str(error).split())}"[:400]}
            continue
        try:
            results[form] = {"body": encode_response(outputs, row=form == "row")}
        except NotJson as error:
            results[form] = {"impossible": str(error)}
    return results


def encode_request(inputs: Arrays, signature_name: str, row: bool | None = None, plain: bool = False) -> str:
    """Return the body of a predict request, in row format where possible if `row` is None."""
    # `plain` writes strings that are UTF-8 as they are; else all are base64.
    sizes = {value.shape[:1] for value in inputs.values()}
    possible = len(sizes) == 1 and () not in sizes
    if row and not possible:
        raise NotJson("inputs do not share their first dimension, so that no rows can be sent; use the column format")
    values = {name: _encode(value, lambda item: _input(item, plain)) for name, value in inputs.items()}
    head = {"signature_name": signature_name}
    if row is False or not possible:
        return json.dumps(head | {"inputs": _single(values)})
    return json.dumps(head | {"instances": _rows(values)})


def decode_request(
    body: str | Mapping[str, Any], dtypes: Mapping[str, str], shapes: Mapping[str, Shape] | None = None
) -> dict[str, np.ndarray]:
    """Return the inputs in the body of a predict request, also a parsed one, given their dtypes by name."""
    # With the shapes of inputs, None for a size that may vary, they are compared before any array is made.
    data = json.loads(body) if isinstance(body, str) else body
    if ("instances" in data) == ("inputs" in data):
        raise NotJson("a request holds either instances or inputs")
    return _decode(data, "instances", "inputs", dtypes, shapes or {})


def encode_response(outputs: Arrays, row: bool | None = None) -> str:
    """Return the body of a predict response; strings that are not UTF-8 need a name that ends in "_bytes"."""
    return json.dumps(response_of(outputs, row))


def response_of(outputs: Arrays, row: bool | None = None) -> dict[str, Any]:
    """Return the body of a predict response before it is written as JSON; as `encode_response`."""
    values = {n: _encode(v, lambda item, n=n: _output(item, n)) for n, v in outputs.items()}
    sizes = {value.shape[:1] for value in outputs.values()}
    if row is False or len(sizes) != 1 or () in sizes:
        return {"outputs": _single(values)}
    return {"predictions": _rows(values)}


def decode_response(body: str, dtypes: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return the outputs in a predict response, given their dtypes by name."""
    data = json.loads(body)
    if "error" in data:
        raise NotJson(f"the server returned: {data['error']}")
    return _decode(data, "predictions", "outputs", dtypes, {})


def _rows(values: Mapping[str, list[Any]]) -> list[Any]:
    if len(values) == 1:
        return next(iter(values.values()))
    return [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]


def _single(values: Mapping[str, Any]) -> Any:
    return next(iter(values.values())) if len(values) == 1 else dict(values)


def _decode(
    data: Mapping[str, Any], rows: str, columns: str, dtypes: Mapping[str, Any], shapes: Mapping[str, Shape]
) -> dict[str, np.ndarray]:
    if rows in data:
        if not isinstance(data[rows], list):
            raise NotJson(f"{rows} is not a list")
        named = bool(data[rows]) and isinstance(data[rows][0], dict) and set(data[rows][0]) != {"b64"}
        if named:
            values = {name: [row[name] for row in data[rows]] for name in data[rows][0]}
        else:
            values = {next(iter(dtypes)): data[rows]}
    else:
        value = data[columns]
        named = isinstance(value, dict) and set(value) != {"b64"}
        values = value if named else {next(iter(dtypes)): value}
    if set(values) != set(dtypes):
        raise NotJson(f"{', '.join(sorted(values))} given where {', '.join(sorted(dtypes))} was expected")
    for name, expected in shapes.items():
        shape = _shape(values[name])
        if len(shape) != len(expected) or any(n not in (None, m) for n, m in zip(expected, shape, strict=True)):
            raise NotJson(f"{name} has shape {shape}, not {expected}")
    return {name: _array(values[name], dtypes[name]) for name in dtypes}


def _encode(value: np.ndarray, string: Callable[[Any], Any]) -> Any:
    value = np.asarray(value)
    if value.dtype.kind in "OSU":
        return _map(value.tolist(), lambda item: string(item.encode() if isinstance(item, str) else item))
    if value.dtype.kind == "f":
        with np.errstate(invalid="ignore"):  # a signalling NaN
            return value.astype(np.float64).tolist()  # the shortest repr of a double restores any float exactly
    return value.tolist()


def _input(item: bytes, plain: bool) -> Any:
    try:
        return item.decode() if plain else _base64(item)
    except UnicodeDecodeError:
        return _base64(item)


def _base64(item: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(item).decode()}


def _output(item: bytes, name: str) -> Any:
    if name.endswith("_bytes"):
        return _base64(item)
    try:
        return item.decode()
    except UnicodeDecodeError as error:
        raise NotJson(
            f"output {name} holds bytes that are not UTF-8; name it {name}_bytes and TF Serving sends them as base64"
        ) from error


def _map(value: Any, function: Any) -> Any:
    return [_map(item, function) for item in value] if isinstance(value, list) else function(value)


def _array(value: Any, dtype: Any) -> np.ndarray:
    if dtype == "string" or np.dtype(dtype).kind in "OSU":
        flat: list[bytes] = []
        _map(value, lambda v: flat.append(base64.b64decode(v["b64"]) if isinstance(v, dict) else v.encode()))
        array = np.empty(len(flat), object)
        array[:] = flat
        return array.reshape(_shape(value))
    expected = np.dtype(dtype)
    try:
        kind = np.array(value).dtype.kind
        if kind not in KINDS[expected.kind] and np.size(value):
            _map(value, lambda item: _check(item, expected))
        return np.array(value, expected)
    except (ValueError, TypeError, OverflowError) as error:
        raise NotJson(f"values are not {dtype} of one shape ({error})") from error


def _check(item: Any, dtype: np.dtype[Any]) -> None:
    """Raise TypeError for a value that TF Serving does not take for a dtype: for an integer 1.5, "1" or null."""
    kinds = {"f": (int, float), "b": (bool,)}.get(dtype.kind, (int,))
    if not isinstance(item, kinds) or (isinstance(item, bool) and dtype.kind != "b"):
        raise TypeError(f"JSON Value: {json.dumps(item)} is not of expected type: {dtype}")


def _shape(value: Any) -> Shape:
    """Return the shape of nested lists by the first entry of each."""
    shape: list[int] = []
    while isinstance(value, list):
        shape.append(len(value))
        value = value[0] if value else None
    return tuple(shape)
