"""List the operators of a signature of a TFLite file, or write the part of it that computes a result of one of them.

`python -P truncate_tflite.py JOB.json`, the job being {"path": file, "out": file, "signature": name, "tensor": name or
null, "result": file}. Names of tensors need not be unique in such a file: here they end in their number.
"""

from pathlib import Path
from typing import Any


def operators(path: str, signature: str) -> list[dict[str, Any]]:
    """Return [{"type", "inputs", "outputs", "returns"}] of the graph of a signature, the last {tensor: output}."""
    from ai_edge_litert import schema_py_generated as schema

    model, graph, entry = _open(path, signature)
    named = {m.tensorIndex: m.name.decode() for m in entry.outputs} if entry else {}
    returned = {_name(graph, i): named.get(i) or graph.tensors[i].name.decode() for i in named or graph.outputs}
    types = {value: name for name, value in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]

    def names(indices: Any) -> list[str]:
        return [_name(graph, int(i)) for i in indices if i >= 0] if indices is not None else []

    return [
        {
            "type": types.get(codes[op.opcodeIndex], "?"),
            "inputs": names(op.inputs),
            "outputs": names(op.outputs),
            "returns": {name: returned[name] for name in names(op.outputs) if name in returned},
        }
        for op in graph.operators
    ]


def truncate(path: str, signature: str, tensor: str, out: str) -> dict[str, Any]:
    """Write the operators up to the one that computes a tensor; return its name, dtype and shape in the new file."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model, graph, entry = _open(path, signature)
    index = int(tensor.rpartition(":")[2])
    last = next(i for i, op in enumerate(graph.operators) if index in op.outputs)
    graph.operators, graph.outputs = graph.operators[: last + 1], [index]
    model.metadata, model.metadataBuffer, name = None, None, graph.tensors[index].name.decode()
    if entry:
        mapping, name = schema.TensorMapT(), "value"
        mapping.name, mapping.tensorIndex = name, index
        entry.outputs, model.signatureDefs = [mapping], [entry]
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    Path(out).write_bytes(builder.Output())
    dtypes = {value: name.lower() for name, value in vars(schema.TensorType).items() if not name.startswith("_")}
    result = graph.tensors[index]
    return {"name": name, "dtype": dtypes[result.type], "shape": [*map(int, result.shape)]}


def _open(path: str, signature: str) -> tuple[Any, Any, Any]:
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(Path(path).read_bytes(), 0))
    if not model.signatureDefs:  # a third-party file: its only function is called by the names of its tensors
        return model, model.subgraphs[0], None
    entry = next(entry for entry in model.signatureDefs if entry.signatureKey.decode() == signature)
    return model, model.subgraphs[entry.subgraphIndex], entry


def _name(graph: Any, index: int) -> str:
    return f"{(graph.tensors[index].name or b'').decode()}:{index}"


if __name__ == "__main__":
    from machine import answer_job

    def _answer(job: dict[str, Any]) -> Any:
        place = job["path"], job["signature"]
        return truncate(*place, job["tensor"], job["out"]) if job["tensor"] else operators(*place)

    answer_job(_answer)
