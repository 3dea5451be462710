"""Rewrite what GPUs compute wrongly in a TFLite file, by operators that they compute rightly and that change no value.

`python -P repair_tflite.py JOB.json`, the job being {"path": file, "out": file, "result": file}; the result are
sentences, and nothing is written if it is empty. What is rewritten, with the reports of it for LiteRT:
    PAD of rank 3, through rank 4 (#9272)
    a tensor of rank 3 with a constant of rank 4, through rank 4 (#8980)
    SUM before a multiplication with a constant: the sum is of scaled numbers (#9249), by a power of two and so exactly
    an output that another operator takes, too, or that is an input: the output is a copy (#8599)
"""

import copy
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

BINARY = ("ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE")


class Graph:
    """A subgraph of a model, to which operators are added."""

    def __init__(self, model: Any, graph: Any, schema: Any) -> None:
        self.model, self.graph, self.schema = model, graph, schema
        self.dtypes = {schema.TensorType.FLOAT32: np.dtype("float32"), schema.TensorType.INT32: np.dtype("int32")}
        names = {value: name for name, value in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
        self.types = [names.get(max(c.builtinCode, c.deprecatedBuiltinCode)) for c in model.operatorCodes]
        self.before: dict[int, list[Any]] = {}  # new operators by the `id` of the one before which they are
        self.after: dict[int, list[Any]] = {}
        graph.inputs, graph.outputs = [*map(int, graph.inputs)], [*map(int, graph.outputs)]
        for operator in graph.operators:
            operator.inputs, operator.outputs = [*map(int, operator.inputs)], [*map(int, operator.outputs)]

    def of(self, *types: str) -> Iterator[tuple[Any, list[int], str]]:
        """Yield each operator of some types with the sizes of its first input and the name of its first result."""
        for operator in self.graph.operators:
            if (type := self.types[operator.opcodeIndex]) in types:
                yield operator, self.sizes(operator.inputs[0]), f"{type} ({self.name(operator.outputs[0])})"

    def sizes(self, tensor: int) -> list[int]:
        """Return the shape with -1 for a size that is known only at run time."""
        found = self.graph.tensors[tensor]
        return [int(n) for n in (found.shape if found.shapeSignature is None else found.shapeSignature)]

    def name(self, tensor: int) -> str:
        """Return the name of a tensor."""
        return (self.graph.tensors[tensor].name or b"").decode()

    def values(self, tensor: int) -> np.ndarray | None:
        """Return a constant of float32 or int32, or None."""
        found = self.graph.tensors[tensor]
        data, dtype = self.model.buffers[found.buffer].data, self.dtypes.get(found.type)
        if data is None or not len(data) or dtype is None:
            return None
        return np.frombuffer(np.asarray(data, np.uint8).tobytes(), dtype).reshape(self.sizes(tensor))

    def constant(self, values: np.ndarray) -> int:
        """Add a constant of float32 or int32; return its number."""
        buffer, tensor = self.schema.BufferT(), self.schema.TensorT()
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        tensor.type = next(type for type, dtype in self.dtypes.items() if dtype == values.dtype)
        tensor.shape, tensor.buffer = list(values.shape), len(self.model.buffers) - 1
        return self._tensor(tensor, "repaired")

    def like(self, tensor: int, sizes: list[int]) -> int:
        """Add a tensor of the dtype of another one; return its number."""
        made = copy.copy(self.graph.tensors[tensor])
        made.buffer, made.shape = 0, [abs(n) for n in sizes]
        made.shapeSignature = sizes if -1 in sizes else None
        return self._tensor(made, self.name(tensor))

    def _tensor(self, tensor: Any, name: str) -> int:
        tensor.name = f"{name}/{len(self.graph.tensors)}".encode()
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def operator(self, type: str, inputs: list[int], output: int, options: str) -> Any:
        """Return a new operator."""
        if type not in self.types:
            code = self.schema.OperatorCodeT()
            code.builtinCode = code.deprecatedBuiltinCode = getattr(self.schema.BuiltinOperator, type)
            code.version = 1
            self.model.operatorCodes.append(code)
            self.types.append(type)
        operator = self.schema.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = self.types.index(type), inputs, [output]
        operator.builtinOptionsType = getattr(self.schema.BuiltinOptions, options)
        operator.builtinOptions = getattr(self.schema, f"{options}T")()
        return operator

    def reshape(self, source: int, target: int) -> Any:
        """Return an operator that gives one tensor the shape of another one."""
        return self.operator("RESHAPE", [source, self.constant(np.int32(self.sizes(target)))], target, "ReshapeOptions")

    def insert(self, operator: Any, place: int, sizes: list[int], type: str = "RESHAPE", *others: np.ndarray) -> None:
        """Let an operator take what another one makes of its input, and of some constants."""
        source = operator.inputs[place]
        operator.inputs[place] = made = self.like(source, sizes)
        inputs, options = [source, *map(self.constant, others)], f"{type.title()}Options"
        new = self.operator(type, inputs, made, options) if others else self.reshape(source, made)
        self.before.setdefault(id(operator), []).append(new)


def pads(graph: Graph) -> Iterator[str]:
    """Rewrite PAD of rank 3."""
    for operator, sizes, name in graph.of("PAD", "PADV2"):
        widths, target = graph.values(operator.inputs[1]), operator.outputs[0]
        if len(sizes) == 3 and widths is not None and graph.sizes(target).count(-1) < 2:
            operator.inputs[1] = graph.constant(np.concatenate([np.zeros((1, 2), np.int32), widths]))
            graph.insert(operator, 0, [1, *sizes])
            operator.outputs[0] = wide = graph.like(target, [1, *graph.sizes(target)])
            graph.after[id(operator)] = [graph.reshape(wide, target)]
            yield f"{name} of rank 3 is computed at rank 4"


def broadcasts(graph: Graph) -> Iterator[str]:
    """Rewrite operators of a tensor of rank 3 and a constant of rank 4."""
    for operator, _, name in graph.of(*BINARY):
        ranks = [len(graph.sizes(tensor)) for tensor in operator.inputs]
        if sorted(ranks) == [3, 4] and graph.values(operator.inputs[ranks.index(4)]) is not None:
            place = ranks.index(3)
            sizes = graph.sizes(operator.inputs[place])
            if graph.values(operator.inputs[place]) is None and sizes.count(-1) < 2:
                graph.insert(operator, place, [1, *sizes])
                yield f"{name} takes its input of rank 3 at rank 4, as its constant is"


def sums(graph: Graph) -> Iterator[str]:
    """Rewrite SUM of which only a product with a constant is used."""
    for operator, sizes, name in graph.of("SUM"):
        axes, (target,) = graph.values(operator.inputs[1]), operator.outputs
        users = [other for other in graph.graph.operators if target in other.inputs]
        if (
            len(users) != 1
            or graph.types[users[0].opcodeIndex] != "MUL"
            or target in graph.graph.outputs
            or axes is None
        ):
            continue
        place = 1 - users[0].inputs.index(target)
        factor, count = graph.values(users[0].inputs[place]), math.prod(sizes[axis] for axis in np.ravel(axes))
        if factor is not None and factor.dtype == np.float32 and count > 1:
            power = np.float32(2.0 ** math.ceil(math.log2(count)))
            users[0].inputs[place] = graph.constant(factor * power)
            graph.insert(operator, 0, sizes, "MUL", 1 / power)
            yield f"{name} adds numbers that are divided by {power:g}"


def copies(graph: Graph) -> Iterator[str]:
    """Make copies of outputs that operators take, or that are inputs."""
    taken = {i for operator in graph.graph.operators for i in operator.inputs} | {*graph.graph.inputs}
    for place, tensor in enumerate(graph.graph.outputs):
        if tensor not in taken or graph.sizes(tensor).count(-1) > 1:
            continue
        result, name = graph.like(tensor, graph.sizes(tensor)), graph.name(tensor)
        graph.graph.operators.append(graph.reshape(tensor, result))
        graph.graph.outputs[place] = result
        for entry in graph.model.signatureDefs or ():
            if graph.model.subgraphs[entry.subgraphIndex] is graph.graph:
                for mapping in entry.outputs:
                    mapping.tensorIndex = result if mapping.tensorIndex == tensor else mapping.tensorIndex
        if not graph.model.signatureDefs and tensor not in graph.graph.inputs:  # it is called by the name of its tensor
            old, new = graph.graph.tensors[tensor], graph.graph.tensors[result]
            old.name, new.name = new.name, old.name
        yield f"the output {name}, which the graph uses, is a copy"


REPAIRS: tuple[Callable[[Graph], Iterator[str]], ...] = (pads, broadcasts, sums, copies)


def repair(path: str, out: str) -> list[str]:
    """Write the file with all repairs; return a sentence for each."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(Path(path).read_bytes(), 0))
    done = []
    for subgraph in model.subgraphs:
        graph = Graph(model, subgraph, schema)
        done += [text for change in REPAIRS for text in change(graph)]
        every = [(graph.before.get(id(o), ()), (o,), graph.after.get(id(o), ())) for o in subgraph.operators]
        subgraph.operators = [operator for parts in every for part in parts for operator in part]
    if done:
        builder = flatbuffers.Builder()
        builder.Finish(model.Pack(builder), b"TFL3")
        Path(out).write_bytes(builder.Output())
    return done


if __name__ == "__main__":
    from machine import answer_job

    answer_job(lambda job: repair(job["path"], job["out"]))
