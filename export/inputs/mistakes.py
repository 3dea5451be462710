"""Accuracy under the mistakes that applications make before the model: which of them matter for this one."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from export.contract import Endpoint, Tensor
from export.contract.preprocessing import ImagePreprocessing
from export.inputs.check import cost
from export.inputs.images import ImageFile, tensor_of

# the commonest in reports of users, as changes of the recipe and then of the tensor
RECIPES: Mapping[str, Mapping[str, Any]] = {
    "BGR in place of RGB": {"colour": "BGR"},
    "values from 0 to 1": {"scale": (1 / 255,), "offset": (0.0,)},
    "values from -1 to 1": {"scale": (1 / 127.5,), "offset": (-1.0,)},
    "colours inverted": {"scale": (-1.0,), "offset": (255.0,)},
    "nearest pixels": {"resize": "nearest_summed"},
    "bilinear without antialias": {"resize": "bilinear"},
    "MediaPipe Tasks' own resizing": {"fit": "stretch", "resize": "bilinear_corner"},
    "bicubic (Pillow)": {"resize": "bicubic_antialias"},
    "stretched": {"fit": "stretch"},
    "resized to 256 and cropped to 224": {"fit": "resize_crop", "share": 0.875},
}
TENSORS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "turned by 90 degrees (EXIF ignored)": lambda image: np.rot90(image),
    "flipped left to right": lambda image: image[:, ::-1],
    "NCHW read as NHWC": lambda image: image.transpose(2, 0, 1).reshape(image.shape),
}


def accuracies(
    call: Callable[[np.ndarray], Mapping[str, np.ndarray]],
    endpoint: Endpoint,
    tensor: Tensor,
    files: Sequence[bytes],
    truth: Sequence[int],
) -> dict[str, dict[str, float]]:
    """Return by mistake the accuracy, and the share of answers that change, on image files.

    Args:
        call: Inputs (N, H, W, C) -> outputs by name.
        endpoint: Whose outputs they are; logits or probabilities of classes.
        tensor: Its input, with `ImagePreprocessing`.
        files: Image files.
        truth: The class of each.

    Returns:
        {"none": {"accuracy", "changed"}, mistake: ...}; mistakes that change no tensor are left out.
    """
    recipe, shape = tensor.preprocessing, tensor.shape[1:]
    right = np.stack([tensor_of(ImageFile(data), recipe, shape) for data in files])
    answered = call(right)
    found: dict[str, dict[str, float]] = {}
    for name, feed in _mistakes(recipe, shape).items():
        wrong = np.stack([feed(ImageFile(data), image) for data, image in zip(files, right, strict=True)])
        if not np.array_equal(wrong, right):
            costs = cost(endpoint, answered, call(wrong), truth)
            found.setdefault("none", {"accuracy": costs["accuracy"][0], "changed": 0.0})
            found[name] = {"accuracy": costs["accuracy"][1], "changed": costs["changed"] / len(files)}
    return found


def _mistakes(recipe: ImagePreprocessing, shape: tuple[int, ...]) -> dict[str, Callable[[Any, np.ndarray], np.ndarray]]:
    """Return functions (file, right tensor) -> wrong tensor."""

    def by_recipe(changes: Mapping[str, Any]) -> Callable[[Any, np.ndarray], np.ndarray]:
        changed = dataclasses.replace(recipe, **changes)
        return lambda file, image: tensor_of(file, changed, shape)

    usable = {name: changes for name, changes in RECIPES.items() if shape[2] == 3 or "colour" not in changes}
    turns = {n: turn for n, turn in TENSORS.items() if shape[0] == shape[1] and (shape[2] == 3 or "NCHW" not in n)}
    return {name: by_recipe(changes) for name, changes in usable.items()} | {
        name: lambda file, image, turn=turn: np.ascontiguousarray(turn(image)) for name, turn in turns.items()
    }
