"""The pages of one proven bundle."""

from __future__ import annotations

import hashlib
import html
import json
import string
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from commandline import finite
from export.bundle.binding import read_proven
from export.bundle.hub_header import without_header
from export.contract import Contract
from export.errors import ExportError
from export.parity.golden import read_golden
from export.runners import run_litert
from export.runners.lib import litert_js
from export.runtime.backend import quiet_stderr
from export.web import fixed_size
from export.web.golden import golden_of
from export.web.pages import Page, pages_of

HERE = Path(__file__).parent
MODEL = "tflite/float32.tflite"


class Subject:
    """A proven bundle whose pages are written.

    Attributes:
        folder: The bundle.
        title: The title of its pages.
        pages: Its pages; the first one is index.html.
    """

    def __init__(self, folder: Path, size: int, trust: Collection[str]) -> None:
        """Read a bundle.

        Args:
            folder: The bundle.
            size: Height and width of images where the model takes any.
            trust: Operators that may run although they are not on the list of inference operators.

        Raises:
            ExportError: If it is not a bundle, or has no TFLite file that a browser runs.
            CheckFailed: If it is damaged, or its proof did not pass.
        """
        self.folder = folder
        manifest = read_proven(folder, "gets a page")
        artifact = next((a for a in manifest["artifacts"] if a["path"] == MODEL and a["state"] is None), None)
        if artifact is None:
            raise ExportError(f"{folder} holds no {MODEL}, which a browser runs; export it with the format tflite")
        self.contract = served = Contract.from_json(manifest["contract"])
        self.title, self._content = _title(folder), (folder / MODEL).read_bytes()
        carried = [served[name] for name in artifact["endpoints"]]
        if free := [endpoint for endpoint in carried if fixed_size.is_free(endpoint)]:
            self._content, served = fixed_size.fixed(folder, manifest, free, size, trust)
            carried = list(served.endpoints)
        assets = {name: _read_asset(folder / f"{name}.json") for name in ("vocabulary", "tokenizer")}
        self.pages = pages_of(served, [endpoint.name for endpoint in carried], assets)
        if not self.pages:
            obstacles = filter(None, (litert_js.obstacle(endpoint.to_json()) for endpoint in carried))
            raise ExportError(f"no browser runs {MODEL} of {folder}: {next(obstacles, 'it has no endpoint')}")

    def write(self, site: Path, root: str) -> None:
        """Write the pages to a folder.

        Args:
            site: The folder.
            root: The way from there to the folder of the assets.
        """
        site.mkdir(exist_ok=True)
        model = site / "model.tflite"
        model.write_bytes(self._content)
        cases = read_golden(self.folder / "golden", self.contract)
        with quiet_stderr():  # LiteRT logs its delegates
            endpoints = [page.endpoint.to_json() for page in self.pages]
            functions = run_litert.open_artifact({"path": model, "endpoints": endpoints}, {})
            golden = {p.endpoint.name: golden_of(p, cases, functions[p.endpoint.name]["main"]) for p in self.pages}
        (site / "golden.json").write_text(json.dumps(golden), encoding="utf-8")
        for page in self.pages:
            form = (HERE / "forms" / f"{page.form}.html").read_text(encoding="utf-8")
            data = {"heading": page.heading, "endpoint": page.endpoint.to_json(), "options": page.options}
            (site / page.file).write_text(self._page(root, page.form, form, data), encoding="utf-8")
        form = (HERE / "static" / "golden.html").read_text(encoding="utf-8")
        data = {"heading": "Check this browser", "options": {p.endpoint.name: p.options for p in self.pages}}
        (site / "golden.html").write_text(self._page(root, "golden", form, data), encoding="utf-8")

    def _page(self, root: str, script: str, form: str, data: Mapping[str, Any]) -> str:
        digest = hashlib.sha256(self._content).hexdigest()
        common = {
            "labels": self.contract.labels,
            "model": {"url": "model.tflite", "bytes": len(self._content), "sha256": digest},
            "pages": [_link(page) for page in self.pages],
        }
        template = string.Template((HERE / "static" / "page.html").read_text(encoding="utf-8"))
        values = {"title": html.escape(self.title), "root": root, "script": script, "form": form}
        return template.substitute(values, data=embedded({**common, **data}))


def _link(page: Page) -> dict[str, str]:
    return {"file": page.file, "heading": page.heading}


def embedded(data: Any) -> str:
    r"""Return JSON that may stand in a <script> element: no text in it can end the element.

    Example:
        >>> embedded(["</script>"])
        '["\\u003c/script>"]'
    """
    return json.dumps(finite(data), allow_nan=False).replace("<", "\\u003c")


def _title(folder: Path) -> str:
    """Return the title of the bundle's card, else the name of its folder."""
    card = folder / "README.md"
    text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
    first = without_header(text).partition("\n")[0]
    return html.unescape(first.removeprefix("# ").strip()) if first.startswith("# ") else folder.resolve().name


def _read_asset(path: Path) -> Any:
    """Return the content of a JSON file of the bundle, or None."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
