"""Code snippets of model cards, from template files in the `templates` folder of a task."""

import string
from pathlib import Path


def template(module_file: str, name: str, **values: object) -> str:
    """Return `templates/NAME.txt` in the folder of a module, with every `$key` replaced by its value."""
    file = Path(module_file).parent / "templates" / f"{name}.txt"
    return string.Template(file.read_text(encoding="utf-8")).substitute(values)
