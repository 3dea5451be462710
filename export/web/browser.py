"""Open a page of a site in headless Chromium, and read what it shows."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path

from export.errors import MissingError
from export.runners.lib import chromium

SECONDS = 120  # for one page
VIRTUAL = 30_000  # milliseconds of the page's own clock, which stands still while it loads


class Content(HTMLParser):
    """The text and the attributes of a page after its scripts have run.

    Attributes:
        state: "answered", "pass", "fail" or "error", as the scripts of the pages set it, or None.
        first_answer: Milliseconds from opening the page to its first answer, or None.
        texts: {id of an element: its text}.
    """

    def __init__(self, dom: str) -> None:
        super().__init__()
        self.dom = dom
        self.state: str | None = None
        self.first_answer: int | None = None
        self.texts: dict[str, str] = {}
        self._open: list[tuple[str, str | None]] = []
        self.feed(dom)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the state of the page, and which elements are open."""
        values = dict(attrs)
        if tag == "html":
            self.state = values.get("data-state")
            first = values.get("data-first-answer")
            self.first_answer = int(first) if first else None
        if tag not in ("meta", "link", "input", "img", "br"):
            self._open.append((tag, values.get("id")))

    def handle_endtag(self, tag: str) -> None:
        """Close the innermost element of that name."""
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        """Add a text to every open element that has an id."""
        for _, name in self._open:
            if name:
                self.texts[name] = self.texts.get(name, "") + data


def read(url: str) -> Content:
    """Return what a page shows once its scripts are done.

    Raises:
        MissingError: If there is no Chromium.
    """
    return Content(_run(url, ["--dump-dom", f"--virtual-time-budget={VIRTUAL}"]))


def screenshot(url: str, path: str | os.PathLike[str], width: int = 800, height: int = 900) -> None:
    """Write a picture of a page once its scripts are done.

    Raises:
        MissingError: If there is no Chromium.
    """
    target = Path(path).absolute()
    _run(url, [f"--screenshot={target}", f"--window-size={width},{height}", "--hide-scrollbars",
               f"--virtual-time-budget={VIRTUAL}"])  # fmt: skip


def check(site: str | os.PathLike[str]) -> dict[str, Content]:
    """Open the golden page of every model of a site; return {path in the site: content}.

    Raises:
        MissingError: If there is no Chromium.
    """
    folder = Path(site)
    pages = sorted(page.relative_to(folder).as_posix() for page in folder.rglob("golden.html"))
    with chromium.serving(folder) as url:
        return {page: read(f"{url}/{page}") for page in pages}


def _run(url: str, options: list[str]) -> str:
    """Run Chromium on a page to its end, and return its standard output."""
    program = chromium.find()
    if program is None:
        raise MissingError(
            "no Chromium is installed; install it, or give its path in the environment variable CHROMIUM"
        )
    output = b""
    with (
        chromium.running(program, url, options, stdout=subprocess.PIPE) as process,
        contextlib.suppress(subprocess.TimeoutExpired),
    ):
        output, _ = process.communicate(timeout=SECONDS)
    return re.sub(r"\r\n?", "\n", output.decode("utf-8", "replace"))
