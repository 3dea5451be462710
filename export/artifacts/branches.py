"""Find the branches of a TensorFlow graph that are chosen by the numbers that it is given.

A proof by examples sees only those branches that its examples take. Branches that depend on shapes, counters or
constants, such as the loop of an RNN over its time steps, are no such branches; nor are those that depend on strings,
such as the decoding of a PNG or a JPEG file, because every kind of file and text has a golden case. The graph is
followed forwards: a value depends on the inputs if any argument of its operator does; shapes do not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

OF_SHAPES = frozenset(
    {
        *("Shape", "ShapeN", "Size", "Rank", "ZerosLike", "OnesLike", "BroadcastGradientArgs"),
        *("TensorListLength", "TensorListElementShape", "TensorArraySizeV3"),
    }
)
CALLS = frozenset(("PartitionedCall", "StatefulPartitionedCall", "RemoteCall", "SymbolicGradient"))
STRING = 7  # DT_STRING of types.proto
ASSERTION = frozenset(("Assert", "NoOp", "Identity", "Const", "Placeholder"))  # what the branches of an assertion hold


def data_branches(nodes: Iterable[Any], functions: Mapping[str, Any]) -> dict[str, int]:
    """Return {operator: number of branches that are chosen by input numbers}.

    Args:
        nodes: The nodes of the graph that signatures reach, as NodeDef messages.
        functions: The functions of the graph by name, as FunctionDef messages.
    """
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
