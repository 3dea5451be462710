"""What KServe starts a model from: an InferenceService of Kubernetes."""

from __future__ import annotations

import re
import string
from pathlib import Path

from export.bundle.layout import MANIFEST
from export.formats.saved_model import served_versions
from export.serving.rollout.state import read_state
from zoobase.errors import ExportError

TEMPLATE = Path(__file__).parent / "templates" / "kserve.yaml.txt"


class Template(string.Template):
    """A text in which @name is replaced."""

    delimiter = "@"


def inference_service(source: Path, uri: str, name: str | None = None) -> str:
    """Return an InferenceService of KServe for a bundle or a base path that is stored at a URI.

    Of a base path each version has a URI of its own, URI/version-N, which holds the folder N. A canary is the service
    with the URI of the canary and its share: KServe makes a revision of it, and sends the rest to the one before. It
    does so in its serverless mode only.

    Args:
        source: The bundle or base path on this machine.
        uri: Where KServe reads it: s3://, gs://, pvc:// or another scheme of its storage initializer.
        name: The name of the service and of the model; by default that of the folder.

    Raises:
        ExportError: If `source` is neither, the URI has no scheme, or the name cannot be one of Kubernetes.
    """
    name, uri = name or source.resolve().name, uri.rstrip("/")
    if not re.fullmatch(r"[a-z]([-a-z0-9]{0,50}[a-z0-9])?", name):
        raise ExportError(f"{name!r} cannot be the name of a service; give --name of a-z, 0-9 and -")
    if not re.fullmatch(r"[a-z0-9]+://[^\s\"]+", uri):
        raise ExportError(f"{uri} is not a URI such as s3://BUCKET/PATH")
    share = annotations = ""
    if (source / MANIFEST).is_file():
        first, uri = f"First copy the bundle to {uri}.", f"{uri}/saved_model"
    elif source.is_dir():
        state = read_state(source)
        version = state.stable if state.canary is None else state.canary
        folder = served_versions(source)[version][0]
        uri = f"{uri}/version-{version}"
        first = f"First copy {source / folder} to {uri}/{folder}."
        if state.canary is not None:
            share = f"\n    canaryTrafficPercent: {min(99, max(1, round(100 * (state.share or 0))))}"
            annotations = "\n  annotations:\n    serving.kserve.io/deploymentMode: Serverless"
    else:
        raise ExportError(f"{source} is neither a bundle nor a base path")
    values = {"first": first, "name": name, "uri": uri, "share": share, "annotations": annotations}
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(values)
