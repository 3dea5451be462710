"""The weights of the recognition of PP-OCRv6 small, from an ONNX file in the Python package rapidocr (Apache-2.0)."""

from pathlib import Path
from typing import Any

import numpy as np

from zoo.weights.packaged import PackagedWeights
from zoo.weights.readers import onnx

_GATES = {0: 7, 4: 24, 6: 34, 8: 44, 11: 57}  # block -> number of the first of its two kernels of a gate
_HALVED = (3, 10)
_NECK = {"neck0": (67, 57), "neck1": (65, 55), "neck2": (66, 56)}  # numbers of kernel and normalisation
_NORMS = ("attention0_norm", "attention0_hidden_norm", "attention1_norm", "attention1_hidden_norm", "norm")
_DENSE = (
    "attention0_query_key_value",
    "attention0_attention/attention_output",
    "attention0_hidden",
    "attention0_output",
)
_DENSE += (*(name.replace("0", "1") for name in _DENSE), "logits")


def _kernels() -> list[int]:
    """Return the numbers of the kernels in the order of the layers conv0, conv1, ..."""
    numbers, number = [68, 69, 70, 71, 72], 72
    for block in range(13):
        number += 1 if block in _HALVED else 2
        gate = _GATES.get(block)
        numbers += [number, *([] if gate is None else [gate, gate + 1]), number + 1, number + 2]
        number += 2
    return numbers


def read(file: Path) -> dict[str, np.ndarray]:
    """Return the values by the paths of the variables."""
    stored, values = onnx.read(file), {}
    for i, number in enumerate(_kernels()):
        values[f"conv{i}/kernel"] = stored[f"conv2d_{number}.w_0"].transpose(2, 3, 1, 0)
        values[f"conv{i}/bias"] = stored[f"p2o.pd_op.reshape.{i}.0"].ravel()
    values["conv0/kernel"] = values["conv0/kernel"][:, :, ::-1]  # of BGR
    for name, (kernel, norm) in _NECK.items():
        values[f"{name}_conv/kernel"] = stored[f"conv2d_{kernel}.w_0"].transpose(2, 3, 1, 0)
        for part, of_norm in {"gamma": "w_0", "beta": "b_0", "moving_mean": "w_1", "moving_variance": "w_2"}.items():
            values[f"{name}_norm/{part}"] = stored[f"batch_norm2d_{norm}.{of_norm}"]
    for i, name in enumerate(_NORMS):
        values |= {f"{name}/{part}": stored[f"helper.reshape.{2 * i + j}"] for j, part in enumerate(("gamma", "beta"))}
    for i, name in enumerate(_DENSE):
        for part, of_dense in {"kernel": "w_0", "bias": "b_0"}.items():
            value = stored[f"linear_{i}.{of_dense}"]
            if name.endswith("query_key_value"):
                block = name.partition("_")[0]
                for role, third in zip(("query", "key", "value"), np.split(value, 3, axis=-1), strict=True):
                    values[f"{block}_attention/{role}/{part}"] = third
            else:
                values[f"{name}/{part}"] = value
    return values


def _arrange(path: str, tensor: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return tensor.reshape(shape)  # of depthwise kernels (H, W, 1, C) -> (H, W, C, 1); of attention, by heads


def _known(file: Path) -> dict[str, Any]:
    # class 0 is the blank of CTC
    return {"vocabulary": ("", *onnx.metadata(file)["character"].splitlines(), " ")}


RECOGNITION = PackagedWeights.pinned(
    "text_recognition",
    tensors=read,
    tensor_name=str,
    arrange=_arrange,
    features={"image": "encoded image", "text": "string"},
    known=_known,
)
