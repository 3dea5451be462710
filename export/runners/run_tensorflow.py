"""Run the signatures of a SavedModel in a fresh TensorFlow, without the code of the model."""

from __future__ import annotations

import os
from typing import Any

if __package__:
    from export.wire import calls, protocol, warmup_records
    from export.wire.arrays import Arrays
else:
    import calls
    import protocol
    import warmup_records
    from arrays import Arrays


def open_artifact(artifact: dict[str, Any], examples: dict[str, Any]) -> protocol.Opened:
    """Load a SavedModel and return its signatures."""
    import tensorflow as tf

    loaded = tf.saved_model.load(artifact["path"])

    def function(endpoint: dict[str, Any]) -> protocol.Function:
        signature = loaded.signatures[endpoint["name"]]
        dtypes = {t["name"]: t["dtype"] for t in endpoint["inputs"]}

        def call(inputs: Arrays) -> Arrays:
            outputs = signature(**{k: tf.constant(v, dtypes[k]) for k, v in inputs.items()})
            return {k: calls.widened(v).numpy() for k, v in outputs.items()}

        call.keep_alive = loaded  # a signature does not keep a reference to its variables
        return call

    return protocol.by_endpoint(artifact, function, loaded.signatures)


def check(artifact: dict[str, Any], opened: protocol.Opened) -> list[str]:
    """Replay the warm-up records."""
    loaded = next(iter(opened.values()))["main"].keep_alive
    return warmup_records.replay(artifact["path"], loaded.signatures)


def constants(artifact: dict[str, Any], opened: protocol.Opened) -> Any:
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


RUNTIME = protocol.Runtime(
    "tensorflow",
    __file__,
    distribution="tensorflow",
    module="tensorflow",
    formats=("saved_model",),
    open=open_artifact,
    versions=versions,
    required=True,
    measures_noise=("saved_model",),
    imports=("keras", "tensorflow"),
    forked_from="keras",
    check=check,
    serves=True,
    constants=constants,
)

if __name__ == "__main__":
    protocol.main(RUNTIME)
