"""Notebooks of the lessons: Python scripts in the percent format, which hold the idea, the formulas and the exercises.

A cell begins with `# %%`; `# %% [markdown]` is text, `# %% solution` the solution of the exercise above it,
`# %% [markdown] why` the sentences below it that explain it, and `# %% starter` what a student begins with: an answer
to replace, and after the line `# check` assertions that fail with a sentence until it is right; with the names of the
solution they hold. A line `Code: `, followed by names such as
`zoo.modeling.losses.gram_matrix`, says where our code computes a formula.
"""

import ast
import json
import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = Path(__file__).parent / "notebooks"
EXERCISES = "## Exercises"
CHECK = "\n# check\n"
HIDDEN = {"jupyter": {"source_hidden": True}, "cellView": "form"}  # metadata of a solution, in JupyterLab and in Colab


@dataclass(frozen=True)
class Cell:
    """A cell.

    Attributes:
        kind: "markdown", "code", "starter", "solution" or "why".
        text: Its text or code.
    """

    kind: str
    text: str


def read(name: str) -> list[Cell]:
    """Return the cells of the notebook of a lesson."""
    cells = []
    for part in re.split(r"^# %%", (FOLDER / f"{name}.py").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        head, _, body = part.partition("\n")
        kind = head.replace("[markdown] why", "why").strip(" []") or "code"
        if kind in ("markdown", "why"):
            body = re.sub(r"^# ?", "", body, flags=re.MULTILINE)
        cells.append(Cell(kind, body.strip()))
    return cells


def script(name: str) -> str:
    """Return the code of the notebook of a lesson without starter cells: what runs from top to bottom."""
    return "\n\n".join(cell.text for cell in read(name) if cell.kind in ("code", "solution"))


def colab(name: str, repository: str, branch: str = "gh-pages") -> str:
    """Return the address that opens the notebook of a lesson in Colab, from the branch that holds the built site."""
    return f"https://colab.research.google.com/github/{repository}/blob/{branch}/course/notebooks/{name}.ipynb"


def ipynb(name: str, repository: str = "") -> str:
    """Return the notebook of a lesson as a Jupyter notebook.

    Args:
        name: Name of the lesson.
        repository: OWNER/NAME on GitHub, which a cell installs where the notebook is opened in Colab.
    """
    cells, parts = [], read(name)
    if repository:
        clone = f"!git clone --quiet --depth 1 https://github.com/{repository} checkout"
        parts.insert(1, Cell("code", f"{clone}\n%cd checkout\n%pip install --quiet ."))
    for i, cell in enumerate(parts):
        metadata = HIDDEN if cell.kind in ("solution", "why") else {}
        common = {"id": f"cell-{i}", "metadata": metadata, "source": cell.text.splitlines(keepends=True)}
        if cell.kind in ("markdown", "why"):
            cells.append({"cell_type": "markdown", **common})
        else:
            cells.append({"cell_type": "code", **common, "execution_count": None, "outputs": []})
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    return json.dumps({"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}, indent=1) + "\n"


def location(name: str) -> tuple[Path, int]:
    """Return the file, relative to the root, and the line where a name such as `zoo.models.gan.gan` is defined.

    Raises:
        LookupError: It is not defined where its name says.
    """
    parts = name.split(".")
    for i in range(len(parts) - 1, 0, -1):
        base = ROOT.joinpath(*parts[:i])
        path = base.with_suffix(".py") if base.with_suffix(".py").is_file() else base / "__init__.py"
        if path.is_file():
            return path.relative_to(ROOT), definition(path, parts[i:]).lineno
    raise LookupError(f"no module of ours has {name}")


def definition(path: Path, names: list[str]) -> ast.stmt:
    """Return the statement that defines a name, or a name in a class, in a file.

    Raises:
        LookupError: There is none.
    """
    body, found = ast.parse(path.read_text(encoding="utf-8")).body, None
    for name in names:
        found = next((node for node in body if name in _defined(node)), None)
        if found is None:
            raise LookupError(f"{path} does not define {'.'.join(names)}")
        body = getattr(found, "body", [])
    return found


def source(path: Path, line: int) -> str:
    """Return the source of the innermost definition that begins at a line of a file."""
    text = path.read_text(encoding="utf-8")
    nodes = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.stmt) and n.lineno == line]
    start = min([d.lineno for d in getattr(nodes[0], "decorator_list", [])], default=line)
    return textwrap.dedent("\n".join(text.splitlines()[start - 1 : nodes[0].end_lineno]))


def _defined(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


def linked(text: str, up: str = "../../") -> str:
    """Return a text in which the names of its lines `Code: ` are links to the lines that define them."""

    def link(match: re.Match[str]) -> str:
        path, line = location(match[1])
        return f"[`{match[1]}`]({up}{path}#L{line})"

    lines, inside = [], False
    for line in text.splitlines():
        inside = line.startswith("Code:") or (inside and bool(line.strip()))
        lines.append(re.sub(r"`([\w.]+)`", link, line) if inside else line)
    return "\n".join(lines)
