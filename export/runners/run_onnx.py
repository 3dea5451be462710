"""Run an ONNX file in onnxruntime."""

from __future__ import annotations

from typing import Any

if __package__:
    from export.protocol import runner
    from export.protocol.arrays import Arrays
else:
    import runner
    from arrays import Arrays


def open_artifact(artifact: dict[str, Any], examples: dict[str, Any]) -> runner.Opened:
    """Load an ONNX file and return its graph under the name of its endpoint."""
    import onnxruntime

    (endpoint,) = artifact["endpoints"]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = runner.threads() or options.intra_op_num_threads
    session = onnxruntime.InferenceSession(str(artifact["path"]), options, providers=["CPUExecutionProvider"])
    return {endpoint["name"]: {"main": function_of(session, endpoint)}}


def function_of(session: Any, endpoint: dict[str, Any], options: Any = None) -> runner.Function:
    """Return a session as the function of an endpoint."""
    outputs = [tensor["name"] for tensor in endpoint["outputs"]]
    dtypes = {t["name"]: "object" if t["dtype"] == "string" else t["dtype"] for t in endpoint["inputs"]}
    for kind, tensors in (("inputs", session.get_inputs()), ("outputs", session.get_outputs())):
        if {t.name for t in tensors} != {t["name"] for t in endpoint[kind]}:
            raise ValueError(f"the file has {kind} {sorted(t.name for t in tensors)}")

    def function(inputs: Arrays) -> Arrays:
        stored = {name: value.astype(dtypes[name]) for name, value in inputs.items()}
        return dict(zip(outputs, session.run(outputs, stored, options), strict=True))

    return function


def constants(artifact: dict[str, Any], opened: runner.Opened) -> Any:
    """Return (name, array) of the initializers, or None where `onnx`, which reads them, is not installed."""
    try:
        import onnx
    except ImportError:
        return None
    graph = onnx.load(str(artifact["path"])).graph
    return [(tensor.name, onnx.numpy_helper.to_array(tensor)) for tensor in graph.initializer]


RUNTIME = runner.Runtime(
    "onnxruntime",
    __file__,
    distribution="onnxruntime",
    module="onnxruntime",
    formats=("onnx",),
    open=open_artifact,
    process=runner.Process(imports=("onnxruntime",)),
    capabilities=runner.Capabilities(constants=constants, exact=False),
)

if __name__ == "__main__":
    runner.main(RUNTIME)
