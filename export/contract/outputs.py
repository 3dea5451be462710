"""Infer the outputs of a model from one call on small inputs, and with them what its inputs need: sizes and a batch."""

import dataclasses
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from export.contract import Tensor
from export.contract.endpoints import tensor_endpoint
from export.contract.sampling import sample_values
from export.protocol.calls import arrange, flatten, identifier, one_line
from zoobase.errors import ExportError

PROBES = 7  # rows of the call
SIZES = (32, 64, 128, 224, 256, 512)  # tried in order for unknown dimensions where the usual size is too small


def infer_outputs(
    model: Any, inputs: Sequence[Tensor], samples: Mapping[str, np.ndarray]
) -> tuple[list[Tensor], list[Tensor], int | None]:
    """Return the inputs, with the least size of unknown dimensions where it matters, outputs, and batch size."""
    batch = next((shape[0] for t in getattr(model, "inputs", None) or [] if (shape := tuple(t.shape))), None)
    if stateful := [layer.name for layer in model._flatten_layers() if getattr(layer, "stateful", False)]:
        raise ExportError(
            f"layer {stateful[0]} is stateful with batch size {batch}: what a server answers would depend on the calls "
            f"before; build the model with stateful=False, or make the state an input and an output (step_endpoint)"
        )
    problem, fallback = None, None
    for rows in (PROBES, batch) if batch else (PROBES,):
        for sized in _sizes(inputs, samples):
            try:
                result = _call(model, sized, rows)
            except Exception as error:  # any error of any layer
                problem = problem or error
                continue
            sized = _bounded(model, sized, rows)
            run = sized, _outputs(model, result, sized, rows), None if rows == PROBES else rows
            if _fits(model, sized, rows):
                return run
            fallback = fallback or run
    if fallback is None:
        text = one_line(problem)[:200]
        raise ExportError(
            f"model {model.name} does not run on the inferred inputs ({text}); give --samples or contract="
        ) from problem
    return fallback


def _sizes(inputs: Sequence[Tensor], samples: Mapping[str, np.ndarray]) -> Iterator[list[Tensor]]:
    """Yield the inputs with larger and larger sizes of the dimensions that are known only at run time."""
    yield list(inputs)
    if not any(None in t.shape[1:] for t in inputs):
        return
    sampled = {t.name: _sampled_size(t, samples.get(t.name)) for t in inputs}
    for size in (*((None,) if any(sampled.values()) else ()), *SIZES):
        sizes = {name: size or own for name, own in sampled.items()}
        yield [dataclasses.replace(t, min_size=sizes[t.name]) if None in t.shape[1:] else t for t in inputs]


def _sampled_size(tensor: Tensor, sample: Any) -> int | None:
    """Return the largest size that samples have in a dimension that is known only at run time."""
    shape = np.shape(sample) if sample is not None else ()
    if len(shape) != len(tensor.shape):
        return None
    return max((n for n, d in zip(shape[1:], tensor.shape[1:], strict=True) if d is None), default=None)


def _bounded(model: Any, inputs: list[Tensor], rows: int) -> list[Tensor]:
    """Return the inputs with fixed sizes if the model runs on no larger ones, such as a table of positions."""
    if not any(t.min_size for t in inputs):
        return inputs
    try:
        _call(model, inputs, rows, sizes=1)
    except Exception:  # any error of any layer
        shapes = {t.name: tuple(t.min_size if d is None else d for d in t.shape[1:]) for t in inputs}
        return [dataclasses.replace(t, shape=(t.shape[0], *shapes[t.name]), min_size=None) for t in inputs]
    return inputs


def _call(model: Any, inputs: Sequence[Tensor], rows: int, sizes: int = 0) -> Any:
    import keras

    endpoint = tensor_endpoint(model, inputs, ())
    rng = np.random.default_rng(zlib.crc32(endpoint.name.encode()))
    values = {t.name: keras.ops.convert_to_tensor(sample_values(t, rows, rng, sizes), t.dtype) for t in inputs}
    return model(arrange(endpoint.to_json(), values), training=False)


def _fits(model: Any, inputs: Sequence[Tensor], rows: int) -> bool:
    """Return whether no layer is left without input: some kernels then answer with whatever is in memory."""
    import keras

    if not any(None in t.shape[1:] for t in inputs) or getattr(model, "_inputs_struct", None) is None:
        return True
    rng = np.random.default_rng(0)
    specs = {t.name: keras.KerasTensor(sample_values(t, rows, rng).shape, t.dtype) for t in inputs}
    try:
        model.compute_output_spec(arrange(tensor_endpoint(model, inputs, ()).to_json(), specs))
    except Exception:  # the layers check their shapes each in its own way
        return False
    return True


def _outputs(model: Any, result: Any, inputs: Sequence[Tensor], rows: int) -> list[Tensor]:
    flat = flatten(result)
    if not isinstance(flat, Mapping):
        flat = dict(zip(_names(model, len(flat)), flat, strict=True))
    last = (getattr(model, "layers", None) or [None])[-1]
    function = getattr(getattr(last, "activation", None), "__name__", "")
    is_softmax = function == "softmax" or type(last).__name__ == "Softmax"
    meaning = "probabilities" if is_softmax and len(flat) == 1 else "tensor"
    for name, value in flat.items():
        shape = tuple(value.shape)
        if not shape or (shape[0] or 0) % rows:
            what = f"has shape {shape} for {rows} rows" if shape else "is one number for the whole batch"
            raise ExportError(
                f"output {name} of model {model.name} {what}; a served output needs one row for each example: leave it "
                f"out (keras.Model(inputs, [the others])), or repeat it for each row"
            )
    return [_output(name, value, meaning, inputs) for name, value in flat.items()]


def _names(model: Any, count: int) -> list[str]:
    """Return the names of unnamed outputs: those of the layers, if they are usable."""
    if count == 1:
        return ["output"]
    names = [identifier(name) for name in getattr(model, "output_names", None) or []]
    usable = len(names) == len(set(names)) == count and all(name.isidentifier() for name in names)
    return names if usable else [f"output_{i + 1}" for i in range(count)]


def _output(name: str, value: Any, meaning: str, inputs: Sequence[Tensor]) -> Tensor:
    """Return an output; its inner dimensions are fixed only if those of every input are."""
    fixed = all(d is not None for t in inputs for d in t.shape[1:])
    shape = tuple(value.shape)
    inner = shape[1:] if fixed else (*(None for _ in shape[1:-1]), *shape[-1:])
    dtype = str(value.dtype if isinstance(value.dtype, str) else value.dtype.name)
    return Tensor(name, "float32" if dtype == "bfloat16" else dtype, (None, *inner), meaning)
