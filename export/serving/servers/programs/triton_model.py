"""One signature of a SavedModel as a model of Triton's Python backend, run by the loader of TF Serving.

Triton imports it in an environment with NumPy. `parameters` in config.pbtxt name the SavedModel, the signature and the
folder of the C API's Python file.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import triton_python_backend_utils as triton


class TritonPythonModel:
    """The class that Triton looks for."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the SavedModel, once this process is confined: Triton itself writes to /tmp, and loads nothing."""
        config = json.loads(args["model_config"])
        parameters = {name: entry["string_value"] for name, entry in config["parameters"].items()}
        here = Path(args["model_repository"], args["model_version"])
        saved_model = (here / parameters["saved_model"]).resolve()
        sys.path.insert(0, str(here / parameters["library"]))
        import c_api
        import machine

        reads = [str(saved_model), os.path.realpath(os.environ[c_api.VARIABLE])]
        machine.confine(reads, ["/dev/shm"], network=True)  # where Triton's processes exchange tensors
        self.session = c_api.Session(saved_model)
        self.signature = self.session.signatures[parameters["signature"]]

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer requests one by one; an error is the answer of its own request only."""
        return [self.answer(request) for request in requests]

    def answer(self, request: Any) -> Any:
        """Return the response to a request."""
        try:
            inputs = {name: triton.get_input_tensor_by_name(request, name).as_numpy() for name in self.signature.inputs}
            outputs = self.session.run(self.signature, inputs)
        except Exception as error:  # any error of the model is the answer
            return triton.InferenceResponse(error=triton.TritonError(" ".join(str(error).split())))
        return triton.InferenceResponse([triton.Tensor(name, value) for name, value in outputs.items()])
