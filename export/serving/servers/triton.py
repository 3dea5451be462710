"""NVIDIA Triton in its own environment: HTTP and gRPC, with TF Serving's loader behind its Python backend.

Triton has no signatures: each signature of the SavedModel is a model of its own.
"""

import contextlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from export.contract import Endpoint, Tensor
from export.protocol import c_api
from export.serving.servers import launching
from export.serving.servers.environments import TRITON
from zoobase.errors import ExportError

TITLE = "Triton"
PROGRAMS = Path(__file__).parent / "programs"
DTYPES = {"float16": "FP16", "float32": "FP32", "float64": "FP64", "bool": "BOOL", "string": "STRING"}
DTYPES |= {f"{kind}{bits}": f"{kind.upper()}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)}


@dataclass(frozen=True)
class Address:
    """Where Triton answers."""

    http: str  # host and port of the HTTP interface
    grpc: str  # host and port of the gRPC interface
    models: Mapping[str, str]  # the name of the model of each signature


def obstacle() -> str | None:
    """Return why it cannot be started here, or None."""
    return None if TRITON.installed else TRITON.hint


@contextlib.contextmanager
def serving(folder: Path, endpoints: Sequence[Endpoint], name: str, http: int, grpc: int) -> Iterator[Address]:
    """Serve a SavedModel for the duration of the block."""
    # "serving_default" becomes the model NAME, another signature the model NAME-SIGNATURE.
    models = {e.name: name if e.name == "serving_default" else f"{name}-{e.name}" for e in endpoints}
    package = TRITON.packages / "pytriton" / "tritonserver"
    binary, backends = package / "bin" / "tritonserver", package / "backends"
    stub = package / "python_backend_stubs" / f"{sys.version_info.major}.{sys.version_info.minor}"
    copy = backends / "python" / "triton_python_backend_stub"
    if not copy.exists():  # the wheel leaves it to its user
        shutil.copy(stub / copy.name, copy)
    # the backend embeds Python, and finds the packages of the first interpreter in PATH
    path = os.pathsep.join([str(TRITON.python.parent), os.environ.get("PATH", os.defpath)])
    environment = {c_api.VARIABLE: str(c_api.folder()), "PATH": path}
    ready = f"http://127.0.0.1:{http}/v2/health/ready"
    with tempfile.TemporaryDirectory(prefix="triton-models-") as repository:
        for endpoint in endpoints:
            write_model(Path(repository) / models[endpoint.name], folder.resolve(), endpoint)
        command = [binary, f"--model-repository={repository}", f"--backend-directory={backends}"]
        command += ["--exit-on-error=true"]
        for kind, port in (("http", http), ("grpc", grpc)):
            command += [f"--{kind}-address=127.0.0.1", f"--{kind}-port={port}"]
        command += ["--allow-metrics=false", "--disable-auto-complete-config", "--model-control-mode=none"]
        with launching.running(command, lambda: launching.fetch(ready) == "", environment):
            yield Address(f"127.0.0.1:{http}", f"127.0.0.1:{grpc}", models)


def write_model(folder: Path, saved_model: Path, endpoint: Endpoint) -> None:
    """Write the model of one signature to a model repository; paths are absolute or relative to its version."""
    (folder / "1").mkdir(parents=True)
    shutil.copyfile(PROGRAMS / "triton_model.py", folder / "1" / "model.py")
    library = str(Path(c_api.__file__).parent)
    parameters = {"saved_model": str(saved_model), "signature": endpoint.name, "library": library}
    lines = [f"name: {json.dumps(folder.name)}", 'backend: "python"', "instance_group [{ count: 1, kind: KIND_CPU }]"]
    lines += [f"input [{_tensor(tensor)}]" for tensor in endpoint.inputs]
    lines += [f"output [{_tensor(tensor)}]" for tensor in endpoint.outputs]
    lines += [
        f"parameters {{ key: {json.dumps(key)}, value: {{ string_value: {json.dumps(value)} }} }}"
        for key, value in parameters.items()
    ]
    (folder / "config.pbtxt").write_text("\n".join(lines) + "\n")


def _tensor(tensor: Tensor) -> str:
    if tensor.dtype not in DTYPES or not tensor.shape:
        raise ExportError(f"Triton has no tensor like {tensor.name}, {tensor.dtype} of shape {tensor.shape}")
    sizes = ", ".join("-1" if size is None else str(size) for size in tensor.shape)
    return f"{{ name: {json.dumps(tensor.name)}, data_type: TYPE_{DTYPES[tensor.dtype]}, dims: [{sizes}] }}"
