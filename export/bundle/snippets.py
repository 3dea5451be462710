"""Code of a bundle's pages, from the files in `templates/`."""

import json
import string
from collections.abc import Mapping
from pathlib import Path


def filled(file_name: str, values: Mapping[str, str]) -> str:
    """Return the lines of `templates/FILE_NAME.txt` with `$key` replaced."""
    file = Path(__file__).parent / "templates" / f"{file_name}.txt"
    return string.Template(file.read_text(encoding="utf-8")).substitute(values)


def fenced(language: str, template: str, values: Mapping[str, str]) -> str:
    """Return a template that is filled in as a block of code."""
    return f"```{language}\n{filled(template, values)}```"


def quoted(text: str) -> str:
    """Return a text as a literal of C, Swift, JavaScript and Python."""
    return json.dumps(text, ensure_ascii=False)
