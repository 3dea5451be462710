"""Write the static site of one bundle, a gallery of several, or the pages that a server has."""

import gzip
import hashlib
import html
import json
import os
import re
import shutil
import string
from collections.abc import Collection, Sequence
from pathlib import Path

from export.bundle import layout
from export.protocol import litert_js
from export.serving.web import facts
from export.serving.web.bundle_pages import HERE, BundlePages, LocalPages, ServedPages
from export.serving.web.pages import HEADINGS
from zoobase.errors import ExportError, Unavailable
from zoobase.files import sha256, staging

MARK = "site.json"  # what makes a folder a site that may be replaced
WRITER = "python -m export web"
ASSETS = (
    *("arrays.js", "ui.js", "image_input.js", "golden.js", "certificate.js", "offline.js", "tokenizer.js"),
    *("style.css", "icon.svg"),
)
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
        Unavailable: If LiteRT.js cannot be downloaded.

    Example:
        >>> site = write_site(["bundle"], "site")
        >>> (site / "index.html").is_file()
        True
    """
    target = Path(out).absolute()
    check_target(target)
    bundle_pages = [LocalPages(Path(path), trust) for path in bundles]
    for pages, title in zip(bundle_pages, titles, strict=False):
        pages.title = title
    runtime = fetch_runtime()
    with staging(target.parent, f".{target.name}.staging-") as folder:
        site = folder / "site"
        site.mkdir()
        folders = _folders([s.title for s in bundle_pages]) if len(bundle_pages) > 1 else [""]
        for pages, name in zip(bundle_pages, folders, strict=True):
            pages.write(site / name, ".." if name else ".")
        if len(bundle_pages) > 1:
            _write_gallery(site, bundle_pages, folders)
        write_assets(site / "assets", LocalPages.script)
        (site / "assets" / "litert").mkdir()
        for path in (path for path in runtime.iterdir() if litert_js.WEBGPU not in path.name):
            copy = site / "assets" / "litert" / path.name
            if path.suffix == ".wasm":  # compressed, because a static server need not compress it
                copy.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
            else:
                shutil.copyfile(path, copy)
        write_worker(site)
        record = {"schema": 1, "writer": WRITER, "litert_js": litert_js.versions()}
        layout.write_json(site / MARK, record | {"bundles": [s.folder.resolve().name for s in bundle_pages]})
        check_target(target)
        return layout.publish_or_replace(site, target)


def write_served_pages(bundle: str | os.PathLike[str], folder: Path, name: str, trust: Collection[str] = ()) -> None:
    """Write the pages of a proven bundle for the server that they come from, which serves the model `name`."""
    ServedPages(Path(bundle), name, trust).write(folder, ".")
    write_assets(folder / "assets", ServedPages.script)
    write_worker(folder)


def fetch_runtime() -> Path:
    """Return the folder of LiteRT.js, which is downloaded once; Unavailable if it cannot be downloaded."""
    try:
        return litert_js.fetch()
    except (OSError, ValueError) as error:
        raise Unavailable(f"LiteRT.js is not available: {error}; it is downloaded once, from npm") from error


def check_target(out: Path) -> None:
    """Raise ExportError for a path that exists and is not a site that `write_site` wrote."""
    if os.path.lexists(out) and (out.is_symlink() or not _is_site(out)):
        raise ExportError(f"{out} exists and is not a site of `{WRITER}`, which alone it replaces")


def _is_site(folder: Path) -> bool:
    try:
        return json.loads((folder / MARK).read_text(encoding="utf-8"))["writer"] == WRITER
    except (OSError, ValueError, KeyError, TypeError):
        return False


def write_assets(folder: Path, script: str) -> None:
    """Write scripts and styles; `script` is the file that becomes model.js."""
    folder.mkdir()
    shutil.copyfile(HERE / "static" / script, folder / "model.js")
    for name in ASSETS:
        shutil.copyfile(HERE / "static" / name, folder / name)
    for form in HEADINGS:
        shutil.copyfile(HERE / "forms" / f"{form}.js", folder / f"{form}.js")


def write_worker(site: Path) -> None:
    """Write the script that keeps the files of a site in the browser, under a name by their content."""
    digest = hashlib.sha256()
    for name in layout.files_of(site):
        digest.update(f"{name}\0{sha256(site / name)}\n".encode())
    template = string.Template((HERE / "static" / "sw.js").read_text(encoding="utf-8"))
    (site / "sw.js").write_text(template.substitute(name=f"models {digest.hexdigest()[:16]}"), encoding="utf-8")


def _write_gallery(site: Path, bundle_pages: Sequence[BundlePages], folders: Sequence[str]) -> None:
    entries = []
    for pages, name in zip(bundle_pages, folders, strict=True):
        headings = ", ".join(dict.fromkeys(page.heading for page in pages.pages))
        folder, title = html.escape(name), html.escape(pages.title)
        entries += [
            f'<li class="card"><div class="picture">{pages.picture.replace("{folder}", folder)}</div>',
            f'<div class="words"><h2><a href="{folder}/index.html">{title}</a></h2>',
            f"<p>{html.escape(pages.description or headings)}</p>",
            f"{facts.badges(pages.manifest, pages.verdict, f'{folder}/')}</div></li>",
        ]
    template = string.Template((HERE / "static" / "gallery.html").read_text(encoding="utf-8"))
    (site / "index.html").write_text(template.substitute(entries="\n".join(entries)), encoding="utf-8")


def _folders(titles: Sequence[str]) -> list[str]:
    """Return a folder name for each title: safe in a URL, unique, and not one of the site's own."""
    names: list[str] = []
    for title in titles:
        base = FORBIDDEN.sub("-", title.lower().replace(" ", "_")).strip("-.") or "model"
        candidates = (base if i == 1 else f"{base}-{i}" for i in range(1, len(titles) + 3))
        names.append(next(name for name in candidates if name.lower() not in {"assets", *(n.lower() for n in names)}))
    return names
