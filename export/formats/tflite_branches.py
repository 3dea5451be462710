"""The operators of a TFLite file that choose by input numbers what they compute: IF and WHILE.

Loops over a fixed number of steps are none, nor what depends on shapes only.
"""

from collections.abc import Iterable, Sequence
from typing import Any


class Branches:
    """The branches of a model, as the numbers of its inputs reach them."""

    def __init__(self, model: Any, codes: Sequence[str]) -> None:
        """Follow every input of the first subgraph, and of those that signatures name."""
        self._model, self._codes = model, codes
        self.found: dict[tuple[int, int], str] = {}  # (subgraph, position of the operator): "IF" or "WHILE"
        entries = {signature.subgraphIndex for signature in model.signatureDefs or []} or {0}
        for index in sorted(entries):
            self._outputs(index, range(len(model.subgraphs[index].inputs)))

    def _outputs(self, index: int, inputs: Iterable[int]) -> set[int]:
        """Return the positions of the outputs of a subgraph that depend on some of its inputs, by their positions."""
        graph = self._model.subgraphs[index]
        dependent = {int(graph.inputs[position]) for position in inputs}
        for position, operator in enumerate(graph.operators or []):
            taken = [number for number, tensor in enumerate(operator.inputs) if tensor in dependent]
            if taken:
                written = self._written(index, position, operator, taken)
                dependent |= {int(operator.outputs[number]) for number in written}
        return {number for number, tensor in enumerate(graph.outputs) if tensor in dependent}

    def _written(self, index: int, position: int, operator: Any, taken: list[int]) -> Iterable[int]:
        """Return which outputs of an operator depend on the numbers of its inputs that are `taken`."""
        name, options = self._codes[operator.opcodeIndex], operator.builtinOptions
        every = range(len(operator.outputs))
        if name in ("SHAPE", "RANK"):
            return ()
        if name == "IF":
            if 0 in taken:
                self.found[index, position] = name
            inner = [number - 1 for number in taken if number]
            either = {
                n for i in (options.thenSubgraphIndex, options.elseSubgraphIndex) for n in self._outputs(i, inner)
            }
            return every if 0 in taken else either
        if name == "WHILE":
            while (more := {*taken} | self._outputs(options.bodySubgraphIndex, taken)) != {*taken}:
                taken = sorted(more)
            if self._outputs(options.condSubgraphIndex, taken):
                self.found[index, position] = name
                return every
            return taken
        return every
