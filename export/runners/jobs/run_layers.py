"""Run one call of an artifact and write the outputs of its layers, for comparison with the reference.

`python -P run_layers.py JOB.json`, the job being
    {"artifact": as for a runner, "endpoint": name, "names": [layer names], "inputs": .npz, "out": .npz to write,
     "modules": [names that may be imported], "memory": bytes or null}
The file holds fingerprints by (number, layer) for every layer that exists, numbered as in the reference.
"""

import re
from pathlib import Path
from typing import Any

import layers
import run_keras
import runner
from arrays import Arrays, read_arrays, save_arrays
from machine import read_job


def of_keras(job: dict[str, Any], endpoint: dict[str, Any], inputs: Arrays) -> list[Any]:
    """Return (layer name, fingerprint) of a Keras file, in order."""
    model = run_keras.load_model(job["artifact"], {endpoint["name"]: inputs})
    call = run_keras.functions_of(model, endpoint)["main"]
    outputs = layers.record_outputs(model, lambda: call(inputs))
    return outputs if [name for name, _ in outputs] == job["names"] else []


def of_saved_model(job: dict[str, Any], endpoint: dict[str, Any], inputs: Arrays) -> list[Any]:
    """Return (layer name, fingerprint or None) of a SavedModel: the graph keeps the names of the layers as scopes."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    loaded = tf.saved_model.load(job["artifact"]["path"])
    frozen = convert_variables_to_constants_v2(loaded.signatures[endpoint["name"]], lower_control_flow=False)
    operations = frozen.graph.get_operations()
    last_tensors = {name: _last_of(name, operations, set(job["names"])) for name in job["names"]}
    tensors = {name: tensor for name, tensor in last_tensors.items() if tensor is not None}
    dtypes = {t["name"]: t["dtype"] for t in endpoint["inputs"]}
    feeds = [tf.constant(inputs[name], dtypes[name]) for t in frozen.inputs for name in [t.name.partition(":")[0]]]
    results = frozen.prune(frozen.inputs, list(tensors.values()))(*feeds)
    values = dict(zip(tensors, results, strict=True))
    return [(name, layers.fingerprint(values[name].numpy()) if name in values else None) for name in job["names"]]


def _last_of(layer: str, operations: list[Any], names: set[str]) -> Any:
    """Return the output tensor of the scope of a layer, or None."""
    others = names - {layer}

    def inside(operation: Any) -> bool:
        parts = operation.name.split("/")[:-1]
        return any(
            part == layer or (re.fullmatch(re.escape(layer) + r"_\d+", part) and part not in others) for part in parts
        )

    scope = [op for op in operations if inside(op) and op.type != "Const" and op.outputs]
    outputs = [op for op in scope if not any(inside(user) for out in op.outputs for user in out.consumers())]
    tensors = [op.outputs[0] for op in outputs if op.outputs[0].dtype.is_floating or op.outputs[0].dtype.is_integer]
    return tensors[-1] if tensors else None


def main() -> None:
    """Run the job given on the command line."""
    job = read_job()
    runner.import_modules(job["modules"])
    (endpoint,) = (e for e in job["artifact"]["endpoints"] if e["name"] == job["endpoint"])
    inputs = read_arrays(Path(job["inputs"]))
    read_layers = of_saved_model if job["artifact"]["format"] == "saved_model" else of_keras
    fingerprints = read_layers(job, endpoint, inputs)
    save_arrays(
        Path(job["out"]),
        {(f"{i:04d}", name): value for i, (name, value) in enumerate(fingerprints) if value is not None},
    )


if __name__ == "__main__":
    main()
