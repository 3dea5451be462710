"""The weights of MediaPipe's selfie segmentation, from the TFLite file of its npm package (Apache-2.0)."""

from pathlib import Path

import numpy as np

from zoo.weights.packaged import PackagedWeights
from zoo.weights.readers import tflite


def read(file: Path) -> dict[str, np.ndarray]:
    """Return the kernels and biases of the file by name as float32; they are float16 in it."""
    return {name: value.astype(np.float32) for name, value in tflite.read(file).items() if value.dtype == np.float16}


def _name(path: str) -> str:
    """Return the name of a variable in the file: conv2d_0/kernel -> conv2d/Kernel."""
    layer, _, part = path.replace("logits", "segment").rpartition("/")
    return f"{layer.removesuffix('_0')}/{part.capitalize()}"


def _arrange(path: str, tensor: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if path.startswith("logits"):  # the file has the person only: its logit is the difference of two, of 0 and this
        tensor = tensor.transpose(1, 2, 0, 3) if tensor.ndim == 4 else tensor[:, None]
        return np.concatenate([np.zeros_like(tensor), tensor], axis=-2).reshape(shape)
    return tensor.transpose(1, 2, 3, 0) if tensor.ndim == 4 else tensor  # (out, height, width, in), also of depthwise


PERSON = PackagedWeights.pinned(
    "person_segmentation",
    tensors=read,
    tensor_name=_name,
    arrange=_arrange,
    features={"image": "encoded image", "mask": "PNG bytes"},
    known=lambda file: {"class_names": ("background", "person")},
)
