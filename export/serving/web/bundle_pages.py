"""The pages of one proven bundle, whose model is a TFLite file in the browser, or a SavedModel on a server."""

import base64
import hashlib
import html
import json
import string
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from export.bundle import layout
from export.bundle.gate import find_saved_model, read_proven
from export.bundle.hub_header import without_header
from export.bundle.loader import load
from export.contract import Contract, Endpoint, Tensor, statistics
from export.formats import tflite_metadata
from export.formats.tflite import path_of
from export.parity.cases import GoldenCase, read_golden
from export.protocol import litert_js
from export.protocol.calls import Function, in_batches
from export.runners import RUNTIMES
from export.serving.web import facts
from export.serving.web.pages import Page, pages_of
from zoobase import finite
from zoobase.console import quiet_stderr
from zoobase.errors import ExportError

HERE = Path(__file__).parent
MODEL = path_of()
ROWS = 8
BYTES = 1_500_000  # of the inputs and outputs of an endpoint; there is always one row
TEXTS = 24
UNLIKE = 0.01  # of unseen rows that are called unlike what the model was made for
REAL_FIRST = ("real", "typical", "batch_7")  # names of cases; the others follow


class BundlePages:
    """A proven bundle whose pages are written; a subclass says where its model runs."""

    where: str  # where the model runs, as the pages say it
    script: str  # the file in `static` that becomes assets/model.js

    def __init__(self, folder: Path, trust: Collection[str] = ()) -> None:
        """Read a bundle, whose proof passed and which has the artifact that the pages need."""
        self.folder, self.trust = folder, trust
        self.manifest = manifest = read_proven(folder, "gets a page")
        self.verdict = layout.read_certificate(folder)["verdict"]
        self.contract = Contract.from_json(manifest["contract"])
        self.title = _title(folder)
        served, carried = self._read(manifest)
        self.labels = self._labels()
        # the first one is index.html
        self.pages = pages_of(served, [endpoint.name for endpoint in carried], self._assets())
        if not self.pages:
            obstacles = filter(None, (litert_js.obstacle(endpoint.to_json()) for endpoint in carried))
            raise ExportError(f"{folder} has no endpoint for a page: {next(obstacles, 'it has no endpoint')}")

    def _read(self, manifest: Mapping[str, Any]) -> tuple[Contract, Sequence[Endpoint]]:
        """Read what the pages run: return its contract, and the endpoints that it carries."""
        raise NotImplementedError

    def _labels(self) -> Sequence[str] | None:
        """Return the names of the classes."""
        return self.contract.labels

    def _assets(self) -> dict[str, Any]:
        """Return how a text becomes ids: "vocabulary" and "tokenizer", as the files of these names have it."""
        return {name: _read_asset(self.folder / f"{name}.json") for name in ("vocabulary", "tokenizer")}

    def _model(self) -> dict[str, Any]:
        """Return what the script `load`s: "url", and what else it needs to know."""
        raise NotImplementedError

    def _functions(self, site: Path) -> Mapping[str, Function]:
        """Write the model to the folder of the pages, if it is there; return its endpoints as functions of one row."""
        raise NotImplementedError

    @property
    def description(self) -> str:
        """The sentence of the card."""
        return str(self.manifest.get("card", {}).get("description") or "")

    def write(self, site: Path, root: str) -> None:
        """Write the pages to a folder; `root` is the way from there to the folder of the assets."""
        site.mkdir(exist_ok=True)
        functions, cases = self._functions(site), read_golden(self.folder / "golden", self.contract)
        with quiet_stderr():  # LiteRT logs its delegates
            golden = {page.endpoint.name: golden_of(page, cases, functions[page.endpoint.name]) for page in self.pages}
        (site / "golden.json").write_text(json.dumps(golden), encoding="utf-8")
        page = self.pages[0]  # its image, if it has one, is that of the model in a gallery
        inputs = rows_of(page.endpoint, cases[page.endpoint.name])
        call, writes = functions[page.endpoint.name], "states" in page.options
        texts = [facts.continuation(page, call)] if writes else [pair["text"] for pair in _texts(page, cases)]
        self.picture, content = facts.picture(page, in_batches(call, inputs, 1) | inputs, texts)
        if content is not None:
            (site / "picture.png").write_bytes(content)
        for page in self.pages:
            form = (HERE / "forms" / f"{page.form}.html").read_text(encoding="utf-8")
            data = {"heading": page.heading, "endpoint": page.endpoint.to_json(), "options": page.options}
            data["reference"] = self._reference(page)
            (site / page.file).write_text(self._page(root, page.form, form, data), encoding="utf-8")
        form = (HERE / "static" / "golden.html").read_text(encoding="utf-8")
        data = {"heading": "Check this browser", "options": {p.endpoint.name: p.options for p in self.pages}}
        (site / "golden.html").write_text(self._page(root, "golden", form, data), encoding="utf-8")
        template = string.Template((HERE / "static" / "certificate.html").read_text(encoding="utf-8"))
        form, data = template.substitute(rows=facts.certificate_rows(self.folder)), {"heading": "Certificate"}
        (site / "certificate.html").write_text(self._page(root, "certificate", form, data), encoding="utf-8")

    def _reference(self, page: Page) -> dict[str, Any]:
        """Return below which energy of the logits an input is unlike those that the model was made for."""
        artifact = find_saved_model(self.manifest)
        path = artifact and self.folder / artifact["path"] / statistics.FILE
        if not path or not path.is_file():
            return {}
        known = statistics.Statistics.from_json(_read_asset(path))
        energies = known.numbers.get(f"{page.options.get('scores')}.energy")
        if energies is None or known.endpoint != page.endpoint.name:
            return {}
        return {"lowest_energy": float(np.quantile(energies, UNLIKE))}

    def _page(self, root: str, script: str, form: str, data: Mapping[str, Any]) -> str:
        headings = [page.heading for page in self.pages]
        pages = [
            {
                "file": p.file,
                "title": p.heading
                if headings.count(p.heading) == 1
                else f"{p.heading} ({p.endpoint.name.replace('_', ' ')})",
            }
            for p in self.pages
        ]
        common = {"labels": self.labels, "model": self._model(), "pages": pages}
        template = string.Template((HERE / "static" / "page.html").read_text(encoding="utf-8"))
        values = {"title": html.escape(self.title), "root": root, "script": script, "form": form, "where": self.where}
        values["home"] = '<a class="home" href="../index.html">All models</a>' if root == ".." else ""
        lead = f'<p class="lead">{html.escape(self.description)}</p>' if self.description else ""
        values["lead"] = lead + facts.badges(self.manifest, self.verdict)
        values["about"] = facts.about(self.manifest, self.verdict)
        return template.substitute(values, data=embedded({**common, **data}))


class LocalPages(BundlePages):
    """A bundle whose TFLite file runs in the browser."""

    where = "The model runs in this browser; nothing that you enter leaves this device."
    script = "model.js"

    def _read(self, manifest: Mapping[str, Any]) -> tuple[Contract, Sequence[Endpoint]]:
        artifact = next((a for a in manifest["artifacts"] if a["path"] == MODEL and a["state"] is None), None)
        if artifact is None:
            raise ExportError(f"{self.folder} holds no {MODEL}, which a browser runs; export it with the format tflite")
        self._content = (self.folder / MODEL).read_bytes()
        return self.contract, [self.contract[name] for name in artifact["endpoints"]]

    def _labels(self) -> Sequence[str] | None:
        """Return the labels of the metadata of the file, as the libraries of phones read them."""
        found = tflite_metadata.files_in(self._content).get(tflite_metadata.LABELS)
        return super()._labels() if found is None else found.decode().splitlines()

    def _assets(self) -> dict[str, Any]:
        """Return the tokenizer of the metadata of the file, else that of the bundle's files."""
        attached = tflite_metadata.read(self._content)
        found = attached and tflite_metadata.tokenizer_in(attached, tflite_metadata.files_in(self._content))
        if not found:
            return super()._assets()
        delimiter, words = found
        rules = {"lowercase": False, "replace": [[delimiter, " "]], "token": "[^ ]+", "parts": False, "forms": True}
        return {"vocabulary": words, "tokenizer": rules | {"unknown": 1, "fill": 0}}

    def _model(self) -> dict[str, Any]:
        digest = hashlib.sha256(self._content).hexdigest()
        return {"url": "model.tflite", "bytes": len(self._content), "sha256": digest}

    def _functions(self, site: Path) -> Mapping[str, Function]:
        path = site / "model.tflite"
        path.write_bytes(self._content)
        endpoints = [page.endpoint.to_json() for page in self.pages]
        opened = RUNTIMES["litert"].open({"path": path, "endpoints": endpoints}, {})
        return {name: variants["main"] for name, variants in opened.items()}


def embedded(data: Any) -> str:
    """Return JSON that may stand in a <script> element: no text in it can end the element."""
    return json.dumps(finite(data), allow_nan=False).replace("<", "\\u003c")


def _title(folder: Path) -> str:
    """Return the title of the bundle's card, else the name of its folder, as words."""
    card = folder / "README.md"
    text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
    first = without_header(text).partition("\n")[0]
    name = html.unescape(first.removeprefix("# ").strip()) if first.startswith("# ") else folder.resolve().name
    return f"{name[:1].upper()}{name[1:].replace('_', ' ')}"


def _read_asset(path: Path) -> Any:
    """Return the content of a JSON file of the bundle, or None."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


class ServedPages(BundlePages):
    """A bundle whose pages run the model on the server that they come from."""

    where = "A server runs the model; what you enter is sent to it."
    script = "served_model.js"

    def __init__(self, folder: Path, name: str, trust: Collection[str] = ()) -> None:
        """Read a bundle that is served as the model `name`."""
        self._url = f"/v1/models/{name}:predict"
        super().__init__(folder, trust)

    def _read(self, manifest: Mapping[str, Any]) -> tuple[Contract, Sequence[Endpoint]]:
        artifact = find_saved_model(manifest)
        if artifact is None:
            raise ExportError(f"{self.folder} holds no SavedModel to serve; export it with the format saved_model")
        return self.contract, [self.contract[name] for name in artifact["endpoints"]]

    def _model(self) -> dict[str, Any]:
        return {"url": self._url, "endpoints": {page.endpoint.name: page.endpoint.to_json() for page in self.pages}}

    def _functions(self, site: Path) -> Mapping[str, Function]:
        loaded = load(self.folder, "c_api", trust=self.trust)
        return {page.endpoint.name: lambda x, name=page.endpoint.name: loaded[name](**x) for page in self.pages}


def rows_of(endpoint: Endpoint, cases: Sequence[GoldenCase]) -> dict[str, np.ndarray]:
    """Return up to `ROWS` compared rows of an endpoint by input name, real ones first."""
    size = sum(np.dtype(t.dtype).itemsize * int(np.prod(t.shape[1:])) for t in (*endpoint.inputs, *endpoint.outputs))
    limit = max(1, min(ROWS, BYTES // max(size, 1)))
    ordered = [case for case in cases if case.compared and not case.chain]
    ordered.sort(key=lambda case: REAL_FIRST.index(case.name) if case.name in REAL_FIRST else len(REAL_FIRST))
    return {
        t.name: np.concatenate([_fitted(t, case.inputs[t.name]) for case in ordered])[:limit] for t in endpoint.inputs
    }


def _fitted(tensor: Tensor, array: np.ndarray) -> np.ndarray:
    """Return images of another size in the size of the tensor, by their nearest pixels; any other array as it is."""
    if tensor.fits(array.shape) or tensor.meaning != "image":
        return array
    rows, columns = (np.arange(n) * size // n for n, size in zip(tensor.shape[1:3], array.shape[1:3], strict=True))
    return array[:, rows][:, :, columns]


def golden_of(page: Page, cases: Mapping[str, Sequence[GoldenCase]], call: Function) -> dict[str, Any]:
    """Return the golden rows of a page as JSON: arrays as base64 of their bytes; `call` takes one row."""
    inputs = rows_of(page.endpoint, cases[page.endpoint.name])
    outputs = in_batches(call, inputs, 1)
    rows = len(next(iter(inputs.values())))
    golden = {"rows": rows, "inputs": _encoded(inputs), "outputs": _encoded(outputs)}
    return golden | {"texts": _texts(page, cases)}


def _encoded(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    return {
        name: {
            "dtype": array.dtype.name,
            "shape": list(array.shape),
            "data": base64.b64encode(array.tobytes()).decode(),
        }
        for name, array in arrays.items()
    }


def _texts(page: Page, cases: Mapping[str, Sequence[GoldenCase]]) -> list[dict[str, Any]]:
    """Return texts with the scores that the reference model gives them, against which the tokenizer is checked."""
    raw, scores = page.options.get("raw"), page.options.get("scores")
    pairs = [
        {"text": text.decode(), "scores": [float(v) for v in row]}
        for case in (cases[raw] if raw else ())
        if case.compared and case.outputs
        for text, row in zip(next(iter(case.inputs.values())).ravel(), case.outputs[scores], strict=True)
        if _is_utf8(text)
    ]
    return pairs[:TEXTS]


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
