"""Read the contents of a SavedModel of any TensorFlow version since 1.x.

The graph is read with the protocol buffers of TensorBoard, which need no TensorFlow.

Its branches are found that are chosen by the numbers that it is given: a proof by examples sees only those branches
that its examples take. Branches that depend on shapes, counters or constants, such as the loop of an RNN over its time
steps, are no such branches; nor are those that depend on strings, such as the decoding of a PNG or a JPEG file, because
every kind of file and text has a golden case. The graph is followed forwards: a value depends on the inputs if any
argument of its operator does; shapes do not.
"""

import functools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from export.formats.format import Description, Port, Signature
from export.runtime.backend import load_tensorflow
from zoobase.errors import ExportError

INIT = "__saved_model_init_op"
SAVING = {"SaveV2": (0,), "MergeV2Checkpoints": (0, 1)}  # operators of a saver, and their inputs that name files
RESTORING = {"RestoreV2": (0,)}
CLOCKS = ("Timestamp",)
TABLE_FILES = ("InitializeTableFromTextFile", "InitializeTableFromTextFileV2")
STRING = 7  # DT_STRING of types.proto
DTYPES = {"FLOAT": "float32", "DOUBLE": "float64", "HALF": "float16"}  # of types.proto, as NumPy spells them
OF_SHAPES = frozenset(
    {
        *("Shape", "ShapeN", "Size", "Rank", "ZerosLike", "OnesLike", "BroadcastGradientArgs"),
        *("TensorListLength", "TensorListElementShape", "TensorArraySizeV3"),
    }
)
CALLS = frozenset(("PartitionedCall", "StatefulPartitionedCall", "RemoteCall", "SymbolicGradient"))
ASSERTION = frozenset(("Assert", "NoOp", "Identity", "Const", "Placeholder"))  # what the branches of an assertion hold
ALLOWED = Path(__file__).with_name("inference_operators.txt")


def describe(description: Description) -> None:
    """Fill in signatures, operators, flags, parameters and producer."""
    describe_graph(description)
    load_tensorflow()
    description.flagged["custom"] = sorted(_unknown(description.operations))
    description.parameters = _parameters(description)


@functools.cache
def _message() -> Any:
    """Return the class of saved_model.proto, the only file of a SavedModel that TensorBoard lacks."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    from tensorboard.compat.proto import meta_graph_pb2

    field = descriptor_pb2.FieldDescriptorProto
    graphs = field(name="meta_graphs", number=2, label=field.LABEL_REPEATED, type=field.TYPE_MESSAGE)
    graphs.type_name = f".{meta_graph_pb2.MetaGraphDef.DESCRIPTOR.full_name}"
    file = descriptor_pb2.FileDescriptorProto(name="export/saved_model.proto", package="export")
    file.dependency.append(meta_graph_pb2.DESCRIPTOR.name)
    file.message_type.add(name="SavedModel", field=[graphs])
    pool = descriptor_pool.Default()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("export.SavedModel"))


def describe_graph(description: Description) -> None:
    """Fill in what needs no TensorFlow: all but the number of parameters and the custom operators."""
    model = _message()()
    model.ParseFromString((description.path / "saved_model.pb").read_bytes())
    tags = ["+".join(sorted(m.meta_info_def.tags)) for m in model.meta_graphs]
    if "serve" not in tags:  # C++ and Python load the graph whose tags are exactly those asked for
        raise ExportError(f"{description.path} has no graph with the tag serve (it has {', '.join(tags) or 'none'})")
    meta = model.meta_graphs[tags.index("serve")]
    description.producer = {"tensorflow": meta.meta_info_def.tensorflow_version}
    description.signatures = tuple(
        Signature(name, _ports(signature.inputs), _ports(signature.outputs))
        for name, signature in sorted(meta.signature_def.items())
        if name != INIT
    )
    graph = _Graph(meta)
    served = graph.reachable(_outputs(meta))
    counts = Counter(op for op in served.values() if op not in graph.functions)
    description.operations = dict(sorted(counts.items()))
    description.flagged = {
        "flex": [],
        "custom": [],
        "random": [op for op in description.operations if allowed_operators().get(op) == "random"],
        "stateful": [op for op in description.operations if allowed_operators().get(op) == "stateful"],
        "clock": [op for op in description.operations if op in CLOCKS],
        "external": [op for op in description.operations if op not in {*allowed_operators(), *TABLE_FILES, *CLOCKS}],
        "branches": list(data_branches([graph.nodes[name] for scope, name in served if not scope], graph.functions)),
    }
    # Saving belongs to the saver, reading a table to the assets; anywhere else these read or write files.
    everything = graph.everything()
    saver = graph.saves_by_name() if {*everything.values()} & {*SAVING, *RESTORING} else set()
    operators = {op for key, op in everything.items() if key not in saver}
    description.unlisted = sorted(operators - allowed_operators().keys() - set(graph.functions) - set(TABLE_FILES))
    description.risks = list(_risks(graph, description.unlisted))
    if len(tags) > 1:
        description.risks.append(f"it has {len(tags)} graphs, with the tags {', '.join(tags)}: loaders choose by tags")
    if links := sorted(p.name for p in description.path.rglob("*") if p.is_symlink()):
        description.risks.append(f"its {links[0]} is a symbolic link")


def _ports(infos: Any) -> tuple[Port, ...]:
    from tensorboard.compat.proto import types_pb2

    def port(name: str, info: Any) -> Port:
        shape = info.tensor_shape
        sizes = None if shape.unknown_rank else tuple(None if d.size < 0 else d.size for d in shape.dim)
        dtype = types_pb2.DataType.Name(info.dtype).removeprefix("DT_").removesuffix("_REF")
        return Port(name, DTYPES.get(dtype, dtype.lower()), sizes)

    return tuple(port(name, info) for name, info in sorted(infos.items()))


def _outputs(meta: Any) -> list[str]:
    return [
        info.name for name, s in meta.signature_def.items() if name != INIT for info in s.outputs.values() if info.name
    ]


class _Graph:
    """Nodes by name, and functions, of a meta graph."""

    def __init__(self, meta: Any) -> None:
        self.nodes = {node.name: node for node in meta.graph_def.node}
        self.functions = {f.signature.name: f for f in meta.graph_def.library.function}
        self.saver = meta.saver_def
        self.asset_files = [asset.filename for asset in meta.asset_file_def]
        self.assets = {_node_name(asset.tensor_info.name) for asset in meta.asset_file_def}
        self.objects = meta.object_graph_def
        self.exposed = [info.name for s in meta.signature_def.values() for info in s.outputs.values() if info.name]
        for collection in ("saved_model_main_op", "legacy_init_op"):
            self.exposed += meta.collection_def[collection].node_list.value if collection in meta.collection_def else ()

    def reachable(self, tensors: Iterable[str]) -> dict[tuple[str, str], str]:
        """Return {(function or "", node name): operator} that tensors depend on, including called functions."""
        operators: dict[tuple[str, str], str] = {}
        called: set[str] = set()
        pending = [_node_name(tensor) for tensor in tensors]
        while pending:
            name = pending.pop()
            if ("", name) in operators or name not in self.nodes:
                continue
            node = self.nodes[name]
            operators["", name] = node.op
            pending += map(_node_name, node.input)
            self._enter(node, called, operators)
        return operators

    def _enter(self, node: Any, called: set[str], operators: dict[tuple[str, str], str]) -> None:
        for name in callees(node):
            if name in self.functions and name not in called:
                called.add(name)
                for inner in self.functions[name].node_def:
                    operators[name, inner.name] = inner.op
                    self._enter(inner, called, operators)

    def tables_are_assets(self) -> bool:
        """Return whether every table that is read from a file is read from an asset of the artifact."""
        scopes = {"": list(self.nodes.values())} | {name: list(f.node_def) for name, f in self.functions.items()}
        return all(
            self._is_asset(scope, node.input[1], set())
            for scope, nodes in scopes.items()
            for node in nodes
            if node.op in TABLE_FILES
        )

    def _is_asset(self, scope: str, tensor: str, seen: set[tuple[str, str]]) -> bool:
        """Follow a tensor to where it comes from, out of functions through every call of them."""
        name = _node_name(tensor)
        if (scope, name) in seen:
            return False
        seen.add((scope, name))
        nodes = self._nodes_of(scope)
        if name in nodes:
            node = nodes[name]
            if node.op in ("Identity", "StopGradient"):
                return self._is_asset(scope, node.input[0], seen)
            if node.op == "ReadVariableOp" and not scope:
                return self._holds_asset(_node_name(node.input[0]), seen)
            return not scope and name in self.assets
        arguments = [a.name for a in self.functions[scope].signature.input_arg] if scope else []
        if name not in arguments:
            return False
        position = arguments.index(name)
        bound = self.objects.concrete_functions[scope].bound_inputs if scope in self.objects.concrete_functions else ()
        captured = position - (len(arguments) - len(bound))
        if captured >= 0 and self.objects.nodes[bound[captured]].WhichOneof("kind") != "asset":
            return False  # what Python's loader passes there
        calls = self._calls_of(scope)
        return bool(calls) and all(
            position < len(node.input) and self._is_asset(f, node.input[position], seen) for f, node in calls
        )

    def _holds_asset(self, variable: str, seen: set[tuple[str, str]]) -> bool:
        """Return whether all that is ever assigned to a variable of strings is an asset."""
        inside = [node for f in self.functions.values() for node in f.node_def]
        if any(node.op == "AssignVariableOp" and node.attr["dtype"].type == STRING for node in inside):
            return False  # which variable a function assigns to is not followed
        assigned = [n for n in self.nodes.values() if n.op == "AssignVariableOp" and _node_name(n.input[0]) == variable]
        return bool(assigned) and all(self._is_asset("", node.input[1], seen) for node in assigned)

    def saves_by_name(self) -> set[tuple[str, str]]:
        """Return the operators of a saver in its standard structure: they get their file names from the loader."""
        # Saving is reached by `save_tensor_name` only, restoring by `restore_op_name` only, and neither by a signature,
        # an initialiser or a function of the object graph.
        exposed, called = self.reachable(self.exposed), set(self.objects.concrete_functions)
        while called:  # what Python can call
            inner = [self.functions[name] for name in called & self.functions.keys()]
            nodes = {(function.signature.name, n.name): n for function in inner for n in function.node_def}
            exposed |= {key: node.op for key, node in nodes.items()}
            called = {name for node in nodes.values() for name in callees(node)} - {scope for scope, _ in exposed}
        standard: set[tuple[str, str]] = set()
        for start, operators in ((self.saver.save_tensor_name, SAVING), (self.saver.restore_op_name, RESTORING)):
            for (scope, name), op in (self.reachable([start]) if start else {}).items():
                if op in operators and (scope, name) not in exposed:
                    node = self._nodes_of(scope)[name]
                    if all(self._names_file(scope, node.input[i], set()) for i in operators[op]):
                        standard.add((scope, name))
        return standard

    def _nodes_of(self, scope: str) -> Mapping[str, Any]:
        return {n.name: n for n in self.functions[scope].node_def} if scope else self.nodes

    def _names_file(self, scope: str, tensor: str, seen: set[tuple[str, str]]) -> bool:
        """Return whether a string is the file name that the loader passes, or a part of it that is appended to it."""
        name = _node_name(tensor)
        if (scope, name) in seen:
            return False
        seen.add((scope, name))
        nodes = self._nodes_of(scope)
        if name not in nodes:  # an argument of the function: in every call of it
            arguments = [a.name for a in self.functions[scope].signature.input_arg]
            position = arguments.index(name) if name in arguments else -1
            calls = [(f, n) for f, n in self._calls_of(scope) if 0 <= position < len(n.input)]
            return bool(calls) and all(self._names_file(f, n.input[position], seen) for f, n in calls)
        if not scope and name == _node_name(self.saver.filename_tensor_name):
            return True
        node = nodes[name]
        inputs = [i for i in node.input if not i.startswith("^")]
        if node.op in ("Identity", "ShardedFilename"):
            return self._names_file(scope, inputs[0], seen)
        if node.op == "StringJoin":
            parts = {_node_name(i) for i in inputs[1:]}
            return self._names_file(scope, inputs[0], seen) and all(self._is_part(nodes, part) for part in parts)
        if node.op == "Pack":
            return bool(inputs) and all(self._names_file(scope, i, set(seen)) for i in inputs)
        return False

    def _is_part(self, nodes: Mapping[str, Any], name: str) -> bool:
        """Return whether a string is a constant, or a choice of constants, that leads nowhere else."""
        node = nodes.get(name)
        if node is not None and node.op in ("Select", "SelectV2", "Identity"):
            return all(self._is_part(nodes, _node_name(i)) for i in list(node.input)[-2:])
        return (
            node is not None
            and node.op == "Const"
            and not any(b".." in v for v in node.attr["value"].tensor.string_val)
        )

    def _calls_of(self, function: str) -> list[tuple[str, Any]]:
        scopes = {"": self.nodes.values()} | {name: f.node_def for name, f in self.functions.items()}
        return [(scope, node) for scope, inner in scopes.items() for node in inner if function in callees(node)]

    def everything(self) -> dict[tuple[str, str], str]:
        """Return every node, those inside functions included."""
        inside = {(f.signature.name, n.name): n.op for f in self.functions.values() for n in f.node_def}
        return {("", name): node.op for name, node in self.nodes.items()} | inside


def _node_name(tensor: str) -> str:
    return tensor.removeprefix("^").partition(":")[0]


def callees(node: Any) -> Iterator[str]:
    """Yield the names of what a node may call: its operator, and the functions in its attributes."""
    yield node.op
    for value in node.attr.values():
        if value.func.name:
            yield value.func.name
        yield from (f.name for f in value.list.func)


def _unknown(operations: Iterable[str]) -> Iterator[str]:
    """Yield operators that are not registered in TensorFlow."""
    from tensorflow.python.framework import op_def_registry

    return (op for op in operations if op_def_registry.get(op) is None)


def _risks(graph: _Graph, unlisted: list[str]) -> Iterator[str]:
    if unlisted:
        yield (
            f"its graph holds {', '.join(unlisted)}, not on the list of inference operators: it may reach "
            f"files, the network or Python"
        )
    if not graph.tables_are_assets():
        yield "its graph reads a table from a file that is not among its assets"
    if names := [name for name in graph.asset_files if name in ("", ".", "..") or set(name) & set("/\\\0")]:
        yield f"its asset {names[0]} lies outside its folder"


@functools.cache
def allowed_operators() -> dict[str, str]:
    """Return {operator that a graph may hold without being trusted: "", or how its definition is stateful}."""
    # "random", "stateful", or "reading": a graph that holds it answers the same in every call
    lines = [line.split() for line in ALLOWED.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return {operator: "".join(kind) for operator, *kind in lines}


def _parameters(description: Description) -> int | None:
    import tensorflow as tf

    index = description.path / "variables" / "variables"
    if not index.with_suffix(".index").exists():
        return None
    try:
        shapes = tf.train.load_checkpoint(str(index)).get_variable_to_shape_map()
    except Exception:  # damaged variables: the count is unknown
        return None
    return int(sum(np.prod(shape) for name, shape in shapes.items() if not name.startswith("_CHECKPOINTABLE")))


def data_branches(nodes: Iterable[Any], functions: Mapping[str, Any]) -> dict[str, int]:
    """Return {operator: number of branches that are chosen by input numbers}, of NodeDef and FunctionDef messages."""
    flow = _Flow(functions)
    flow.run(list(nodes), {})
    counts: dict[str, int] = {}
    for operator in flow.branches.values():
        counts[operator] = counts.get(operator, 0) + 1
    return dict(sorted(counts.items()))


class _Flow:
    """Which values depend on inputs, by function and by which of its arguments do."""

    def __init__(self, functions: Mapping[str, Any]) -> None:
        self.functions = functions
        self.branches: dict[tuple[str, str], str] = {}  # (function, node): operator
        self.results: dict[tuple[str, tuple[bool, ...]], list[bool]] = {}

    def call(self, name: str, arguments: Sequence[bool]) -> list[bool]:
        """Return which outputs of a function depend on inputs."""
        key = name, tuple(arguments)
        if key not in self.results:
            function = self.functions[name]
            names = [argument.name for argument in function.signature.input_arg]
            values = self.run(function.node_def, dict(zip(names, arguments, strict=False)), name)
            outputs = [function.ret[output.name] for output in function.signature.output_arg]
            self.results[key] = [_depends(values, output) for output in outputs]
        return self.results[key]

    def run(self, nodes: Sequence[Any], arguments: Mapping[str, bool], scope: str = "") -> dict[str, list[bool]]:
        """Return which outputs of each node depend on inputs; repeated until nothing changes, because of loops."""
        values = {name: [depends] for name, depends in arguments.items()}
        changed = True
        while changed:
            changed = False
            for node in nodes:
                inputs = [_depends(values, tensor) for tensor in node.input if not tensor.startswith("^")]
                result = self._outputs(node, inputs, scope)
                if result != values.get(node.name, [False]):
                    values[node.name], changed = result, True
        return values

    def _outputs(self, node: Any, inputs: list[bool], scope: str) -> list[bool]:
        op = node.op
        if op.startswith("Placeholder") and not scope:
            return [node.attr["dtype"].type != STRING]
        if op in OF_SHAPES:
            return [False]
        if op in self.functions:
            return self.call(op, inputs)
        if op in CALLS and node.attr["f"].func.name in self.functions:
            return self.call(node.attr["f"].func.name, inputs)
        if op in ("While", "StatelessWhile"):
            return self._loop(node, inputs, scope)
        if op in ("If", "StatelessIf", "Case", "StatelessCase"):
            return self._choice(node, inputs, scope)
        if op in ("Switch", "RefSwitch") and len(inputs) > 1 and inputs[1]:
            self.branches[scope, node.name] = op
        return [any(inputs)]

    def _loop(self, node: Any, inputs: list[bool], scope: str) -> list[bool]:
        values = list(inputs)
        while True:
            after = [a or b for a, b in zip(values, self.call(node.attr["body"].func.name, values), strict=True)]
            if after == values:
                break
            values = after
        if any(self.call(node.attr["cond"].func.name, values)):
            self.branches[scope, node.name] = node.op
        return values

    def _choice(self, node: Any, inputs: list[bool], scope: str) -> list[bool]:
        functions = [node.attr[key].func.name for key in ("then_branch", "else_branch") if node.attr[key].func.name]
        functions += [function.name for function in node.attr["branches"].list.func]
        outputs = [self.call(name, inputs[1:]) for name in functions]
        operators = {inner.op for name in functions for inner in self.functions[name].node_def}
        if inputs[0] and not operators <= ASSERTION:
            self.branches[scope, node.name] = node.op
        return [inputs[0] or any(column) for column in zip(*outputs, strict=False)] or [inputs[0]]


def _depends(values: Mapping[str, list[bool]], tensor: str) -> bool:
    """Return whether a tensor, "node", "node:2" or "node:output:2", depends on inputs."""
    name, *rest = tensor.split(":")
    outputs = values.get(name, [False])
    index = int(rest[-1]) if rest and rest[-1].isdigit() else 0
    return outputs[index] if index < len(outputs) else outputs[-1]


def asset_files(folder: Path) -> list[str]:
    """Return the names of the files that the graphs of a SavedModel read as assets."""
    model = _message()()
    model.ParseFromString((folder / "saved_model.pb").read_bytes())
    return [asset.filename for meta in model.meta_graphs for asset in meta.asset_file_def]
