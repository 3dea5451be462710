"""The pages of one proven bundle whose SavedModel runs on a server with TF Serving's REST API."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from export.bundle.binding import find_saved_model
from export.bundle.loader import load
from export.contract import Contract, Endpoint
from export.serving.web import fixed_size
from export.serving.web.bundle_pages import BundlePages
from export.wire.calls import Function
from zoobase.errors import ExportError


class ServedPages(BundlePages):
    """A bundle whose pages ask the server that they come from."""

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
        carried = [self.contract[n] for n in artifact["endpoints"] if not fixed_size.is_free(self.contract[n])]
        if not carried:
            raise ExportError(f"{self.folder} takes images of any size, for which there is no page that asks a server")
        return self.contract, carried

    def _model(self) -> dict[str, Any]:
        return {"url": self._url, "endpoints": {page.endpoint.name: page.endpoint.to_json() for page in self.pages}}

    def _functions(self, site: Path) -> Mapping[str, Function]:
        loaded = load(self.folder, "c_api", trust=self.trust)
        return {page.endpoint.name: lambda x, name=page.endpoint.name: loaded[name](**x) for page in self.pages}
