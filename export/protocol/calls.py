"""Call an artifact on golden cases and on the variants that the noise floor is measured on. Only NumPy."""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

if __package__:
    from export.protocol.arrays import MAIN, Arrays, Outputs
else:
    from arrays import MAIN, Arrays, Outputs

MAX_VARIANT_ROWS = 8  # larger cases have no variants: they would cost more time and add no information
PERTURBATION_STEPS = 2  # steps of the dtype, because a program rounds more than once
REPEATS, SECONDS = 50, 30.0  # of the first call of each endpoint, at most so long
COLOUR = re.compile(r"\x1b\[[0-9;]*m")

Function = Callable[[Arrays], Arrays]


class Inapplicable(ValueError):
    """Inputs that a runtime cannot be given, such as pixels between two integers where it takes images."""


def in_batches(function: Function, inputs: Arrays, size: int | None) -> Arrays:
    """Run on all rows at once, or `size` rows at a time with the results concatenated."""
    if size is None:
        return function(inputs)
    rows = len(next(iter(inputs.values())))
    if rows == 0 or rows % size:
        raise ValueError(f"{rows} rows cannot be run {size} at a time")
    parts = [function({k: v[i : i + size] for k, v in inputs.items()}) for i in range(0, rows, size)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def in_steps(function: Function, inputs: Arrays, chain: Mapping[str, str]) -> Arrays:
    """Run one row after the other, each with the state that the previous one returned; return all outputs."""
    # chain: state input -> output that is its next value; `inputs` has the first state.
    states = {name: inputs[name] for name in chain}
    rest = {name: value for name, value in inputs.items() if name not in chain}
    parts = []
    for i in range(len(next(iter(rest.values())))):
        parts.append(function({name: value[i : i + 1] for name, value in rest.items()} | states))
        states = {name: parts[-1][following] for name, following in chain.items()}
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


class KeepsFirst:
    """A function that keeps the inputs and outputs of its first call, for `repeat`."""

    def __init__(self, function: Function) -> None:
        self.function, self.first = function, None

    def __call__(self, inputs: Arrays) -> Arrays:
        """Call the function."""
        outputs = self.function(inputs)
        self.first = self.first or (inputs, outputs)
        return outputs


def repeat(opened: Mapping[str, Mapping[str, KeepsFirst]]) -> list[str]:
    """Return a message if a call that follows all others does not repeat the first of its endpoint."""
    for name, functions in opened.items():
        inputs, outputs = functions[MAIN].first or ({}, {})
        started = time.monotonic()
        for number in range(2, REPEATS + 1) if outputs else ():
            again = functions[MAIN](inputs)
            for key, value in outputs.items():
                if not np.array_equal(value, again[key], equal_nan=value.dtype.kind == "f"):
                    return [f"endpoint {name}: call {number} of the same inputs returns another {key} than the first"]
            if time.monotonic() - started > SECONDS:
                break
    return []


def run_endpoint(
    functions: Mapping[str, Function], cases: list[dict[str, Any]], batch: int | None, measure_noise: bool
) -> Outputs:
    """Run every case of an endpoint."""
    # The variants of a case are "main", which is compared with the reference, and "again", a second call of the first
    # compared case. Where noise is measured also "batch_1" (a row at a time), "batch_2n" (batches of twice the size),
    # "perturbed" and "perturbed_own_scale" (every real input moved by two steps of its dtype, at the scale of its
    # feature and at its own), and the other keys of `functions` (such as "graph").
    results = Outputs()
    first = next((case["name"] for case in cases if case["compared"]), None)
    scales = feature_scales(cases)
    for case in cases:
        plan = {MAIN: (MAIN, batch)}
        if case["name"] == first:
            plan["again"] = (MAIN, batch)
        if measure_noise and case["compared"]:
            plan |= {name: (name, batch) for name in functions if name != MAIN}
            rows = len(next(iter(case["inputs"].values())))
            compiled = "graph" if "graph" in functions else MAIN
            if batch is None and not case.get("chain") and 0 < rows <= MAX_VARIANT_ROWS:
                plan |= {"batch_1": (compiled, 1)} if rows > 1 else {}
                plan["batch_2n"] = (compiled, None)
            if (
                rows <= MAX_VARIANT_ROWS
                and not case.get("chain")
                and any(v.dtype.kind == "f" for v in case["inputs"].values())
            ):
                plan |= {"perturbed": (compiled, batch), "perturbed_own_scale": (compiled, batch)}
        for variant, (name, size) in plan.items():
            inputs = _inputs_of(variant, case["inputs"], scales)
            try:
                if chain := case.get("chain"):
                    outputs = in_steps(functions[name], inputs, chain)
                else:
                    outputs = in_batches(functions[name], inputs, size)
                if variant == "batch_2n":
                    outputs = {key: value[:rows] for key, value in outputs.items()}
            except Inapplicable:
                results.inapplicable.append(case["name"])
                break
            except Exception as error:  # whatever a runtime raises is a result, not a crash
                results.errors[case["name"], variant] = one_line(error)
                continue
            results.arrays |= {(case["name"], variant, key): np.asarray(value) for key, value in outputs.items()}
    return results


def _inputs_of(variant: str, inputs: Arrays, scales: Mapping[str, np.ndarray]) -> Arrays:
    if variant == "batch_2n":
        return {name: np.concatenate([value, value[::-1]]) for name, value in inputs.items()}
    if variant == "perturbed":
        return perturb(inputs, scales)
    return perturb(inputs, {}, seed=1) if variant == "perturbed_own_scale" else inputs


def feature_scales(cases: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """Return the largest absolute values of real inputs over the ordinary compared cases, along the last axis."""
    # Features of one input may have different scales; where the last axis has no fixed size there is one common scale.
    scales: dict[str, np.ndarray] = {}
    for case in (c for c in cases if c["compared"] and not c.get("rows")):
        for name, value in case["inputs"].items():
            if value.dtype.kind == "f" and value.size:
                largest = np.max(np.abs(value.reshape(-1, value.shape[-1] if value.ndim > 1 else 1)), axis=0)
                before = scales.get(name, np.zeros(1))
                same_size = before.shape == largest.shape or before.size == 1
                scales[name] = (
                    np.maximum(before, largest) if same_size else np.maximum(before.max(), largest.max())[None]
                )
    return scales


def perturb(inputs: Arrays, scales: Mapping[str, np.ndarray], seed: int = 0) -> Arrays:
    """Return inputs with every real value moved by `PERTURBATION_STEPS` steps of its dtype at its feature's scale."""
    # A result that is exact for inputs that close is as accurate as can be (backward stability; Higham 2002, 1.5).
    rng = np.random.default_rng(seed)

    def moved(value: np.ndarray, scale: np.ndarray) -> np.ndarray:
        if value.dtype.kind != "f":
            return value
        scale = scale if value.ndim > 1 and scale.shape == value.shape[-1:] else scale.max()
        step = np.maximum(np.abs(value), scale) * PERTURBATION_STEPS * np.finfo(value.dtype).eps
        return (value + step * rng.choice([-1.0, 1.0], value.shape)).astype(value.dtype)

    return {name: moved(value, scales.get(name, np.zeros(1))) for name, value in inputs.items()}


def one_line(error: BaseException) -> str:
    """Return an exception as one line of at most 400 characters, without the colours that Keras gives it."""
    return f"{type(error).__name__}: {' '.join(COLOUR.sub('', str(error)).split())}"[:400]


def arrange(endpoint: Mapping[str, Any], inputs: Mapping[str, Any]) -> Any:
    """Return named inputs in the structure that the model's own call takes."""
    values = {t["name"]: inputs[t["name"]] for t in endpoint["inputs"]}
    if endpoint["structure"] == "dict":
        return values
    if endpoint["structure"] == "list":
        return list(values.values())
    (value,) = values.values()
    return value


def name_outputs(endpoint: Mapping[str, Any], result: Any) -> dict[str, Any]:
    """Return the result of a model's call (tensor, list, dict, or nested) under the names of the contract."""
    # Numbers of a dtype that NumPy lacks, bfloat16, are returned as float32, which holds each of them exactly.
    names = [t["name"] for t in endpoint["outputs"]]
    values = flatten(result)
    if isinstance(values, Mapping):
        if set(values) != set(names):
            raise ValueError(
                f"endpoint {endpoint['name']} returned {sorted(values)}, the contract declares {sorted(names)}"
            )
        return {name: widened(values[name]) for name in names}
    if len(values) != len(names):
        raise ValueError(f"endpoint {endpoint['name']} returned {len(values)} outputs, the contract declares {names}")
    return dict(zip(names, map(widened, values), strict=True))


def widened(value: Any) -> Any:
    """Return a bfloat16 tensor of TensorFlow as float32; any other value as it is."""
    if "bfloat16" not in str(getattr(value, "dtype", "")):
        return value
    import tensorflow as tf  # it is loaded, since this is a tensor of it

    return tf.cast(value, tf.float32)


def flatten(result: Any) -> dict[str, Any] | list[Any]:
    """Return the tensors of a model's result: by name if it has names or is nested, else in order."""
    # The name of a nested output is its path, such as `head_boxes` for {"head": {"boxes": ...}}.
    containers = (Mapping, list, tuple)
    if isinstance(result, (list, tuple)) and not any(isinstance(value, containers) for value in result):
        return list(result)
    return dict(_paths(result, "")) if isinstance(result, containers) else [result]


def _paths(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        items = [(identifier(str(key)), item) for key, item in value.items()]
    elif isinstance(value, (list, tuple)):
        items = [(f"{'' if path else 'output_'}{i + 1}", item) for i, item in enumerate(value)]
    else:
        yield path, value
        return
    for name, item in items:
        yield from _paths(item, f"{path}_{name}" if path else name)


def identifier(name: str) -> str:
    """Return a name with everything but ASCII letters, digits and underscores replaced by an underscore."""
    return re.sub(r"\W", "_", name, flags=re.ASCII)
