"""KServe's ModelServer with the signatures of a SavedModel: kserve_server.py FOLDER NAME PORT.

Runs in an environment with kserve. Of this project it imports the C API of TensorFlow and the rules of the REST API.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import c_api
import kserve
import loopback
import rest
import uvicorn
from kserve.errors import InvalidInput
from kserve.model_server import app
from kserve.protocol.rest import server as rest_server


class LoopbackConfig(uvicorn.Config):
    """A configuration that listens on 127.0.0.1 only: kserve 0.21 has no option for it, and listens everywhere."""

    def __init__(self, *arguments: Any, host: str, **options: Any) -> None:
        super().__init__(*arguments, host="127.0.0.1", http=loopback.bounded_protocol(), **options)


class SavedModel(kserve.Model):
    """The signatures of a SavedModel, run by the loader of TF Serving."""

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__(name)
        self.session = c_api.Session(folder)
        self.ready = True

    async def predict(self, payload: Any, headers: Any = None, response_headers: Any = None) -> dict[str, Any]:
        """Answer a predict request; InvalidInput is sent as 400."""
        try:  # without the header of JSON, such as by `curl -d`, kserve passes bytes
            request = json.loads(payload) if isinstance(payload, bytes) else payload
            return await asyncio.to_thread(self.answer, request)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, c_api.TensorFlowError) as error:
            raise InvalidInput(" ".join(str(error).split())) from error

    def answer(self, payload: dict[str, Any]) -> dict[str, Any]:
        """Return the outputs of the signature that a request names."""
        name = payload.get("signature_name") or "serving_default"
        if name not in self.session.signatures:
            raise ValueError(f"no signature {name}; the model has {', '.join(sorted(self.session.signatures))}")
        signature = self.session.signatures[name]
        dtypes = {key: dtype for key, (_, _, dtype) in signature.inputs.items()}
        outputs = self.session.run(signature, rest.decode_request(payload, dtypes, signature.shapes))
        return rest.response_of(outputs, row="instances" in payload)


def main(folder: str, name: str, port: str) -> None:
    """Serve until the process is ended."""
    rest_server.uvicorn.Config = LoopbackConfig
    app.add_middleware(loopback.Guard)
    model = SavedModel(name, Path(folder))
    kserve.ModelServer(http_port=int(port), enable_grpc=False, workers=1).start([model])


if __name__ == "__main__":
    arguments = sys.argv[1:]
    del sys.argv[1:]  # kserve reads them
    main(*arguments)
