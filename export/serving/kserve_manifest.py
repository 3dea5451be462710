"""What KServe starts a model from: an InferenceService of Kubernetes."""

import re
import string
from pathlib import Path

from export.bundle.layout import MANIFEST
from export.formats.saved_model import newest_version
from zoobase.errors import ExportError

TEMPLATE = Path(__file__).parent / "templates" / "kserve.yaml.txt"


class Template(string.Template):
    """A text in which @name is replaced."""

    delimiter = "@"


def inference_service(source: Path, uri: str, name: str | None = None, canary: float | None = None) -> str:
    """Return an InferenceService of KServe for a bundle or a base path that is stored at a URI.

    Of a base path it is the newest version. Each one has a URI of its own, URI/version-N, which holds the folder N.

    Args:
        source: The bundle or base path on this machine.
        uri: Where KServe reads it: s3://, gs://, pvc:// or another scheme of its storage initializer.
        name: The name of the service and of the model; by default that of the folder.
        canary: The share of requests, above 0 and below 1, that KServe sends to it, in its serverless mode only; the
            rest goes to the revision before.

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
        if (latest := newest_version(source)) is None:
            raise ExportError(f"{source} holds no version; publish a bundle there first")
        version, folder = latest
        uri = f"{uri}/version-{version}"
        first = f"First copy {folder} to {uri}/{folder.name}."
    else:
        raise ExportError(f"{source} is neither a bundle nor a base path")
    if canary is not None:
        if not 0 < canary < 1:
            raise ExportError(f"the share of the canary is {canary:g}; give a number between 0 and 1, such as 0.1")
        share = f"\n    canaryTrafficPercent: {min(99, max(1, round(100 * canary)))}"
        annotations = "\n  annotations:\n    serving.kserve.io/deploymentMode: Serverless"
    values = {"first": first, "name": name, "uri": uri, "share": share, "annotations": annotations}
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(values)
