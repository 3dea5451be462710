"""Run a TFLite file in the interpreter for microcontrollers, and measure the memory that it needs there."""

import os
import re
from pathlib import Path
from typing import Any

import numpy as np

if __package__:
    from export.protocol import machine, runner
    from export.runners.environments import TFLITE_MICRO
else:
    import machine
    import runner
    from environments import TFLITE_MICRO

FLASH = 2**21  # bytes of a file: few microcontrollers have more, and larger models take seconds a row here
ARENA = 2**26  # bytes with which the need is measured
interpreters: dict[str, Any] = {}  # by path


def open_artifact(artifact: dict[str, Any], examples: dict[str, Any]) -> runner.Opened:
    """Load a TFLite file and return the signature of its first subgraph, the only one that the interpreter runs."""
    path = str(artifact["path"])
    size = os.path.getsize(path)
    if size > FLASH:
        raise ValueError(f"it has {size / 1e6:.1f} MB, and microcontrollers have at most about {FLASH / 1e6:.0f} MB")
    from tflite_micro.python.tflite_micro import runtime
    from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(Path(path).read_bytes(), 0))
    signature = next((s for s in model.signatureDefs or [] if s.subgraphIndex == 0), None)
    endpoint = next(
        (e for e in artifact["endpoints"] if signature and e["name"] == signature.signatureKey.decode()), None
    )
    if endpoint is None:
        return {}
    graph = model.subgraphs[0]
    indices = {
        kind: {m.name.decode(): m.tensorIndex for m in getattr(signature, kind)} for kind in ("inputs", "outputs")
    }
    takes = {name: list(graph.inputs).index(index) for name, index in indices["inputs"].items()}
    gives = {name: list(graph.outputs).index(index) for name, index in indices["outputs"].items()}
    dtypes = {t["name"]: t["dtype"] for t in endpoint["inputs"]}
    with machine.captured_messages() as messages:
        try:
            interpreter = interpreters[path] = runtime.Interpreter.from_file(path, arena_size=ARENA)
        except RuntimeError as error:
            raise ValueError(_reason(messages(), error)) from error

    def function(inputs: runner.Arrays) -> runner.Arrays:
        with machine.captured_messages() as messages:
            try:
                for name, place in takes.items():
                    interpreter.set_input(np.ascontiguousarray(inputs[name], dtypes[name]), place)
                interpreter.invoke()
            except RuntimeError as error:
                raise ValueError(_reason(messages(), error)) from error
        return {name: interpreter.get_output(place).copy() for name, place in gives.items()}

    return {endpoint["name"]: {"main": function}}


def _reason(messages: str, error: Exception) -> str:
    """Return why a file does not run: the operator that is missing, or the first message."""
    if missing := re.findall(r"builtin opcode '?([A-Z0-9_]+)'?", messages):
        return f"microcontrollers have no operator {', '.join(sorted(set(missing)))}"
    return next(iter(messages.strip().splitlines()), str(error))


def facts(artifact: dict[str, Any], opened: runner.Opened) -> dict[str, int]:
    """Return the bytes of memory that the tensors and the interpreter need."""
    if not opened:
        return {}
    with machine.captured_messages() as messages:
        interpreters[str(artifact["path"])].print_allocations()
        found = re.search(r"Arena allocation total (\d+) bytes", messages())
    return {"arena_bytes": int(found[1])} if found else {}


RUNTIME = runner.Runtime(
    "tflite_micro",
    __file__,
    distribution="tflite-micro",
    module="tflite_micro",
    formats=("tflite",),
    open=open_artifact,
    extra=True,
    on_request=True,
    install=TFLITE_MICRO.command,
    process=runner.Process(imports=("tflite_micro",), installation=TFLITE_MICRO),
    capabilities=runner.Capabilities(facts=facts),
)

if __name__ == "__main__":
    runner.main(RUNTIME)
