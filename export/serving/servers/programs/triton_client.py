"""Send requests to Triton by its own client, over HTTP and gRPC: triton_client.py JOB.json.

Runs in an environment with tritonclient. A job is JSON:
    {"cases": .npz, "results": .npz, "report": .json, "clients": number, "http": address, "grpc": address,
     "models": {endpoint: {"model": name, "batch": size or null, "inputs": {name: datatype}, "outputs": [name]}}}
The cases are arrays by (endpoint, case, input), the results by (protocol, client, endpoint, case, output). The report:
    {"errors": [message], "accepted": [bad request that was answered], "refused": number of those that were not}
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import arrays
import calls
import numpy as np
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException

PROTOCOLS = {"http": tritonclient.http, "grpc": tritonclient.grpc}


class Client:
    """A client of one protocol."""

    def __init__(self, job: dict[str, Any], kind: str) -> None:
        self.module, self.models = PROTOCOLS[kind], job["models"]
        self.client = self.module.InferenceServerClient(job[kind])

    def infer(self, endpoint: str, inputs: dict[str, np.ndarray], model: str | None = None) -> dict[str, np.ndarray]:
        """Return the outputs of one call; a fixed batch size is sent in parts."""
        entry = self.models[endpoint]

        def infer_part(values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            tensors = []
            for name, value in values.items():
                tensors.append(self.module.InferInput(name, value.shape, entry["inputs"].get(name, "FP32")))
                tensors[-1].set_data_from_numpy(value)
            result = self.client.infer(model or entry["model"], tensors)
            return {name: result.as_numpy(name) for name in entry["outputs"]}

        return calls.in_batches(infer_part, inputs, entry["batch"])


def bad_requests(inputs: dict[str, np.ndarray]) -> Iterator[tuple[str, dict[str, np.ndarray], str | None]]:
    """Yield (description, inputs, model) of requests that have to be refused."""
    name, value = next(iter(inputs.items()))
    yield "an unknown model", inputs, "no_such_model"
    yield "an input of another name", {"no_such_input": np.zeros((len(value), 1), np.float32)}, None
    yield "an input of another rank", {**inputs, name: value[..., None]}, None


def main(path: str) -> None:
    """Run a job."""
    job = json.loads(Path(path).read_text())
    cases: dict[str, dict[str, dict[str, np.ndarray]]] = {}
    for (endpoint, case, name), array in arrays.read_arrays(Path(job["cases"])).items():
        cases.setdefault(endpoint, {}).setdefault(case, {})[name] = array
    report: dict[str, Any] = {"errors": [], "accepted": [], "refused": 0}
    results: dict[tuple[str, ...], np.ndarray] = {}

    def send_all(kind: str, number: int) -> None:
        client = Client(job, kind)
        for endpoint, inputs in cases.items():
            for case in inputs:
                try:
                    outputs = client.infer(endpoint, inputs[case])
                except InferenceServerException as error:
                    report["errors"].append(f"{kind}: {endpoint}, case {case}: {error.message()}")
                    continue
                results.update({(kind, str(number), endpoint, case, name): v for name, v in outputs.items()})

    def send_bad(kind: str) -> None:
        client = Client(job, kind)
        for endpoint, inputs in cases.items():
            for description, values, model in bad_requests(next(iter(inputs.values()))):
                try:
                    client.infer(endpoint, values, model)
                    report["accepted"].append(f"{kind}: {endpoint}: {description}")
                except InferenceServerException:
                    report["refused"] += 1

    for kind in PROTOCOLS:
        send_bad(kind)
    with ThreadPoolExecutor(len(PROTOCOLS) * job["clients"]) as pool:
        sent = [pool.submit(send_all, kind, number) for kind in PROTOCOLS for number in range(job["clients"])]
    for future in sent:
        future.result()
    np.savez(job["results"], **arrays.pack(results))  # NumPy 1.26 would store allow_pickle=False as an array
    Path(job["report"]).write_text(json.dumps(report))


if __name__ == "__main__":
    main(sys.argv[1])
