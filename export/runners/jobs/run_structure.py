"""Compare the graph of a SavedModel with the trace of its Keras model, operator by operator: what no example finds.

`python -P launch.py run_structure.py JOB`, where the job names the SavedModel, the Keras file and the endpoints.
Names, shapes that are only stated, and identities do not count; constants and variables count by their values, lookup
tables by their content. A function is compared where it is called. Only TensorFlow, Keras, NumPy and the protocol.
"""

from __future__ import annotations

import hashlib
import json
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

if __package__:
    from export.protocol import calls, machine, runner
    from export.runners import run_keras
else:
    import calls
    import machine
    import run_keras
    import runner

TRANSPARENT = frozenset({"Identity", "IdentityN", "EnsureShape", "StopGradient", "PreventGradient", "NoOp"})
CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
SILENT = frozenset({"Tin", "Tout", "config", "config_proto", "executor_type", "output_shapes", "parallel_iterations"})
SILENT |= frozenset({"container", "shared_name", "debug_name", "allowed_devices", "message"})  # names, texts of errors
LIMIT = 10**6  # operators of one graph, calls inlined
Value = tuple[str, ...]  # (operator, digest of it and its inputs, ...)


class Digests:
    """Operators by digests that say what they compute, and not how anything is named.

    Attributes:
        operators: Digest -> (operator, digests of its inputs, the attributes that count).
    """

    def __init__(self) -> None:
        self.operators: dict[str, tuple[str, tuple[str, ...], str]] = {}

    def add(self, operator: str, inputs: tuple[str, ...], attributes: str) -> str:
        """Return the digest of an operator, and remember it."""
        digest = hashlib.sha256(repr((operator, inputs, attributes)).encode()).hexdigest()[:24]
        self.operators[digest] = operator, inputs, attributes
        if len(self.operators) > LIMIT:
            raise ValueError(f"the graph has more than {LIMIT:,} operators")
        return digest


class Graph(Digests):
    """The canonical form of a function: a digest of each output, and of each operator that acts without one."""

    def __init__(self, concrete: Any, names: Mapping[str, str], merged: bool = False) -> None:
        """Read a concrete function."""
        definition = concrete.graph.as_graph_def(add_shapes=False)
        self.functions = {f.signature.name: f for f in definition.library.function}
        super().__init__()
        captured = dict(
            zip((t.op.name for t in concrete.graph.internal_captures), concrete.captured_inputs, strict=True)
        )
        given = {name: self._leaf("input", name_of) for name, name_of in names.items()}
        given |= {name: self._leaf(*_content(tensor, merged)) for name, tensor in captured.items()}
        scope = _Scope({node.name: node for node in definition.node}, given)
        outputs = zip(sorted(concrete.structured_outputs), concrete.outputs, strict=True)  # flattened in this order
        self.outputs = {name: self._tensor(scope, tensor.name) for name, tensor in outputs}
        self.acting = sorted(self._acting(scope, [op.name for op in concrete.graph.control_outputs]))

    def _leaf(self, kind: str, text: str) -> str:
        return self.add(kind, (), text)

    def _tensor(self, scope: _Scope, tensor: str) -> str:
        """Return the digest of a tensor: "node", "node:1" of a graph, "node:output:1" of a function."""
        name, *rest = tensor.removeprefix("^").split(":")
        if tensor not in scope.known:
            scope.known[tensor] = self._value(scope, name, rest)
        return scope.known[tensor]

    def _value(self, scope: _Scope, name: str, rest: list[str]) -> str:
        if name in scope.given:
            return scope.given[name]
        node = scope.nodes[name]
        inputs = [i for i in node.input if not i.startswith("^")]
        index = self._index(node, rest)
        if node.op in TRANSPARENT and inputs:
            return self._tensor(scope, inputs[index if node.op == "IdentityN" else 0])
        arguments = tuple(self._tensor(scope, i) for i in inputs)
        function = node.attr["f"].func.name if node.op in CALLS else node.op
        if function in self.functions:
            return self._call(function, arguments, index)
        controls = tuple(sorted(self._controls(scope, node)))
        return self.add(f"{node.op}:{index}" if index else node.op, (*arguments, *controls), self._attributes(node))

    def _acting(self, scope: _Scope, names: list[str]) -> set[str]:
        """Return the operators that act and run because of the named ones, whatever uses their outputs."""
        found, pending, seen = set(), list(names), set()
        while pending:
            node = scope.nodes.get(name := pending.pop())
            if node is None or name in seen:
                continue
            seen.add(name)
            pending += [i[1:] for i in node.input if i.startswith("^")]
            function = node.attr["f"].func.name if node.op in CALLS else node.op
            if function in self.functions:
                inner = self.functions[function]
                values = [self._tensor(scope, i) for i in node.input if not i.startswith("^")]
                given = {a.name: v for a, v in zip(inner.signature.input_arg, values, strict=True)}
                called = _Scope({n.name: n for n in inner.node_def}, given)
                found |= self._acting(called, list(inner.control_ret.values()))
            elif node.op not in TRANSPARENT and _acts(node.op):
                found.add(self._tensor(scope, name))
        return found

    def _controls(self, scope: _Scope, node: Any) -> Iterator[str]:
        """Yield what must run before a node and is not the order of reading variables: operators that act."""
        for tensor in node.input:
            if tensor.startswith("^") and scope.nodes.get(tensor[1:]) is not None:
                operator = scope.nodes[tensor[1:]].op
                if operator not in TRANSPARENT and operator not in CALLS and _acts(operator):
                    yield self._tensor(scope, tensor)

    def _index(self, node: Any, rest: list[str]) -> int:
        """Return the number of an output of a node; in functions it is named, and numbered within that name."""
        if not rest:
            return 0
        if len(rest) == 1:
            return int(rest[0])
        function = self.functions.get(node.op)
        arguments = function.signature.output_arg if function is not None else _definition(node.op).output_arg
        start = 0
        for argument in arguments:
            if argument.name == rest[0]:
                return start + int(rest[1])
            start += _length(argument, node)
        raise ValueError(f"{node.op} has no output {rest[0]}")

    def _call(self, name: str, arguments: tuple[str, ...], index: int) -> str:
        function = self.functions[name]
        given = {a.name: v for a, v in zip(function.signature.input_arg, arguments, strict=True)}
        scope = _Scope({node.name: node for node in function.node_def}, given)
        return self._tensor(scope, function.ret[function.signature.output_arg[index].name])

    def _body(self, name: str) -> str:
        """Return the digest of a function that an operator of control flow calls."""
        function = self.functions[name]
        given = {a.name: self._leaf("argument", str(i)) for i, a in enumerate(function.signature.input_arg)}
        scope = _Scope({node.name: node for node in function.node_def}, given)
        outputs = [self._tensor(scope, function.ret[a.name]) for a in function.signature.output_arg]
        acting = sorted(self._acting(scope, list(function.control_ret.values())))
        return self.add("function", (*outputs, *acting), "")

    def _attributes(self, node: Any) -> str:
        import tensorflow as tf

        values = []
        for name in sorted(node.attr):
            value = node.attr[name]
            if name.startswith("_") or name in SILENT:
                continue
            if value.func.name:
                values.append((name, self._body(value.func.name)))
            elif value.list.func:
                values.append((name, *(self._body(f.name) for f in value.list.func)))
            elif value.HasField("tensor"):
                values.append((name, _digest(tf.make_ndarray(value.tensor))))
            else:
                values.append((name, value.SerializeToString(deterministic=True).hex()))
        return repr(values)


class _Scope:
    """The nodes of a graph or of one call of a function, the digests of its arguments, and those found so far."""

    def __init__(self, nodes: Mapping[str, Any], given: Mapping[str, str]) -> None:
        self.nodes, self.given, self.known = nodes, given, {}


def _definition(operator: str) -> Any:
    from tensorflow.python.framework import op_def_registry

    return op_def_registry.get(operator)


def _acts(operator: str) -> bool:
    """Return whether an operator may act, by its definition; asserting and reading change nothing."""
    definition = _definition(operator)
    reading = ("ReadVariableOp", "Assert", "VarHandleOp", "LookupTableFindV2", "LookupTableSizeV2")
    return definition is None or (definition.is_stateful and operator not in reading)


def _length(argument: Any, node: Any) -> int:
    """Return the number of tensors of an output argument of a node."""
    if argument.number_attr:
        return node.attr[argument.number_attr].i
    return len(node.attr[argument.type_list_attr].list.type) if argument.type_list_attr else 1


def _digest(value: np.ndarray) -> str:
    content = repr(value.tolist()).encode() if value.dtype.kind in "OSU" else np.ascontiguousarray(value).tobytes()
    return f"{value.dtype} {value.shape} {hashlib.sha256(content).hexdigest()}"


def _content(tensor: Any, merged: bool) -> tuple[str, str]:
    """Return the kind and the content of a captured tensor: a constant, a variable or a lookup table."""
    import tensorflow as tf

    if tensor.dtype != tf.resource:
        return "constant", _digest(np.asarray(tensor.numpy()))
    data = tensor._handle_data if hasattr(tensor, "_handle_data") else None
    if data is not None and data.is_set and data.shape_and_type:
        dtype = tf.dtypes.as_dtype(data.shape_and_type[0].dtype)
        try:
            value = tf.raw_ops.ReadVariableOp(resource=tensor, dtype=dtype).numpy()
            return "variable", f"{value.dtype} {value.shape}" if merged else _digest(value)
        except tf.errors.InvalidArgumentError:
            pass
    for keys, values in ((tf.string, tf.int64), (tf.int64, tf.string), (tf.string, tf.string), (tf.int64, tf.int64)):
        try:
            k, v = tf.raw_ops.LookupTableExportV2(table_handle=tensor, Tkeys=keys, Tvalues=values)
        except tf.errors.InvalidArgumentError:
            continue
        pairs = sorted(zip(k.numpy().tolist(), v.numpy().tolist(), strict=True))
        return "table", hashlib.sha256(repr(pairs).encode()).hexdigest()
    return "resource", ""


def first_difference(ours: Digests, theirs: Digests, one: str, other: str) -> str:
    """Return a clause about the first operator that differs, going from an output towards the inputs."""
    while True:
        (op, inputs, attributes), (their_op, their_inputs, their_attributes) = (
            ours.operators[one],
            theirs.operators[other],
        )
        if op != their_op or len(inputs) != len(their_inputs):
            return f"it has {_named(their_op)} where the model has {_named(op)}"
        pairs = [(a, b) for a, b in zip(inputs, their_inputs, strict=True) if a != b]
        if not pairs:
            kind = "another value" if op in ("Const", "constant", "variable", "table") else "other attributes"
            return f"its {_named(op)} has {kind}" if attributes != their_attributes else f"its {_named(op)} differs"
        one, other = pairs[0]


def _named(operator: str) -> str:
    return {"input": "an input", "function": "a function"}.get(operator, operator)


def compare(model: Any, loaded: Any, endpoint: Mapping[str, Any], merged: bool) -> str | None:
    """Return how the signature of an endpoint differs from the model's own trace, or None; `merged` as of `Graph`."""
    import tensorflow as tf

    def call(*tensors: Any) -> dict[str, Any]:
        values = dict(zip(names, tensors, strict=True))
        result = calls.name_outputs(endpoint, model(calls.arrange(endpoint, values), training=False))
        return {tensor["name"]: calls.widened(result[tensor["name"]]) for tensor in endpoint["outputs"]}

    names = [tensor["name"] for tensor in endpoint["inputs"]]
    shapes = [(endpoint["batch"], *tensor["shape"][1:]) for tensor in endpoint["inputs"]]
    specs = [tf.TensorSpec(s, t["dtype"], t["name"]) for s, t in zip(shapes, endpoint["inputs"], strict=True)]
    traced = tf.function(call, autograph=False).get_concrete_function(*specs)
    signature = loaded.signatures[endpoint["name"]]
    inputs = [t.op.name for t in traced.inputs[: len(names)]]
    ours = Graph(traced, dict(zip(inputs, names, strict=True)), merged)
    keywords = sorted(signature.structured_input_signature[1])  # flattened in this order, before what is captured
    theirs = Graph(signature, {t.op.name: n for t, n in zip(signature.inputs, keywords, strict=False)}, merged)
    for name, digest in ours.outputs.items():
        if name not in theirs.outputs:
            return f"it has no output {name}"
        if theirs.outputs[name] != digest:
            return f"{name}: {first_difference(ours, theirs, digest, theirs.outputs[name])}"
    if ours.acting != theirs.acting:
        further = [theirs.operators[digest][0] for digest in theirs.acting if digest not in ours.acting]
        return f"it also runs {', '.join(sorted(set(further))) or 'fewer operators than the model'}"
    return None


def main() -> None:
    """Compare the endpoints of the job, and write {endpoint: difference or null} as its result."""
    import tensorflow as tf

    job = machine.read_job()
    missing = runner.import_modules(job["modules"])
    differences: dict[str, Any] = {}
    if missing is None:
        model = run_keras.load_model({"format": "keras", "path": job["keras"]}, {})
        loaded = tf.saved_model.load(job["folder"])
        merged = any(getattr(layer, "lora_enabled", False) for layer in model._flatten_layers())
        differences = {e["name"]: compare(model, loaded, e, merged) for e in job["endpoints"]}
    result = {"missing": missing, "differences": differences, "confinement": machine.state}
    Path(job["result"]).write_text(json.dumps(result))


def run_deep(main: Callable[[], None]) -> None:
    """Run the main function of a script as deep as its graphs are; end with exit code 1 if it wrote no result."""
    job = json.loads(Path(sys.argv[1]).read_text())  # before a converter takes its own arguments from sys.argv
    sys.setrecursionlimit(10**6)
    threading.stack_size(2**29)
    worker = threading.Thread(target=main)
    worker.start()
    worker.join()
    if not Path(job["result"]).is_file():
        sys.exit(1)


if __name__ == "__main__":
    run_deep(main)
