"""Figures of pages: every image has an alternative text that says what it shows, and a caption below it."""

import re
from pathlib import PurePath

from zoobase.errors import ZooError

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
