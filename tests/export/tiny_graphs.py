"""TFLite files of a few operators, written from nothing: what GPUs compute wrongly, each of less than a kilobyte."""

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

FLOAT, INT = schema.TensorType.FLOAT32, schema.TensorType.INT32


class Graph:
    """A graph without signatures, whose tensors are t0, t1, ..."""

    def __init__(self):
        self.model, self.graph = schema.ModelT(), schema.SubGraphT()
        self.model.version, self.model.operatorCodes, self.model.buffers = 3, [], [schema.BufferT()]
        self.graph.tensors, self.graph.operators = [], []
        self.model.subgraphs = [self.graph]

    def tensor(self, *shape, values=None, type=FLOAT):
        """Add a tensor, of constant values where they are given; return its number."""
        tensor = schema.TensorT()
        tensor.shape, tensor.type, tensor.buffer = list(shape), type, 0
        tensor.name = f"t{len(self.graph.tensors)}".encode()
        if values is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(values.tobytes(), np.uint8)
            tensor.buffer = len(self.model.buffers)
            self.model.buffers.append(buffer)
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def constant(self, values):
        """Add a constant: int32 of integers, else float32."""
        values = np.asarray(values)
        values = values.astype(np.int32 if values.dtype.kind == "i" else np.float32)
        return self.tensor(*values.shape, values=values, type=INT if values.dtype.kind == "i" else FLOAT)

    def add(self, name, inputs, *shape, version=1, outputs=None, **options):
        """Add an operator with one result of a shape, or with some results; return the number of the first."""
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, name)
        code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), version
        self.model.operatorCodes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex = len(self.model.operatorCodes) - 1
        operator.inputs, operator.outputs = list(inputs), outputs or [self.tensor(*shape)]
        kind = OPTIONS.get(name, f"{name.title().replace('_', '')}Options")
        if hasattr(schema.BuiltinOptions, kind):
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
            operator.builtinOptions = getattr(schema, f"{kind}T")()
            for key, value in options.items():
                setattr(operator.builtinOptions, key, value)
        self.graph.operators.append(operator)
        return operator.outputs[0]

    def write(self, path, inputs, outputs):
        """Write the file."""
        self.graph.inputs, self.graph.outputs = list(inputs), list(outputs)
        builder = flatbuffers.Builder()
        builder.Finish(self.model.Pack(builder), b"TFL3")
        path.write_bytes(builder.Output())
        return path


OPTIONS = {"SUM": "ReducerOptions", "MEAN": "ReducerOptions", "TOPK_V2": "TopKV2Options"}


def pad_of_rank_3(graph):
    """LiteRT #9272."""
    x = graph.tensor(3, 4, 2)
    return [x], [graph.add("PAD", [x, graph.constant([[0, 0], [1, 0], [0, 0]])], 3, 5, 2)]


def pad_of_rank_4(graph):
    x = graph.tensor(1, 3, 4, 2)
    return [x], [graph.add("PAD", [x, graph.constant([[0, 0], [0, 0], [1, 0], [0, 0]])], 1, 3, 5, 2)]


def output_that_is_consumed(graph):
    """LiteRT #8599."""
    x, y = graph.tensor(1, 2, 2, 4), graph.tensor(1, 2, 2, 4)
    total = graph.add("ADD", [x, y], 1, 2, 2, 4)
    return [x, y], [total, graph.add("SUM", [total, graph.constant([3])], 1, 2, 2, 1, keepDims=True)]


def large_sum(graph):
    """LiteRT #9249."""
    x = graph.tensor(1, 8, 8, 4)
    return [x], [graph.add("SUM", [x, graph.constant([1, 2])], 1, 1, 1, 4, keepDims=True)]


def control(graph):
    x = graph.tensor(1, 4, 4, 4)
    return [x], [graph.add("ADD", [x, graph.constant([-1.0, 0.0, 1.0, 2.0])], 1, 4, 4, 4)]


def constant_of_another_rank(graph):
    """LiteRT #8980: a constant of rank 4 is added to a tensor of rank 3."""
    x = graph.tensor(2, 3, 4)
    total = graph.add("ADD", [x, graph.constant(np.arange(12.0).reshape(1, 1, 3, 4))], 1, 2, 3, 4)
    return [x], [graph.add("RESHAPE", [total, graph.constant([2, 3, 4])], 2, 3, 4)]


def root_mean_square(graph):
    """A normalization in parts, whose squares are beyond half precision: onnxruntime #31626, LiteRT #2537."""
    x, axes = graph.tensor(1, 1, 4, 16), graph.constant([3])
    mean = graph.add("MEAN", [graph.add("SQUARE", [x], 1, 1, 4, 16), axes], 1, 1, 4, 1, keepDims=True)
    above = graph.add("ADD", [mean, graph.constant(1e-3)], 1, 1, 4, 1)
    return [x], [graph.add("MUL", [x, graph.add("RSQRT", [above], 1, 1, 4, 1)], 1, 1, 4, 16)]


def sum_that_is_scaled(graph):
    """LiteRT #9249, as in the networks in which it was found: a mean in two parts."""
    x = graph.tensor(1, 8, 8, 4)
    total = graph.add("SUM", [x, graph.constant([1, 2])], 1, 1, 1, 4, keepDims=True)
    return [x], [graph.add("MUL", [total, graph.constant(1 / 64)], 1, 1, 1, 4)]


def top_k_of_five(graph):
    """Found in the zoo's `detector`: LiteRT reports an error, and returns what was in memory before."""
    x = graph.tensor(1, 64, 5)
    values, places = graph.tensor(1, 64, 1), graph.tensor(1, 64, 1, type=INT)
    graph.add("TOPK_V2", [x, graph.constant(np.int64(1))], outputs=[values, places])
    return [x], [values, places]


def arg_max_of_five(graph):
    """Found in the zoo's `unet`: of negative values the class is 5, which does not exist."""
    x, places = graph.tensor(1, 6, 6, 5), graph.tensor(1, 6, 6, type=INT)
    graph.add("ARG_MAX", [x, graph.constant(np.int64(3))], outputs=[places], outputType=INT)
    return [x], [places]


def broadcast(graph):
    """LiteRT #9191: one operator, which no GPU runs."""
    x = graph.tensor(1, 1, 8, 4)
    return [x], [graph.add("BROADCAST_TO", [x, graph.constant([1, 6, 8, 4])], 1, 6, 8, 4, version=2)]


def of_any_batch(graph):
    x = graph.tensor(1, 4, 4, 2)
    y = graph.add("ADD", [x, graph.constant([1.5])], 1, 4, 4, 2)
    for tensor in (x, y):
        graph.graph.tensors[tensor].shapeSignature = [-1, 4, 4, 2]
    return [x], [y]


def partly_refused(graph):
    """Its second operator runs on the processor."""
    x = graph.tensor(1, 4, 4, 2)
    half = graph.add("LOGISTIC", [x], 1, 4, 4, 2)
    return [x], [graph.add("MUL", [half, graph.add("DIV", [half, half], 1, 4, 4, 2)], 1, 4, 4, 2)]


def write(build, path):
    """Write the graph of one of these functions to a file; return its path."""
    graph = Graph()
    return graph.write(path, *build(graph))
