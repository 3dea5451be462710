"""Read the contents of a .keras file."""

from __future__ import annotations

import io
import json
import zipfile

from export.artifacts import Description
from export.artifacts.config import read_config
from export.artifacts.hdf5 import count
from export.runners.lib.protocol import check_archive

EXPECTED = ("config.json", "metadata.json", "model.weights.h5", "model.weights.json", "assets/")


def read(description: Description) -> None:
    """Fill in signatures, layers, flags, parameters and producer."""
    check_archive(description.path)
    with zipfile.ZipFile(description.path) as archive:
        metadata = json.loads(archive.read("metadata.json")) if "metadata.json" in archive.namelist() else {}
        description.producer = {"keras": metadata.get("keras_version", "unknown")}
        read_config(description, json.loads(archive.read("config.json")))
        if "model.weights.h5" in archive.namelist():
            description.parameters = count(io.BytesIO(archive.read("model.weights.h5")))
        unexpected = sorted(name for name in archive.namelist() if not name.startswith(EXPECTED))
    if unexpected:
        description.risks.append(f"it contains {', '.join(unexpected[:3])}, which is not part of a .keras file")
