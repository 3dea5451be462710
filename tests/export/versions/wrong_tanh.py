"""A runtime that computes tanh wrongly: a runner around one of ours, whose format `WRONG_TANH` names."""

import os
from pathlib import Path

import run_litert
import run_onnx
import runner

RUNTIME = {"onnx": run_onnx, "tflite": run_litert}[os.environ["WRONG_TANH"]].RUNTIME


def has_tanh(path: Path) -> bool:
    """Return whether a file holds the operator."""
    if path.suffix == ".onnx":
        return b"Tanh" in path.read_bytes()
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(path.read_bytes(), 0))
    tanh = [i for i, code in enumerate(model.operatorCodes) if code.builtinCode == schema.BuiltinOperator.TANH]
    return any(op.opcodeIndex in tanh for op in model.subgraphs[0].operators)


def open_artifact(artifact, examples):
    """Return the functions of the runner, their results off by 0.01 if a tanh is in them."""
    error = 0.01 * has_tanh(Path(artifact["path"]))

    def wrong(function):
        return lambda inputs: {name: value + error for name, value in function(inputs).items()}

    opened = RUNTIME.open(artifact, examples)
    return {name: {key: wrong(function) for key, function in calls.items()} for name, calls in opened.items()}


if __name__ == "__main__":
    import dataclasses

    runner.main(dataclasses.replace(RUNTIME, open=open_artifact))
