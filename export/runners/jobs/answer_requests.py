"""Answer predict requests by a SavedModel in the loader of TF Serving: `python -P launch.py answer_requests.py JOB`.

The job is JSON, {"path": SavedModel, "memory": bytes, "confine": arguments of `machine.confine`}; standard input is a
socket. A frame on it, in either direction, is `HEAD` (number of the request, HTTP status, length) and a body. The first
frame that is sent has the number 0 and the signatures as in TF Serving's metadata, or why the model cannot be loaded.
The process ends with its socket.
"""

import json
import os
import socket
import struct
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import c_api
import rest
from machine import read_job

HEAD = struct.Struct("<QHQ")
THREADS = 4
STATUS = {3: 400, 5: 404, 8: 413, 9: 400, 11: 400, 12: 501}  # of TensorFlow -> of HTTP, as TF Serving; others are 500
DTYPES = {"float32": "DT_FLOAT", "float64": "DT_DOUBLE", "float16": "DT_HALF"}


def load(folder: Path) -> c_api.Session:
    """Load a SavedModel; TensorFlow loads one without its variables, too, and raises at the first request."""
    if not (folder / "variables" / "variables.index").is_file():
        raise ValueError("variables/variables.index is missing")
    return c_api.Session(folder)


def metadata(session: c_api.Session) -> dict[str, Any]:
    """Return the signatures as TF Serving writes them in JSON."""

    def tensors(named: dict[str, tuple[str, int, str]], shapes: dict[str, c_api.Shape]) -> dict[str, Any]:
        described = {}
        for name, (operation, index, dtype) in named.items():
            sizes = [{"size": str(-1 if n is None else n), "name": ""} for n in shapes.get(name, ())]
            shape = {"dim": sizes, "unknown_rank": name not in shapes}
            dtype = DTYPES.get(dtype, f"DT_{dtype.upper()}")
            described[name] = {"dtype": dtype, "tensor_shape": shape, "name": f"{operation}:{index}"}
        return described

    return {
        name: {
            "inputs": tensors(signature.inputs, signature.shapes),
            "outputs": tensors(signature.outputs, signature.output_shapes),
            "method_name": signature.method,
        }
        for name, signature in session.signatures.items()
    }


def answer(session: c_api.Session, body: bytes) -> tuple[int, bytes]:
    """Return status and body of the answer to a predict request."""
    try:
        request = json.loads(body)
        if not isinstance(request, dict):
            raise rest.NotJson("the request is not a JSON object")
        name = request.get("signature_name") or "serving_default"
        if not isinstance(name, str) or name not in session.signatures:
            raise rest.NotJson(f'Serving signature name: "{str(name)[:100]}" not found in signature def')
        signature = session.signatures[name]
        dtypes = {key: dtype for key, (_, _, dtype) in signature.inputs.items()}
        outputs = session.run(signature, rest.decode_request(request, dtypes, signature.shapes))
        sizes = {key: value.shape[:1] for key, value in outputs.items()}
        if "instances" in request and (len({*sizes.values()}) != 1 or () in sizes.values()):
            raise rest.NotJson(f"outputs have inconsistent batch sizes, {sizes}; ask in column format")
        return 200, rest.encode_response(outputs, "instances" in request).encode()
    except RecursionError:
        return 400, error("JSON Parse error: the request is nested too deeply")
    except MemoryError:
        return 413, error("there is not enough memory for this request")
    except c_api.TensorFlowError as problem:
        return STATUS.get(problem.code, 500), error(problem)
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        return 400, error(problem)
    except Exception as problem:
        return 500, error(f"{type(problem).__name__}: {problem}")


def error(problem: Any) -> bytes:
    """Return the body of an answer with an error."""
    return json.dumps({"error": " ".join(str(problem).split())[:1000]}).encode()


def main() -> None:
    """Answer until the socket is closed."""
    job, connection, lock = read_job(), socket.socket(fileno=0), threading.Lock()

    def send(number: int, status: int, body: bytes) -> None:
        with lock:
            connection.sendall(HEAD.pack(number, status, len(body)))
            connection.sendall(body)

    try:
        session = load(Path(job["path"]))
    except Exception as problem:  # whatever the loader raises
        send(0, 500, error(problem))
        sys.exit(1)
    send(0, 200, json.dumps(metadata(session)).encode())
    stream = connection.makefile("rb")
    with ThreadPoolExecutor(THREADS) as pool:
        while len(head := stream.read(HEAD.size)) == HEAD.size:
            number, _, length = HEAD.unpack(head)
            body = stream.read(length)
            pool.submit(lambda number=number, body=body: send(number, *answer(session, body)))
    os._exit(0)  # TensorFlow's threads need not be asked


if __name__ == "__main__":
    main()
