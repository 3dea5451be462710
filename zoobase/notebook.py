"""What a notebook shows of an object: a title and a table, as HTML."""

import html
from collections.abc import Iterable, Sequence
from typing import Any


def html_table(title: str, rows: Iterable[Sequence[Any]], columns: Sequence[str] = ()) -> str:
    """Return a table as HTML for `_repr_html_`; names and reasons are data, and are escaped."""
    lines = [_row(columns, "th")] if columns else []
    lines += [_row(["" if cell is None else cell for cell in row], "td") for row in rows]
    return f"<b>{html.escape(title)}</b><table>{''.join(lines)}</table>"


def _row(cells: Iterable[Any], tag: str) -> str:
    return f"<tr>{''.join(f'<{tag}>{html.escape(str(cell))}</{tag}>' for cell in cells)}</tr>"
