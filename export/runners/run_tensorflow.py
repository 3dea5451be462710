"""Run the signatures of a SavedModel in a fresh TensorFlow, without the code of the model."""

from __future__ import annotations

import os
import sys
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
    import protocol
    import warmup
else:
    from export.runners.lib import protocol, warmup


def open_artifact(artifact: dict[str, Any], examples: dict[str, Any]) -> dict[str, dict[str, protocol.Function]]:
    """Load a SavedModel and return its signatures.

    Raises:
        ValueError: If a signature of the contract is not in it.
    """
    import tensorflow as tf

    loaded = tf.saved_model.load(artifact["path"])

    def function(endpoint: dict[str, Any]) -> protocol.Function:
        signature = loaded.signatures[endpoint["name"]]
        dtypes = {t["name"]: t["dtype"] for t in endpoint["inputs"]}

        def call(inputs: protocol.Arrays) -> protocol.Arrays:
            outputs = signature(**{k: tf.constant(v, dtypes[k]) for k, v in inputs.items()})
            return {k: protocol.widened(v).numpy() for k, v in outputs.items()}

        call.keep_alive = loaded  # a signature does not keep a reference to its variables
        return call

    missing = {e["name"] for e in artifact["endpoints"]} - set(loaded.signatures)
    if missing:
        raise ValueError(f"no signature {sorted(missing)}; the SavedModel has {sorted(loaded.signatures)}")
    return {endpoint["name"]: {"main": function(endpoint)} for endpoint in artifact["endpoints"]}


def check(artifact: dict[str, Any], opened: dict[str, dict[str, protocol.Function]]) -> list[str]:
    """Replay the warm-up records."""
    loaded = next(iter(opened.values()))["main"].keep_alive
    return warmup.replay(artifact["path"], loaded.signatures)


def constants(artifact: dict[str, Any], opened: dict[str, dict[str, protocol.Function]]) -> Any:
    """Yield (name, array) of the variables."""
    import tensorflow as tf

    reader = tf.train.load_checkpoint(os.path.join(artifact["path"], "variables", "variables"))
    for name in reader.get_variable_to_shape_map():
        if not name.startswith("_CHECKPOINTABLE"):
            yield name, reader.get_tensor(name)


def versions() -> dict[str, str]:
    """Return the versions of the runtime."""
    import tensorflow as tf

    return {"tensorflow": tf.__version__}


if __name__ == "__main__":
    protocol.main(open_artifact, versions, check, serves=True, constants=constants)
