"""Rewrite what GPUs compute wrongly in a TFLite file, by operators that they compute rightly and that change no value.

`python -P repair_tflite.py JOB.json`, the job being {"path": file, "out": file, "result": file}; the result are
sentences, and nothing is written if it is empty. What is rewritten, with the reports of it for LiteRT:
    PAD of rank 3, through rank 4 (#9272)
    TOPK_V2 of a number of values that four does not divide: of more, which are the lowest ones
    an output that another operator takes, too, or that is an input: the output is a copy (#8599)
    a tensor of rank 3 with a constant of rank 4, through rank 4 (#8980)
    SUM before a multiplication with a constant: the sum is of scaled numbers (#9249), by a power of two and so exactly
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

BINARY = ("ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE")


class Graph:
    """A subgraph of a model, to which operators are added."""

    def __init__(self, model: Any, graph: Any, schema: Any) -> None:
        self.model, self.graph, self.schema = model, graph, schema
        names = {value: name for name, value in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
        self.types = [names.get(max(c.builtinCode, c.deprecatedBuiltinCode)) for c in model.operatorCodes]
        self.added: dict[int, list[Any]] = {}  # operators by the `id` of the one before which they are
        graph.inputs, graph.outputs = [*map(int, graph.inputs)], [*map(int, graph.outputs)]
        for operator in graph.operators:
            operator.inputs, operator.outputs = [*map(int, operator.inputs)], [*map(int, operator.outputs)]

    def type(self, operator: Any) -> str | None:
        """Return the type of an operator, None if it is unknown."""
        return self.types[operator.opcodeIndex]

    def shape(self, tensor: int) -> list[int]:
        """Return the shape of a tensor as it is in the file."""
        return [int(n) for n in self.graph.tensors[tensor].shape]

    def signature(self, tensor: int) -> list[int]:
        """Return the shape with -1 for a size that is known only at run time."""
        of_run_time = self.graph.tensors[tensor].shapeSignature
        return self.shape(tensor) if of_run_time is None else [int(n) for n in of_run_time]

    def name(self, tensor: int) -> str:
        """Return the name of a tensor."""
        return (self.graph.tensors[tensor].name or b"").decode()

    def values(self, tensor: int) -> np.ndarray | None:
        """Return a constant of float32 or int32, or None."""
        kinds = {self.schema.TensorType.FLOAT32: np.float32, self.schema.TensorType.INT32: np.int32}
        found = self.graph.tensors[tensor]
        data = self.model.buffers[found.buffer].data
        if data is None or not len(data) or found.type not in kinds:
            return None
        return np.frombuffer(np.asarray(data, np.uint8).tobytes(), kinds[found.type]).reshape(self.shape(tensor))

    def constant(self, values: np.ndarray) -> int:
        """Add a constant; return its number."""
        buffer, tensor = self.schema.BufferT(), self.schema.TensorT()
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        types = self.schema.TensorType
        tensor.type = types.INT32 if values.dtype == np.int32 else types.FLOAT32
        tensor.shape, tensor.buffer = list(values.shape), len(self.model.buffers) - 1
        return self._tensor(tensor, f"repaired/{len(self.graph.tensors)}")

    def like(self, tensor: int, shape: list[int]) -> int:
        """Add a tensor of the dtype of another one; return its number."""
        made = copy.copy(self.graph.tensors[tensor])
        made.buffer, made.shape = 0, [abs(n) for n in shape]
        made.shapeSignature = shape if -1 in shape else None
        return self._tensor(made, f"{self.name(tensor)}/{len(self.graph.tensors)}")

    def _tensor(self, tensor: Any, name: str) -> int:
        tensor.name = name.encode()
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
        shape = np.array(self.signature(target), np.int32)
        return self.operator("RESHAPE", [source, self.constant(shape)], target, "ReshapeOptions")

    def of_rank_4(self, operator: Any, place: int) -> None:
        """Let an operator take an input of rank 3 through a new first axis of size one."""
        tensor = operator.inputs[place]
        wide = self.like(tensor, [1, *self.signature(tensor)])
        operator.inputs[place] = wide
        self.added.setdefault(id(operator), []).append(self.reshape(tensor, wide))


def pads(graph: Graph) -> list[str]:
    """Rewrite PAD of rank 3."""
    done, operators = [], []
    for operator in graph.graph.operators:
        operators.append(operator)
        if graph.type(operator) not in ("PAD", "PADV2") or len(graph.shape(operator.inputs[0])) != 3:
            continue
        widths, target = graph.values(operator.inputs[1]), operator.outputs[0]
        if widths is None or graph.signature(target).count(-1) > 1:
            continue
        operator.inputs[1] = graph.constant(np.concatenate([np.zeros((1, 2), np.int32), widths]))
        graph.of_rank_4(operator, 0)
        operator.outputs[0] = wide = graph.like(target, [1, *graph.signature(target)])
        operators.append(graph.reshape(wide, target))
        done.append(f"{graph.type(operator)} ({graph.name(target)}) of rank 3 is computed at rank 4")
    graph.graph.operators = operators
    return done


def top_k(graph: Graph) -> list[str]:
    """Rewrite TOPK_V2 of a number of float values that four does not divide."""
    done, lowest = [], np.array(np.finfo(np.float32).min)
    for operator in (o for o in graph.graph.operators if graph.type(o) == "TOPK_V2"):
        source = operator.inputs[0]
        sizes = graph.signature(source)
        if sizes[-1] == -1 or sizes[-1] % 4 == 0 or graph.graph.tensors[source].type != graph.schema.TensorType.FLOAT32:
            continue
        wide = graph.like(source, [*sizes[:-1], sizes[-1] + 4 - sizes[-1] % 4])
        widths = np.zeros((len(sizes), 2), np.int32)
        widths[-1, 1] = 4 - sizes[-1] % 4
        inputs = [source, graph.constant(widths), graph.constant(lowest)]
        graph.added.setdefault(id(operator), []).append(graph.operator("PADV2", inputs, wide, "PadV2Options"))
        operator.inputs[0] = wide
        done.append(
            f"TOPK_V2 ({graph.name(operator.outputs[0])}) is of {widths[-1, 1]} more values, the lowest there are"
        )
    return done


def broadcasts(graph: Graph) -> list[str]:
    """Rewrite operators of a tensor of rank 3 and a constant of rank 4."""
    done = []
    for operator in graph.graph.operators:
        ranks = [len(graph.shape(i)) for i in operator.inputs] if graph.type(operator) in BINARY else []
        constants = [graph.values(i) is not None for i in operator.inputs] if ranks else []
        if sorted(ranks) == [3, 4] and constants[ranks.index(4)] and not constants[ranks.index(3)]:
            if graph.signature(operator.inputs[ranks.index(3)]).count(-1) > 1:
                continue
            graph.of_rank_4(operator, ranks.index(3))
            name = graph.name(operator.outputs[0])
            done.append(f"{graph.type(operator)} ({name}) takes its input of rank 3 at rank 4, as its constant is")
    return done


def sums(graph: Graph) -> list[str]:
    """Rewrite SUM of which only a product with a constant is used."""
    done = []
    for operator in (o for o in graph.graph.operators if graph.type(o) == "SUM"):
        (source, axes), (target,) = operator.inputs, operator.outputs
        users = [other for other in graph.graph.operators if target in other.inputs]
        if len(users) != 1 or graph.type(users[0]) != "MUL" or target in graph.graph.outputs:
            continue
        place = users[0].inputs.index(target)
        factor, sizes = graph.values(users[0].inputs[1 - place]), graph.signature(source)
        reduced = [sizes[axis] for axis in np.ravel(graph.values(axes))] if graph.values(axes) is not None else [-1]
        if factor is None or factor.dtype != np.float32 or -1 in reduced:
            continue
        power = np.float32(2.0 ** math.ceil(math.log2(math.prod(reduced))))
        scaled = graph.like(source, sizes)
        product = graph.operator("MUL", [source, graph.constant(1 / power)], scaled, "MulOptions")
        graph.added.setdefault(id(operator), []).append(product)
        operator.inputs[0], users[0].inputs[1 - place] = scaled, graph.constant(factor * power)
        done.append(f"SUM ({graph.name(target)}) adds numbers that are divided by {power:g}")
    return done


def copies(graph: Graph) -> list[str]:
    """Make copies of outputs that operators take, or that are inputs."""
    done = []
    taken = {i for operator in graph.graph.operators for i in operator.inputs} | {*graph.graph.inputs}
    for place, tensor in enumerate(graph.graph.outputs):
        if tensor not in taken or graph.signature(tensor).count(-1) > 1:
            continue
        result = graph.like(tensor, graph.signature(tensor))
        graph.graph.operators.append(graph.reshape(tensor, result))
        graph.graph.outputs[place] = result
        for entry in graph.model.signatureDefs or ():
            if graph.model.subgraphs[entry.subgraphIndex] is graph.graph:
                for mapping in entry.outputs:
                    mapping.tensorIndex = result if mapping.tensorIndex == tensor else mapping.tensorIndex
        if not graph.model.signatureDefs:  # the output is called by the name of its tensor
            old, new = graph.graph.tensors[tensor], graph.graph.tensors[result]
            if tensor not in graph.graph.inputs:
                old.name, new.name = new.name, old.name
        done.append(f"the output {graph.name(tensor)}, which the graph uses, is a copy")
    return done


REPAIRS: tuple[Callable[[Graph], list[str]], ...] = (pads, top_k, broadcasts, sums, copies)


def repair(path: str, out: str) -> list[str]:
    """Write the file with all repairs; return a sentence for each."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(Path(path).read_bytes(), 0))
    done = []
    for subgraph in model.subgraphs:
        graph = Graph(model, subgraph, schema)
        done += [text for change in REPAIRS for text in change(graph)]
        subgraph.operators = [
            o for operator in subgraph.operators for o in (*graph.added.get(id(operator), ()), operator)
        ]
    if done:
        builder = flatbuffers.Builder()
        builder.Finish(model.Pack(builder), b"TFL3")
        Path(out).write_bytes(builder.Output())
    return done


if __name__ == "__main__":
    from machine import read_job

    job = read_job()
    Path(job["result"]).write_text(json.dumps(repair(job["path"], job["out"])))
