"""Rank the operators of a quantised TFLite file by the noise that they add.

`python -P run_tensor_errors.py JOB.json`, the job being {"float": file, "quantized": file, "signature": name,
"inputs": .npz by name, "result": file}; the result is that of `rank_operators`. Both files must have the same
signatures and names of tensors, as files that were converted from one model have. With "expected": .npz of real numbers
by layer, and "pairs": {layer: names of tensors}, in place of "float", the result is that of `shares_within_one_step`.
"""

import functools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

NUMBER = re.compile(r"_\d+$")


def rank_operators(
    float_file: bytes, quantized_file: bytes, signature: str, inputs: Mapping[str, np.ndarray]
) -> list[dict[str, Any]]:
    """Return the operators whose results both files have, those that add most noise first; each row is one call."""
    # "sqnr_db": of the result; "added": noise over signal power that the inputs of the operator do not have
    power: dict[str, np.ndarray] = {}
    count = len(next(iter(inputs.values())))
    rows = [{name: value[i : i + 1] for name, value in inputs.items()} for i in range(count)]
    pairs = zip(_run(float_file, signature, rows), _run(quantized_file, signature, rows), strict=True)
    for exact, quantised in pairs:
        for name in exact.keys() & quantised.keys():
            a, b = (values[name].astype(np.float64) for values in (exact, quantised))
            if a.shape == b.shape and a.size:
                power[name] = power.get(name, 0.0) + np.array([np.sum(a**2), np.sum((a - b) ** 2)])
    noise = {name: float(error / signal) for name, (signal, error) in power.items() if signal > 0 and error > 0}
    layers = layers_of(float_file, signature)
    ranking = [
        {
            "tensor": result,
            "layer": layers[result],
            "sqnr_db": round(-10 * float(np.log10(noise[result])), 1),
            "added": noise[result] - max((noise.get(name, 0.0) for name in sources), default=0.0),
        }
        for result, sources in operators(float_file, signature)
        if result in noise
    ]
    return sorted(ranking, key=lambda operator: -operator["added"])


def shares_within_one_step(
    file: bytes,
    signature: str,
    inputs: Mapping[str, np.ndarray],
    expected: Mapping[str, np.ndarray],
    pairs: Mapping[str, list[str]],
) -> dict[str, float]:
    """Return which share of the integers of a layer is at most one step from expected real numbers, by its name."""
    # `pairs` names the tensors of each layer, of which the closest one with its size is taken.
    count = len(next(iter(inputs.values())))
    rows = list(
        _run(file, signature, [{name: value[i : i + 1] for name, value in inputs.items()} for i in range(count)])
    )
    scales = {_text(t.name): t.quantization.scale for t in _subgraph(file, signature)[0].tensors}
    shares = {}
    for layer, values in expected.items():
        for name in pairs[layer]:
            actual = np.concatenate([row[name] for row in rows if name in row] or [np.zeros(0)])
            if actual.size == values.size:
                steps = np.abs(actual.reshape(values.shape) - values) / scales[name][0]
                shares[layer] = max(shares.get(layer, 0.0), float(np.mean(steps <= 1.01)))
    return shares


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _run(file: bytes, signature: str, rows: list[dict[str, np.ndarray]]) -> Iterator[dict[str, np.ndarray]]:
    """Yield the real numbers of every result of a signature by name, for each row."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        model_content=file,
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,  # delegates keep their tensors
    )
    runner, graph = interpreter.get_signature_runner(signature), _subgraph(file, signature)[1]
    results = {name for name, _ in operators(file, signature)}
    for row in rows:
        runner(**row)
        details = [d for d in interpreter.get_tensor_details(graph) if d["name"] in results]
        numbers = [
            d for d in details if np.dtype(d["dtype"]).kind == "f" or len(d["quantization_parameters"]["scales"]) == 1
        ]
        yield {d["name"]: _real(interpreter.get_tensor(d["index"], graph), d) for d in numbers}


def _real(stored: np.ndarray, detail: Mapping[str, Any]) -> np.ndarray:
    """Return the real numbers of a tensor."""
    parameters = detail["quantization_parameters"]
    if stored.dtype.kind == "f":
        return stored
    return parameters["scales"][0] * (stored.astype(np.float64) - parameters["zero_points"][0])


def operators(file: bytes, signature: str) -> list[tuple[str, list[str]]]:
    """Return (name of the result, names of the arguments) of every operator of a signature."""
    graph = _subgraph(file, signature)[0]
    names = [_text(tensor.name) for tensor in graph.tensors]
    return [
        (names[output], [names[i] for i in operator.inputs if i >= 0])
        for operator in graph.operators
        for output in operator.outputs
    ]


def layers_of(file: bytes, signature: str) -> dict[str, str]:
    """Return {name of the result: its layer, or the output of the signature that it is} of every operator."""
    graph = _subgraph(file, signature)[0]
    entries = _signature(file, signature)[1].outputs
    outputs = {graph.tensors[e.tensorIndex].name.decode("utf-8", "replace"): e.name.decode() for e in entries}
    return {name: outputs.get(name) or layer_of(name) for name, _ in operators(file, signature)}


def _subgraph(file: bytes, signature: str) -> tuple[Any, int]:
    model, definition = _signature(file, signature)
    return model.subgraphs[definition.subgraphIndex], definition.subgraphIndex


@functools.lru_cache(maxsize=2)
def _signature(file: bytes, signature: str) -> tuple[Any, Any]:
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(file, 0))
    return model, next(s for s in model.signatureDefs if s.signatureKey.decode() == signature)


def layer_of(tensor: str) -> str:
    """Return the layer in the name of a tensor, which names everything that was fused into its operator."""
    # TensorFlow numbers the scopes of a retraced model: with such a number that of the layer is left out, too.
    model, *layers = [part for part in tensor.split(";")[0].split("/") if part]
    names = [NUMBER.sub("", name) if NUMBER.search(model) else name for name in layers[:-1] if name != "batchnorm"]
    return "/".join(names) or tensor


if __name__ == "__main__":
    from arrays import read_arrays
    from machine import answer_job

    def _answer(job: dict[str, Any]) -> Any:
        arrays = [read_arrays(Path(job[key])) for key in ("inputs", "expected") if key in job]
        files = [Path(job[key]).read_bytes() for key in ("float", "quantized") if key in job]
        if "expected" in job:
            return shares_within_one_step(*files, job["signature"], *arrays, job["pairs"])
        return rank_operators(*files, job["signature"], *arrays)

    answer_job(_answer)
