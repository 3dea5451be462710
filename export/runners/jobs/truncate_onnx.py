"""List the operators of an ONNX file in order, or write the part of it that computes one of their results.

`python -P truncate_onnx.py JOB.json`, the job being {"path": file, "out": file, "tensor": name or null, "result":
file}.
"""

from typing import Any


def operators(path: str) -> list[dict[str, Any]]:
    """Return [{"type", "inputs", "outputs"}] of the main graph; the operators in a branch count as their `If`."""
    import onnx

    graph = onnx.load(path).graph
    return [
        {"type": node.op_type, "inputs": [*filter(None, _sources(node))], "outputs": [*filter(None, node.output)]}
        for node in graph.node
    ]


def truncate(path: str, tensor: str, out: str) -> dict[str, str]:
    """Write the operators that a tensor depends on; return its name and dtype in the new file."""
    import onnx

    model = onnx.load(path)
    graph, needed, kept = model.graph, {tensor}, []
    for node in reversed(graph.node):
        if needed & {*node.output}:
            kept.append(node)
            needed |= {*_sources(node)}
    shapes = onnx.shape_inference.infer_shapes(model).graph
    known = {value.name: value for value in (*shapes.value_info, *graph.output)}
    output = known.get(tensor) or onnx.ValueInfoProto(name=tensor)  # a runtime infers the type
    constants = [constant for constant in graph.initializer if constant.name in needed]
    part = onnx.helper.make_graph(kept[::-1], graph.name, graph.input, [output], constants)
    del model.graph.value_info[:]
    model.graph.CopyFrom(part)
    onnx.save(model, out)
    kind = output.type.tensor_type.elem_type
    return {"name": tensor, "dtype": onnx.helper.tensor_dtype_to_np_dtype(kind).name if kind else "float32"}


def _sources(node: Any) -> list[str]:
    """Return what a node reads, also in its branches."""
    names = list(node.input)
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            own = {name for inner in graph.node for name in inner.output}
            names += [name for inner in graph.node for name in _sources(inner) if name not in own]
            names += [value.name for value in graph.output if value.name not in own]
    return names


if __name__ == "__main__":
    from machine import answer_job

    answer_job(
        lambda job: truncate(job["path"], job["tensor"], job["out"]) if job["tensor"] else operators(job["path"])
    )
