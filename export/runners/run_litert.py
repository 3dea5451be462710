"""Run the signatures of a TFLite file in LiteRT, which has builtin operators only."""

from typing import Any

import numpy as np

if __package__:
    from export.protocol import runner
else:
    import runner


def open_artifact(artifact: dict[str, Any], examples: dict[str, Any]) -> runner.Opened:
    """Load a TFLite file and return its signatures."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(artifact["path"]), num_threads=runner.threads())
    present = interpreter.get_signature_list()
    if not present:  # a third-party file: its only function is called by the names of its tensors
        return {endpoint["name"]: {"main": _without_signature(interpreter)} for endpoint in artifact["endpoints"]}

    def function(endpoint: dict[str, Any]) -> runner.Function:
        signature = interpreter.get_signature_runner(endpoint["name"])
        dtypes = {t["name"]: "object" if t["dtype"] == "string" else t["dtype"] for t in endpoint["inputs"]}
        return lambda inputs: signature(**{k: v.astype(dtypes[k]) for k, v in inputs.items()})

    return runner.by_endpoint(artifact, function, present)


def _without_signature(interpreter: Any) -> runner.Function:
    """Return the function of a file without signatures."""
    takes = {detail["name"]: detail for detail in interpreter.get_input_details()}
    returns = {detail["name"]: detail["index"] for detail in interpreter.get_output_details()}

    def function(inputs: runner.Arrays) -> runner.Arrays:
        for name, value in inputs.items():
            interpreter.resize_tensor_input(takes[name]["index"], value.shape)
        interpreter.allocate_tensors()
        for name, value in inputs.items():
            interpreter.set_tensor(takes[name]["index"], value.astype(takes[name]["dtype"]))
        interpreter.invoke()
        return {name: interpreter.get_tensor(index) for name, index in returns.items()}

    return function


def constants(artifact: dict[str, Any], opened: runner.Opened) -> Any:
    """Yield (name, array) of the constants of all subgraphs."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(artifact["path"]))  # not allocated: only constants have values
    for graph in range(interpreter.num_subgraphs()):
        for detail in interpreter.get_tensor_details(graph):
            if np.dtype(detail["dtype"]).kind not in "fiu":  # reading a string or a table crashes the process
                continue
            try:
                yield detail["name"], interpreter.get_tensor(detail["index"], graph)
            except ValueError:  # the result of an operator
                continue


RUNTIME = runner.Runtime(
    "litert",
    __file__,
    distribution="ai-edge-litert",
    module="ai_edge_litert",
    formats=("tflite",),
    open=open_artifact,
    required=True,
    process=runner.Process(imports=("ai_edge_litert",)),
    capabilities=runner.Capabilities(constants=constants, exact=False),
)

if __name__ == "__main__":
    runner.main(RUNTIME)
