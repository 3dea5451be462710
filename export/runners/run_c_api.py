"""Run the signatures of a SavedModel with the C++ loader of TF Serving, without Python TensorFlow in the process."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
    import c_api
    import protocol
else:
    from export.runners.lib import c_api, protocol


def open_artifact(artifact: dict[str, Any], examples: dict[str, Any]) -> dict[str, dict[str, protocol.Function]]:
    """Load a SavedModel and return its signatures.

    Raises:
        ValueError: If a signature of the contract is missing, or the variables are: TensorFlow loads such a folder and
            raises at the first request only.
    """
    path = Path(artifact["path"])
    if not (path / "variables" / "variables.index").is_file():
        raise ValueError("variables/variables.index is missing")
    session = c_api.Session(path)
    missing = {e["name"] for e in artifact["endpoints"]} - set(session.signatures)
    if missing:
        raise ValueError(f"no signature {sorted(missing)}; the SavedModel has {sorted(session.signatures)}")

    def function(endpoint: dict[str, Any]) -> protocol.Function:
        signature = session.signatures[endpoint["name"]]
        return lambda inputs: session.run(signature, inputs)

    return {endpoint["name"]: {"main": function(endpoint)} for endpoint in artifact["endpoints"]}


def versions() -> dict[str, str]:
    """Return the version of the runtime."""
    return {"tensorflow C API": c_api.version()}


if __name__ == "__main__":
    protocol.main(open_artifact, versions, serves=True)
