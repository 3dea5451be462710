"""List the operators of a signature of a SavedModel, or write the part of it that computes a result of one of them.

`python -P truncate_saved_model.py JOB.json`, the job being {"path": folder, "out": folder, "signature": name, "tensor":
name or null, "result": file}. Its variables become constants, and its functions are inlined.
"""

from typing import Any

HANDLES = {"resource", "variant", "string"}  # types whose values are not compared
NOT_COMPUTED = ("Const", "Placeholder", "NoOp", "Identity")


def operators(path: str, signature: str) -> list[dict[str, Any]]:
    """Return [{"type", "inputs", "outputs"}] of the frozen graph of a signature."""
    frozen = _freeze(path, signature)[1]
    return [
        {"type": op.type, "inputs": [t.name for t in op.inputs], "outputs": [t.name for t in op.outputs]}
        for op in frozen.graph.get_operations()
        if op.type not in NOT_COMPUTED and not HANDLES & {t.dtype.name for t in op.outputs}
    ]


def truncate(path: str, signature: str, tensor: str, out: str) -> dict[str, str]:
    """Write a SavedModel that computes a tensor; return its name and dtype in it."""
    import tensorflow as tf

    function, frozen = _freeze(path, signature)
    value = frozen.graph.get_tensor_by_name(tensor)
    part = frozen.prune(frozen.inputs, value)
    given = function.structured_input_signature[1]
    names = {t.name.partition(":")[0]: t for t in frozen.inputs}
    order = [next(key for key in given if name in (key, f"{signature}_{key}")) for name in names]
    module = tf.Module()

    def call(**inputs: Any) -> dict[str, Any]:
        return {"value": part(*(inputs[key] for key in order))}

    module.call = tf.function(call, autograph=False)
    specs = {key: tf.TensorSpec(spec.shape, spec.dtype, key) for key, spec in given.items()}
    tf.saved_model.save(module, out, signatures={signature: module.call.get_concrete_function(**specs)})
    return {"name": "value", "dtype": value.dtype.name}


def _freeze(path: str, signature: str) -> tuple[Any, Any]:
    """Return the function of a signature, and the same without variables and calls."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    loaded = tf.saved_model.load(path)
    function = loaded.signatures[signature]
    frozen = convert_variables_to_constants_v2(function, lower_control_flow=False)
    frozen.loaded = loaded  # which owns what the graph still refers to
    return function, frozen


if __name__ == "__main__":
    from machine import answer_job

    def _answer(job: dict[str, Any]) -> Any:
        place = job["path"], job["signature"]
        return truncate(*place, job["tensor"], job["out"]) if job["tensor"] else operators(*place)

    answer_job(_answer)
