"""A bundle is closed: it holds the files that its manifest, contract and certificate give, and no others.

Whoever reads a folder reads what lies in it, whatever a manifest says: a server the highest version, the Hub
`handler.py`, Python `sitecustomize.py`, a person the README. So each file has a role, and its content the one that the
role gives, where another file says what that is.
"""

import contextlib
import json
import re
import unicodedata
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from export.bundle import layout
from export.bundle.card import DOCUMENTS, FIGURES, documents_of
from export.bundle.tf_serving import WARMUP
from export.contract import Contract, statistics
from export.formats import FORMATS, saved_model
from export.formats.graph_reader import asset_files
from export.formats.screening import check_zip
from export.parity.cases import GoldenCase
from export.parity.rest_requests import requests_of
from export.proof.certificate import Certificate
from export.proof.image_diff import PREFIX
from export.proof.layer_diff import FILE as LAYERS
from export.protocol import rest, weight_sums
from export.protocol.calls import one_line
from zoobase.errors import ExportError

GOLDEN = "golden"
OF_SAVED_MODEL = ("saved_model.pb", "fingerprint.pb", "variables/variables.index", WARMUP, statistics.FILE)
SHARD = re.compile(r"variables/variables\.data-\d{5}-of-\d{5}")
PNG, END_OF_PNG = b"\x89PNG\r\n\x1a\n", b"\0\0\0\0IEND\xaeB`\x82"
_OLDER = ("README.md", "DEVICES.md", "labels.txt", "models.config")  # documents of other releases
Cases = Mapping[str, Sequence[GoldenCase]]


def problems(folder: Path, manifest: Mapping[str, Any], certificate: Mapping[str, Any], cases: Cases) -> Iterator[str]:
    """Yield a clause for each file that does not belong to a bundle, and each text that is not what others give."""
    names, contract = list(layout.files_of(folder)), Contract.from_json(manifest["contract"])
    texts = {}
    if unread(manifest) is None:
        texts = documents_of(folder, manifest, Certificate.from_json(dict(certificate)))
        texts |= {f"{GOLDEN}/{name}": body for name, body in requests_of(contract, cases).items()}
    requests = [f"{GOLDEN}/rest/{e.name}.{form}.json" for e in contract.endpoints for form in rest.FORMS]
    known = {*_names(folder, manifest, contract), *(texts or (*_OLDER, *requests))}
    yield from _twins(names)
    for name in names:
        if (folder / name).stat().st_mode & 0o111:
            yield f"{name} is executable, and no file of a bundle is"
        elif name not in known:
            yield f"{name} is no file of this bundle: neither its manifest nor its contract gives it a role"
        elif problem := _content(folder / name):
            yield f"{name} {problem}"
    for path in folder.rglob("*"):
        if path.is_dir() and not any(path.iterdir()) and (name := path.relative_to(folder).as_posix()) not in known:
            yield f"{name} is an empty folder"
    for name, text in texts.items():
        if difference := _difference(folder / name, text):
            yield f"{name} {difference}"


def unread(manifest: Mapping[str, Any]) -> str | None:
    """Return why the documents of a bundle cannot be written again, or None."""
    if manifest.get("documents") == DOCUMENTS:
        return None
    return "its README.md and other texts were written by another release and are not compared; export it again"


def _twins(names: Sequence[str]) -> Iterator[str]:
    """Yield a clause for names that are one on some file systems."""
    seen: dict[str, str] = {}
    for name in names:
        for path in (name, *(str(parent) for parent in Path(name).parents)):
            folded = unicodedata.normalize("NFC", path).casefold()
            if seen.setdefault(folded, path) != path:
                yield f"{path} and {seen[folded]} are one name where case does not count"


def _names(folder: Path, manifest: Mapping[str, Any], contract: Contract) -> Iterator[str]:
    """Yield the name of every file that has a role."""
    yield from (layout.MANIFEST, layout.SUMS, layout.PARITY)
    yield from (f"{GOLDEN}/{name}" for name in ("cases.json", weight_sums.FILE, weight_sums.SLICES, LAYERS))
    for endpoint in contract.endpoints:
        yield from (f"{GOLDEN}/{endpoint.name}.{kind}.npz" for kind in ("inputs", "outputs"))
        yield f"{FIGURES}/{PREFIX}{endpoint.name}.png"
    yield from (f"{FIGURES}/{name}" for name in manifest.get("card", {}).get("images", ()))
    yield from (name for name in manifest.get("assets", ()) if name.endswith(layout.DATA))
    for artifact in manifest["artifacts"]:
        path, format = artifact["path"], FORMATS[artifact["format"]]
        if artifact["state"] is None and format.name == saved_model.FORMAT.name:
            yield from (f"{path}/{name}" for name in ("assets", *OF_SAVED_MODEL))  # TensorFlow makes it always
            with contextlib.suppress(Exception):  # of a damaged file, which its row names
                yield from [f"{path}/assets/{name}" for name in asset_files(folder / path)]
            shards = (folder / path).glob("variables/*")
            yield from (f"{path}/variables/{s.name}" for s in shards if SHARD.fullmatch(f"variables/{s.name}"))
        elif artifact["state"] is None:
            yield from {path, *(format.files if path in format.files else ())}


def _content(path: Path) -> str | None:
    """Return why the content of a file is not of its role, as a clause, or None."""
    try:
        if path.suffix == ".npz":
            check_zip(path)
            with zipfile.ZipFile(path) as archive:
                names = archive.namelist()
            if len({*names}) < len(names) or not all(name.endswith(".npy") for name in names):
                return "holds more than arrays"
        elif path.suffix == ".json" and path.parent.name == GOLDEN:
            json.loads(path.read_bytes())
        elif path.suffix == ".png":
            content = path.read_bytes()
            if not (content.startswith(PNG) and content.endswith(END_OF_PNG)):
                return "is not a PNG image"
        elif path.suffix in layout.DATA and path.read_bytes()[:2] == b"#!":
            return "is a script"
    except (ExportError, OSError, ValueError, zipfile.BadZipFile) as error:
        return f"cannot be read ({one_line(error)[:200]})"
    return None


def _difference(path: Path, text: str) -> str | None:
    """Return how a file differs from the text that its manifest gives, as a clause, or None."""
    if not path.is_file():
        return "is missing"
    content, expected = path.read_bytes(), text.encode("utf-8", "backslashreplace")
    if content == expected:
        return None
    lines, wanted = content.decode("utf-8", "replace").split("\n"), text.split("\n")
    number = next((n for n, (a, b) in enumerate(zip(lines, wanted, strict=False)) if a != b), len(lines) - 1)
    found, given = lines[number][:80], (*wanted, "")[min(number, len(wanted))][:80]
    return f"has {found!r} in line {number + 1} where manifest, contract and certificate give {given!r}"
