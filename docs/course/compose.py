"""The page of a lesson: its notebook's text, what its experiment measured, and links made from the registry."""

import re
from collections.abc import Iterator
from pathlib import Path

from docs.course import notebook
from docs.course.lessons import LESSONS, Lesson

HERE = Path(__file__).parent
BEGIN, END = "<!-- experiment: written by `python -m docs.course {}`, do not edit -->", "<!-- /experiment -->"
PARTS = ("The idea", "Formulas", "Experiment", "Exercises", "Read next", "Models that use it")


def page(lesson: Lesson, measured: str) -> str:
    """Return the page of a lesson around what was measured."""
    cells = notebook.read(lesson.name)
    start = next(i for i, cell in enumerate(cells) if cell.text.startswith(notebook.EXERCISES))
    parts = [f"# {lesson.title}", _facts(lesson)]
    parts += [_rendered(cell) for cell in cells[:start]]
    parts += ["## Experiment", BEGIN.format(lesson.name), measured.strip(), END]
    parts += [_rendered(cell) for cell in cells[start:]]
    parts += ["## Read next", "\n".join(_next(lesson)), "## Models that use it", "\n".join(_models(lesson))]
    return "\n\n".join(parts) + "\n"


def measured(text: str) -> str:
    """Return the part of a page that its experiment wrote."""
    return re.search(r"<!-- experiment: .*? -->\n(.*)\n<!-- /experiment -->", text, re.DOTALL)[1].strip()


def refresh(folder: Path = HERE) -> None:
    """Write every page anew around what was measured, without measuring it again."""
    for lesson in LESSONS:
        path = folder / f"{lesson.name}.md"
        path.write_text(page(lesson, measured(path.read_text(encoding="utf-8"))), encoding="utf-8")


def _rendered(cell: notebook.Cell) -> str:
    if cell.kind == "markdown":
        return notebook.linked(re.sub(r"\A# .+\n+", "", cell.text))  # the page has its own title
    code = f"```python\n{cell.text}\n```"
    if cell.kind == "starter":
        return f"Begin with this cell; it says whether your answer is right:\n\n{code}"
    if cell.kind == "solution":
        return f'<details markdown="1">\n<summary>Solution</summary>\n\n{code}'
    if cell.kind == "why":
        return f"{cell.text}\n\n</details>"
    return code


def _facts(lesson: Lesson) -> str:
    needs = ", ".join(_link(name) for name in lesson.needs) or "[what you need to know](index.md#before-you-begin)"
    return (
        f"Before this lesson: {needs}. Its notebook, with the exercises: "
        f"[{lesson.name}.py](notebooks/{lesson.name}.py). Words: [glossary](glossary.md)."
    )


def _next(lesson: Lesson) -> Iterator[str]:
    names = [other.name for other in LESSONS]
    position = names.index(lesson.name)
    followers = [other.name for other in LESSONS if lesson.name in other.needs]
    followers += names[position + 1 : position + 2]
    for name in dict.fromkeys(followers):
        other = LESSONS[names.index(name)]
        yield f"- {_link(name)}: {other.topics}."
    for title, address in lesson.reading:
        yield f"- [{title}]({address})"


def _models(lesson: Lesson) -> Iterator[str]:
    import zoo

    for name in lesson.models:
        summary = (getattr(zoo, name).__doc__ or "").strip().split("\n")[0]
        yield f"- [{name}](../models/{name}.md): {summary}"


def _link(name: str) -> str:
    titles = {other.name: other.title for other in LESSONS}
    return f"[{titles[name]}]({name}.md)"
