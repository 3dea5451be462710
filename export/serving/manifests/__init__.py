"""What starts a model elsewhere: an InferenceService of Kubernetes, a model repository of Triton, a container image."""

from __future__ import annotations

import contextlib
import re
import shutil
import string
from collections.abc import Collection, Iterator
from pathlib import Path

from export.bundle import layout
from export.bundle.layout import MANIFEST
from export.contract import Contract
from export.formats import saved_model
from export.serving.publisher import ROLLOUT, proven_saved_model
from export.serving.rollout.state import read_state
from export.serving.servers import triton
from export.wire import c_api, machine
from zoobase.errors import ExportError
from zoobase.files import staging

TEMPLATES = Path(__file__).parent / "templates"
KINDS = ("kserve", "triton", "docker")


class Template(string.Template):
    """A text in which @name is replaced: files of shells and of Kubernetes are full of dollars."""

    delimiter = "@"


def inference_service(source: Path, uri: str, name: str | None = None) -> str:
    """Return an InferenceService of KServe for a bundle or a base path that is stored at a URI.

    Args:
        source: The bundle or base path on this machine. A canary of a base path gets its share of the requests, as the
            revision after the one that runs.
        uri: Where KServe reads it: s3://, gs://, pvc:// or another scheme of its storage initializer.
        name: The name of the service and of the model; by default that of the folder.

    Raises:
        ExportError: If `source` is neither, the URI has no scheme, or the name cannot be one of Kubernetes.
    """
    name = name or source.resolve().name
    if not re.fullmatch(r"[a-z]([-a-z0-9]{0,50}[a-z0-9])?", name):
        raise ExportError(f"{name!r} cannot be the name of a service; give --name of a-z, 0-9 and -")
    if not re.fullmatch(r"[a-z0-9]+://[^\s\"]+", uri):
        raise ExportError(f"{uri} is not a URI such as s3://BUCKET/PATH")
    share = ""
    if (source / MANIFEST).is_file():
        uri = f"{uri.rstrip('/')}/saved_model"
    elif (source / ROLLOUT).is_dir() and (state := read_state(source)).share:
        share = f"\n    canaryTrafficPercent: {max(1, round(100 * state.share))}"
    elif not source.is_dir():
        raise ExportError(f"{source} is neither a bundle nor a base path")
    text = (TEMPLATES / "kserve.yaml.txt").read_text(encoding="utf-8")
    return Template(text).substitute(name=name, uri=uri, share=share)


def write_triton(bundle: Path, out: Path, name: str | None = None, trust: Collection[str] = ()) -> Path:
    """Write a model repository for Triton, `models/`, and the Dockerfile of an image that serves it.

    Each signature is a model of the Python backend, behind which TensorFlow's C API runs the SavedModel: the TensorFlow
    backend left Triton in 2025.

    Args:
        bundle: A proven bundle.
        out: A folder to create.
        name: The name of the model; by default that of the bundle's folder.
        trust: Operators that may be served although they are not on the list of inference operators.

    Raises:
        ExportError: If `out` exists, the bundle has no SavedModel, or Triton cannot represent a tensor.
        CheckFailed: If the bundle is damaged or its proof did not pass.
    """
    saved, name = proven_saved_model(bundle, trust), name or bundle.resolve().name
    endpoints = Contract.from_json(saved.record["contract"]).carried_by(saved_model.FORMAT.name)
    with _project(out) as folder:
        first = folder / "models" / name / "1"
        for endpoint in endpoints:
            model = folder / "models" / triton.model_name(name, endpoint)
            triton.write_model(model, f"../../{name}/1/saved_model", ".", endpoint)
            for file in (c_api.__file__, machine.__file__):
                shutil.copy(file, model / "1")
        first.mkdir(parents=True, exist_ok=True)
        saved.copy(folder / "copy", 1).path.rename(first / saved_model.FORMAT.name)
        shutil.rmtree(folder / "copy")
        _write(folder, "Dockerfile", "triton.Dockerfile.txt", name=name)
        return layout.publish(folder, out.absolute())


def write_docker(bundle: Path, out: Path, name: str | None = None, trust: Collection[str] = ()) -> Path:
    """Write the Dockerfile of an image with TF Serving and the SavedModel of a bundle, and what it copies.

    Args:
        bundle: A proven bundle.
        out: A folder to create.
        name: The name of the model; by default that of the bundle's folder.
        trust: Operators that may be served although they are not on the list of inference operators.

    Raises:
        ExportError: If `out` exists, or the bundle has no SavedModel.
        CheckFailed: If the bundle is damaged or its proof did not pass.
    """
    name = name or bundle.resolve().name
    saved = proven_saved_model(bundle, trust)
    with _project(out) as folder:
        saved.copy(folder / "models" / name)
        _write(folder, "Dockerfile", "serving.Dockerfile.txt", name=name)
        return layout.publish(folder, out.absolute())


@contextlib.contextmanager
def _project(out: Path) -> Iterator[Path]:
    """Yield a staged folder; raise ExportError if its target exists."""
    if out.exists():
        raise ExportError(f"{out} exists; give a folder that does not")
    with staging(out.absolute().parent, f".{out.name}.staging-") as folder:
        project = folder / "project"
        project.mkdir()
        yield project


def _write(folder: Path, target: str, template: str, **values: str) -> None:
    text = (TEMPLATES / template).read_text(encoding="utf-8")
    (folder / target).write_text(Template(text).substitute(values), encoding="utf-8")
