"""The level triton: NVIDIA Triton by the V2 protocol of KServe, whose requests and answers are JSON over HTTP.

Reference: https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol.
"""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from export.contract import Endpoint
from export.parity.cases import GoldenCase
from export.parity.comparison import compare_output
from export.parity.noise_floor import Policy
from export.proof.certificate import FAIL, NOT_RUN
from export.protocol.calls import Arrays, in_batches
from export.serving.servecheck.rest_servers import CLIENTS, is_finite
from export.serving.servecheck.version import Level, ServedVersion
from export.serving.servers import launching, triton
from export.serving.servers.environments import TRITON
from zoobase.errors import CheckFailed, ExportError


def check(version: ServedVersion) -> Level:
    """Start Triton on the version and send it the golden calls, of several clients at once, and bad requests."""
    if problem := triton.obstacle():
        return Level("triton", NOT_RUN, problem)
    sent = [(e, case) for e, case in version.calls if is_finite(case) and _is_text(case)]
    http, grpc = launching.free_ports(2)
    try:
        with triton.serving(version.folder, version.endpoints, "model", http, grpc) as address:
            with ThreadPoolExecutor(CLIENTS) as pool:
                answers = list(pool.map(lambda call: list(_differences(address, *call)), sent))
            first = {endpoint.name: (endpoint, case) for endpoint, case in reversed(version.calls)}
            accepted = [text for call in first.values() for text in _accepted(address, *call)]
    except CheckFailed as error:
        return Level("triton", FAIL, str(error))
    except (ExportError, ImportError) as error:
        return Level("triton", NOT_RUN, str(error))
    messages = [text for texts in (*answers, accepted) for text in texts]
    details = f"{len(sent)} calls of {CLIENTS} clients at once, {3 * len(first) - len(accepted)} bad requests refused"
    left_out = len(version.calls) - len(sent)
    details += f"; {left_out} that JSON cannot hold were not sent" if left_out else ""
    return Level.concluded("triton", messages, f"{details}; {TRITON.requirements[0]}", len(sent))


def _is_text(case: GoldenCase) -> bool:
    """Return whether all strings of a case are UTF-8, and no number has half precision, which Triton's JSON lacks."""
    for array in (*case.inputs.values(), *case.outputs.values()):
        if array.dtype == np.float16:
            return False
        try:
            for item in array.ravel().tolist() if array.dtype.kind in "OS" else ():
                item.decode() if isinstance(item, bytes) else item
        except UnicodeDecodeError:
            return False
    return True


def _infer(address: triton.Address, model: str, inputs: Arrays, dtypes: dict[str, str]) -> Arrays:
    """Return the outputs of one call of a model, by name."""
    tensors = [
        {
            "name": name,
            "shape": value.shape,
            "datatype": triton.DTYPES[dtypes.get(name, "float32")].replace("STRING", "BYTES"),
            "data": [
                item.decode(errors="replace") if isinstance(item, bytes) else item for item in value.ravel().tolist()
            ],
        }
        for name, value in inputs.items()
    ]
    answer = launching.fetch(f"http://{address.http}/v2/models/{model}/infer", json.dumps({"inputs": tensors}))
    numpy_names = {name: dtype for dtype, name in triton.DTYPES.items()}
    outputs = {}
    for output in json.loads(answer)["outputs"]:
        data = output["data"]
        if output["datatype"] == "BYTES":
            values = np.array([text.encode() for text in data] + [None], object)[:-1]
        else:
            values = np.array(data, numpy_names[output["datatype"]])
        outputs[output["name"]] = values.reshape(output["shape"])
    return outputs


def _differences(address: triton.Address, endpoint: Endpoint, case: GoldenCase) -> Iterator[str]:
    """Yield how the answer to one call differs from TensorFlow's; a fixed batch size is sent in parts."""
    dtypes = {t.name: t.dtype for t in endpoint.inputs}
    model = address.models[endpoint.name]
    try:
        outputs = in_batches(lambda part: _infer(address, model, part, dtypes), case.inputs, endpoint.batch)
        for name in case.outputs:
            for text in compare_output(case, name, outputs[name], 0.0, Policy()):
                yield f"{endpoint.name}: {text}"
    except (OSError, KeyError, ValueError) as error:
        yield f"{endpoint.name}: case {case.name}: {error}"


def _accepted(address: triton.Address, endpoint: Endpoint, case: GoldenCase) -> Iterator[str]:
    """Yield which of three bad requests are answered."""
    dtypes, model = {t.name: t.dtype for t in endpoint.inputs}, address.models[endpoint.name]
    name, value = next(iter(case.inputs.items()))
    for text, asked, inputs in (
        ("an unknown model", "no_such_model", case.inputs),
        ("an input of another name", model, {"no_such_input": np.zeros((len(value), 1), np.float32)}),
        ("an input of another rank", model, {**case.inputs, name: value[..., None]}),
    ):
        try:
            _infer(address, asked, inputs, dtypes)
            yield f"{endpoint.name}: {text} is answered"
        except launching.Refused:
            pass
