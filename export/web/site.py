"""Write the static site of one bundle, or a gallery of several, staged and renamed to its place."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import string
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from commandline import finite
from export.bundle import layout
from export.bundle.loader import load
from export.contract import Contract
from export.errors import CheckFailed, ExportError, MissingError
from export.parity.golden import read_golden
from export.proof.certificate import PASS, RESERVED
from export.runners.lib import litert_js
from export.web.golden import golden_of
from export.web.pages import HEADINGS, Page, pages_of

HERE = Path(__file__).parent
MARK = "site.json"  # what makes a folder a site that may be replaced
SCRIPTS = ("model.js", "ui.js", "picture.js", "golden.js", "tokenizer.js", "style.css", "icon.svg")
MODEL = "tflite/float32.tflite"
FORBIDDEN = re.compile(r"[^A-Za-z0-9._-]+")  # in the name of a page's folder


def write_site(
    bundles: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    titles: Sequence[str] = (),
    trust: Collection[str] = (),
) -> Path:
    """Write a static site that runs the TFLite files of proven bundles in the browser.

    Args:
        bundles: Bundles whose proof passed. With several the site is a gallery, with a folder for each.
        out: The folder of the site; one that this function wrote is replaced.
        titles: The title of each bundle; by default that of its card.
        trust: Operators that may run although they are not on the list of inference operators.

    Returns:
        The path of the site.

    Raises:
        ExportError: If `out` exists and is not a site, or a bundle has no TFLite file that a browser runs.
        CheckFailed: If a bundle is damaged or its proof did not pass.
        MissingError: If LiteRT.js cannot be downloaded.

    Example:
        >>> site = write_site(["bundle"], "site")
        >>> (site / "index.html").is_file()
        True
    """
    target = Path(out).absolute()
    check_target(target)
    subjects = [_Subject(Path(path), trust) for path in bundles]
    for subject, title in zip(subjects, titles, strict=False):
        subject.title = title
    try:
        runtime = litert_js.fetch()
    except (OSError, ValueError) as error:
        raise MissingError(f"LiteRT.js is not available: {error}; it is downloaded once, from npm") from error
    with layout.staging(target.parent, f".{target.name}.staging-") as folder:
        site = folder / "site"
        site.mkdir()
        folders = _folders([s.title for s in subjects]) if len(subjects) > 1 else [""]
        for subject, name in zip(subjects, folders, strict=True):
            subject.write(site / name, ".." if name else ".")
        if len(subjects) > 1:
            _write_gallery(site, subjects, folders)
        _copy_assets(site / "assets", runtime)
        record = {"schema": 1, "writer": "python -m export web", "litert_js": litert_js.versions()}
        layout.write_json(site / MARK, record | {"bundles": [s.folder.resolve().name for s in subjects]})
        check_target(target)
        return layout.replace(site, target) if os.path.lexists(target) else layout.publish(site, target)


def check_target(out: Path) -> None:
    """Raise ExportError for a path that exists and is not a site that `write_site` wrote."""
    if os.path.lexists(out) and (out.is_symlink() or not _is_site(out)):
        raise ExportError(f"{out} exists and is not a site of `python -m export web`, which alone it replaces")


def _is_site(folder: Path) -> bool:
    try:
        return json.loads((folder / MARK).read_text(encoding="utf-8"))["writer"] == "python -m export web"
    except (OSError, ValueError, KeyError, TypeError):
        return False


class _Subject:
    """A proven bundle whose pages are written."""

    def __init__(self, folder: Path, trust: Collection[str]) -> None:
        self.folder, self.trust = folder, trust
        if not folder.is_dir():
            raise ExportError(f"{folder} is not a bundle: there is no such folder")
        manifest = layout.read_manifest(folder)
        if damage := layout.find_damage(folder):
            raise CheckFailed(f"{folder} is damaged ({damage[0]}); export it again")
        verdict = layout.read_verdict(folder)
        if verdict not in (PASS, RESERVED):
            raise CheckFailed(f"the verdict of {folder} is {verdict}; only a bundle that passed gets a page")
        artifact = next((a for a in manifest["artifacts"] if a["path"] == MODEL and a["state"] is None), None)
        if artifact is None:
            raise ExportError(
                f"{folder} holds no {MODEL}, which is what a browser runs; export it with the format tflite"
            )
        self.contract = Contract.from_json(manifest["contract"])
        self.file = manifest["files"][MODEL]
        self.title = _title(folder)
        assets = {name: _read_asset(folder / f"{name}.json") for name in ("vocabulary", "tokenizer")}
        self.pages = pages_of(self.contract, artifact["endpoints"], assets)
        if not self.pages:
            obstacles = [litert_js.obstacle(self.contract[name].to_json()) for name in artifact["endpoints"]]
            raise ExportError(f"no browser runs {MODEL} of {folder}: {next(filter(None, obstacles), 'no endpoint')}")

    def write(self, site: Path, root: str) -> None:
        """Write the pages of the bundle to a folder; `root` is the way from there to the assets."""
        site.mkdir(exist_ok=True)
        shutil.copyfile(self.folder / MODEL, site / "model.tflite")
        cases, loaded = (
            read_golden(self.folder / "golden", self.contract),
            load(self.folder, "tflite", trust=self.trust),
        )
        golden = {p.endpoint.name: golden_of(p, cases, loaded[p.endpoint.name]) for p in self.pages}
        (site / "golden.json").write_text(json.dumps(golden), encoding="utf-8")
        for page in self.pages:
            text = _page(
                self.title, root, page.form, (HERE / "forms" / f"{page.form}.html").read_text(), self._data(page)
            )
            (site / page.file).write_text(text, encoding="utf-8")
        check = {page.endpoint.name: dict(page.options) for page in self.pages}
        text = _page(self.title, root, "golden", (HERE / "static" / "golden.html").read_text(), self._data(None, check))
        (site / "golden.html").write_text(text, encoding="utf-8")

    def _data(self, page: Page | None, options: Mapping[str, Any] | None = None) -> dict[str, Any]:
        data = {
            "title": self.title,
            "heading": page.heading if page else "Check this browser",
            "endpoint": page.endpoint.to_json() if page else None,
            "options": page.options if page else options,
            "labels": self.contract.labels,
            "model": {"url": "model.tflite", "bytes": self.file["bytes"], "sha256": self.file["sha256"]},
            "pages": [{"file": p.file, "heading": p.heading, "endpoint": p.endpoint.name} for p in self.pages],
        }
        return data


def _copy_assets(folder: Path, runtime: Path) -> None:
    shutil.copytree(runtime, folder / "litert")
    for name in SCRIPTS:
        shutil.copyfile(HERE / "static" / name, folder / name)
    for form in HEADINGS:
        shutil.copyfile(HERE / "forms" / f"{form}.js", folder / f"{form}.js")


def _page(title: str, root: str, script: str, form: str, data: Mapping[str, Any]) -> str:
    template = string.Template((HERE / "static" / "page.html").read_text(encoding="utf-8"))
    values = {"title": html.escape(title), "root": root, "script": script, "form": form, "data": embedded(data)}
    return template.substitute(values)


def embedded(data: Any) -> str:
    r"""Return JSON that may stand in a <script> element: no text in it can end the element.

    Example:
        >>> embedded(["</script>"])
        '["\\u003c/script>"]'
    """
    return json.dumps(finite(data), allow_nan=False).replace("<", "\\u003c")


def _write_gallery(site: Path, subjects: Sequence[_Subject], folders: Sequence[str]) -> None:
    items = [
        {"title": s.title, "url": f"{name}/index.html", "headings": list(dict.fromkeys(p.heading for p in s.pages))}
        for s, name in zip(subjects, folders, strict=True)
    ]
    entries = "\n".join(
        f'<li><a href="{html.escape(item["url"])}">{html.escape(item["title"])}</a> '
        f"{html.escape(', '.join(item['headings']))}</li>"
        for item in items
    )
    template = string.Template((HERE / "static" / "gallery.html").read_text(encoding="utf-8"))
    (site / "index.html").write_text(template.substitute(entries=entries), encoding="utf-8")


def _folders(titles: Sequence[str]) -> list[str]:
    """Return a folder name for each title: safe in a URL, unique, and not one of the site's own."""
    names: list[str] = []
    for title in titles:
        base = FORBIDDEN.sub("-", title).strip("-.") or "model"
        candidates = (base if i == 1 else f"{base}-{i}" for i in range(1, len(titles) + 3))
        names.append(next(name for name in candidates if name.lower() not in {"assets", *(n.lower() for n in names)}))
    return names


def _title(folder: Path) -> str:
    """Return the title of the bundle's card, else the name of its folder."""
    card = folder / "README.md"
    first = card.read_text(encoding="utf-8", errors="replace").partition("\n")[0] if card.is_file() else ""
    return first.removeprefix("# ").strip() if first.startswith("# ") else folder.resolve().name


def _read_asset(path: Path) -> Any:
    """Return the content of a JSON file of the bundle, or None."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
