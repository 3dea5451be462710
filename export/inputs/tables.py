"""Which preprocessing the columns of a row had: numbers, decimal signs, missing values, categories, order."""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from export.contract import Tensor
from zoobase.errors import ExportError

MISSING = ("", "na", "n/a", "nan", "null", "none", "?")
CLOSE = 1e-5  # relative: float32 of a client


def read_row(path: Path) -> dict[str, str]:
    """Return the first row of a CSV file by column; ExportError if it has none."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        dialect = csv.Sniffer().sniff(text[:4096], delimiters=",;\t|")
        row = next(csv.DictReader(text.splitlines(), dialect=dialect), None)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ExportError(f"{path} is not a CSV file ({error})") from error
    if row is None:
        raise ExportError(f"{path} has no row below its header")
    return {name: value or "" for name, value in row.items() if name}


def read_request(path: Path) -> dict[str, Any]:
    """Return the values by input of the first row of a predict request of TF Serving, or of a plain JSON object."""
    try:
        data = json.loads(path.read_bytes())
        row = data["instances"][0] if "instances" in data else data.get("inputs", data)
        if not isinstance(row, dict):
            raise ValueError("it has no object of columns")
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise ExportError(f"{path} is not the .json of a request with named columns ({error})") from error
    return {name: value[0] if isinstance(value, list) and value else value for name, value in row.items()}


def explain(inputs: Sequence[Tensor], cells: Mapping[str, str], fed: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Return (what was fed and why, what the contract states) of each column that differs.

    Example:
        >>> price = Tensor("price", "float32", (None,), low=0, high=9, missing="NaN")
        >>> explain([price], {"price": "1,5"}, {"price": 15.0})
        {'price': ('15.0, the decimal sign left out', '1.5')}
    """
    found = {}
    for tensor in inputs:
        if tensor.name not in fed:
            found[tensor.name] = "left out", _stated(tensor, cells.get(tensor.name, ""))
        elif problem := _difference(tensor, fed[tensor.name], cells):
            found[tensor.name] = f"{fed[tensor.name]}{problem}", _stated(tensor, cells.get(tensor.name, ""))
    unknown = [name for name in fed if name not in {tensor.name for tensor in inputs}]
    return found | {name: (f"{fed[name]}, a column that the model does not have", "nothing") for name in unknown}


def number(cell: str) -> float:
    """Return a cell as a number, NaN if it is missing or no number; a single comma is a decimal sign."""
    text = cell.strip()
    if text.lower() in MISSING:
        return math.nan
    text = text.replace(",", ".") if text.count(",") == 1 and "." not in text else text.replace(",", "")
    try:
        return float(text)
    except ValueError:
        return math.nan


def _stated(tensor: Tensor, cell: str) -> str:
    return cell if tensor.dtype == "string" else f"{number(cell):g}"


def _is(value: Any, other: float) -> bool:
    if value is None or isinstance(value, str):
        return math.isnan(other) and (value is None or value.lower() in MISSING)
    return (math.isnan(value) and math.isnan(other)) or math.isclose(value, other, rel_tol=CLOSE, abs_tol=1e-12)


def _difference(tensor: Tensor, value: Any, cells: Mapping[str, str]) -> str | None:
    """Return why a value differs from the cell of its column, as a clause, or None."""
    cell = cells.get(tensor.name, "")
    if tensor.dtype == "string":
        if value == cell:
            return None
        if isinstance(value, str) and value.strip().lower() == cell.strip().lower():
            return ", other letters or spaces"
        if not isinstance(value, str):
            return ", a number in place of a category"
    elif _is(value, right := number(cell)):
        return None
    elif isinstance(value, str):
        return ", a string in place of a number"
    elif math.isnan(right):
        return ", in place of a missing value"
    elif isinstance(value, int | float) and right and any(_is(value, right * f) for f in (0.01, 100, 1000, 0.001)):
        return ", another unit" if "," not in cell and "." not in cell else ", the decimal sign read wrong"
    elif _is(value, number(cell.replace(",", "").replace(".", ""))):
        return ", the decimal sign left out"
    elif _is(value, -right):
        return ", the opposite sign"
    others = [
        name for name, text in cells.items() if name != tensor.name and text and (text == value or _same(text, value))
    ]
    return f", the value of column {others[0]}" if others else ", no value of this row"


def _same(cell: str, value: Any) -> bool:
    return isinstance(value, int | float) and not math.isnan(number(cell)) and _is(value, number(cell))
