"""Figures of pages: every image has an alternative text that says what it shows, and a caption below it."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import TYPE_CHECKING

from zoobase.errors import ZooError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

IMAGE = re.compile(r"!\[([^\]]*)\]\(([^)\s]+)\)(.{0,8})", re.DOTALL)
TAG = re.compile(r"<img\b[^>]*>")
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
CAPTION = re.compile(
    r"\s*\n\s*\n\*[^*\s]|<br>\*[^*\s]"
)  # a paragraph of its own, or a line in the same cell of a table
WORDS = 4  # of an alternative text, at least


def figure(path: str, shown: str, source: str = "", cell: bool = False) -> str:
    """Return the Markdown of a figure.

    Args:
        path: Path of the image.
        shown: What it shows, with the axes: the alternative text.
        source: Sentences that the caption adds: data, command.
        cell: Whether it is a cell of a table.
    """
    caption = f"*{shown}.{f' {source}' if source else ''}*"
    return f"![{shown}]({path})" + ("<br>" if cell else "\n\n") + caption


def problems(text: str) -> list[str]:
    """Return the figures of a page without an alternative text, or without a caption, each as a sentence."""
    text = CODE.sub("code", text)
    found = [
        f"{tag} has no alternative text"
        for tag in TAG.findall(text)
        if not re.search(r"""\balt=("[^"]+"|'[^']+')""", tag)
    ]
    for shown, path, after in IMAGE.findall(text):
        stem = re.findall(r"[a-z0-9]+", PurePath(path).stem.lower())
        words = re.findall(r"\w+", shown)
        if len(words) < WORDS or re.findall(r"[a-z0-9]+", shown.lower()) == stem:
            found.append(f'the alternative text of {path}, "{shown}", does not say what the image shows')
        if not CAPTION.match(after):
            found.append(f"{path} has no caption: a line in italics below the image")
    return found


def unnamed_axes(figure: Figure) -> list[str]:
    """Return the axes of numbers without a name, such as "y of 'Training loss'"; images and categories need none."""
    found = []
    for axes in (axes for axes in figure.axes if axes.axison and not axes.images):
        for way in "xy":
            axis, joined = getattr(axes, f"{way}axis"), getattr(axes, f"get_shared_{way}_axes")()
            names = [getattr(figure, f"_sup{way}label"), axes, *(a for a in figure.axes if joined.joined(axes, a))]
            named = any(_name(name, way) for name in names if name is not None)
            ticks = [re.sub(r"\\[a-z]+|[${}^ ]", "", label.get_text()) for label in axis.get_ticklabels()]
            if not named and any(re.fullmatch(r"[-\u2212\d.,e]+", text) for text in ticks):
                found.append(f"{way} of {axes.get_title()!r}")
    return found


def _name(named: Axes | Text, way: str) -> str:
    return named.get_text() if hasattr(named, "get_text") else getattr(named, f"get_{way}label")()


def check_axes(figure: Figure, name: str) -> None:
    """Check the names of the axes of a figure.

    Args:
        figure: The figure.
        name: What it is called in the error.

    Raises:
        ZooError: An axis of numbers has no name.
    """
    if found := unnamed_axes(figure):
        raise ZooError(f"the figure {name} has axes without a name: {', '.join(found)}")


def check(pages: dict[str, str]) -> None:
    """Check the figures of pages.

    Args:
        pages: Name -> text.

    Raises:
        ZooError: A figure has no alternative text or no caption.
    """
    found = [f"{name}: {problem}" for name, text in pages.items() for problem in problems(text)]
    if found:
        raise ZooError("; ".join(found))
