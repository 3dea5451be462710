"""The legal values of an input, from the layers that it reaches: tables, lookups, statistics, rescalings."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from export.contract import Tensor
from export.contract.provenance import Reach, kind_of, table_size

PIXELS = ((0.0, 255.0), (0.0, 1.0), (-1.0, 1.0))  # the usual ranges of images, most frequent first
UNKNOWN_VALUE = "a value that is not in the vocabulary"
DEVIATIONS = 3.0  # of a normalised number, around its mean
HASHED = 1000  # values that are drawn for a hash, at most
BYTES = ("uint8",)


def token_range(tensor: Tensor, reached: Sequence[Reach]) -> Tensor | None:
    """Return the tensor as token ids, each feature in the range of the smallest table it reaches, or None."""
    tables = [(size, reach) for reach in reached if (size := table_size(reach.layer)) is not None]
    if not tables:
        return None
    highs: dict[int, int] = {}
    for size, reach in tables:
        for feature in reach.features:
            highs[feature] = min(highs.get(feature, size - 1), size - 1)
    smallest, width = min(highs.values()), tensor.shape[-1] if len(tensor.shape) > 1 else None
    if width is not None and len(set(highs.values())) > 1:
        high = tuple(highs.get(feature, smallest) for feature in range(width))
        return dataclasses.replace(tensor, meaning="token", low=0, high=high)
    return dataclasses.replace(tensor, meaning="token", low=0, high=smallest)


def vocabulary_values(tensor: Tensor, reached: Sequence[Reach]) -> Tensor | None:
    """Return the tensor with the vocabulary of the lookup or the text layer that it reaches, or None."""
    # The vocabulary is in the order of the layer's ids, special tokens included; an unknown value follows if legal.
    for reach in reached:
        if kind_of(reach.layer) == "TextVectorization" and tensor.dtype == "string":
            return dataclasses.replace(tensor, meaning="text", vocabulary=tuple(map(str, reach.layer.get_vocabulary())))
    for reach in reached:
        if kind_of(reach.layer) == "IndexLookup" and not getattr(reach.layer, "invert", False):
            accepts_others = reach.layer.num_oov_indices > 0
            values = reach.layer.get_vocabulary(include_special_tokens=accepts_others)
            if not values:
                continue
            if tensor.dtype == "string":
                others, values = [UNKNOWN_VALUE], [str(value) for value in values]
            else:
                values = [int(value) for value in values]
                others = [min(max(values) + 12_345, np.iinfo(tensor.dtype).max)]
            vocabulary = tuple(values + (others if accepts_others else []))
            return dataclasses.replace(tensor, meaning="category", vocabulary=vocabulary)
        if kind_of(reach.layer) == "Hashing":
            count = min(HASHED, 4 * reach.layer.num_bins)
            if tensor.dtype != "string":
                return dataclasses.replace(tensor, low=0, high=count)
            return dataclasses.replace(tensor, meaning="category", vocabulary=tuple(f"value {i}" for i in range(count)))
    return None


def number_range(tensor: Tensor, reached: Sequence[Reach]) -> Tensor | None:
    """Return the tensor with the range of each feature that its normalisation, rescaling or bins imply, or None."""
    width = tensor.shape[-1] if len(tensor.shape) > 1 else None
    ranges: dict[int, tuple[float, float]] = {}
    for reach in reached:
        for feature, position in reach.features.items():
            if (limits := _limits(reach.layer, position, width)) is not None:
                ranges.setdefault(feature, limits)
    if not ranges:
        return None
    low, high = min(r[0] for r in ranges.values()), max(r[1] for r in ranges.values())
    if width is not None and set(ranges) != {0} and len(set(ranges.values())) > 1:
        values = [ranges.get(feature, (-DEVIATIONS, DEVIATIONS)) for feature in range(width)]
        low, high = (tuple(float(value[end]) for value in values) for end in (0, 1))
    tensor = dataclasses.replace(tensor, low=low, high=high)
    return tensor if tensor.dtype == "string" or np.dtype(tensor.dtype).kind == "f" else _whole(tensor)


def _whole(tensor: Tensor) -> Tensor:
    """Return an integer tensor with whole ends of its range, inside those of its dtype."""
    limits = np.iinfo(tensor.dtype if tensor.dtype != "bool" else "uint8")

    def ends(value: Any) -> Any:
        whole = np.clip(np.round(np.asarray(value, np.float64)), limits.min, limits.max)
        return tuple(whole.tolist()) if whole.ndim else float(whole)

    return dataclasses.replace(tensor, low=ends(tensor.low), high=ends(tensor.high))


def _limits(layer: Any, position: int, width: int | None) -> tuple[float, float] | None:
    """Return the range of the number that a layer receives at a position along its last axis, or None."""
    if kind_of(layer) == "Discretization":
        edges = np.asarray(layer.bin_boundaries or (), np.float64)
        margin = max(1.0, 0.25 * float(np.ptp(edges))) if edges.size else 0.0
        return (float(edges.min()) - margin, float(edges.max()) + margin) if edges.size else None
    if (affine := affine_of(layer)) is None:
        return None
    scale, offset = (values.ravel() for values in affine)
    if width is not None and scale.size > 1 and position < scale.size:
        scale, offset = scale[[position]], offset[[position]]
    reach = 1.0 if kind_of(layer) == "Rescaling" else DEVIATIONS
    scale = np.where(scale == 0, 1.0, scale)
    ends = np.stack([(-reach - offset) / scale, (reach - offset) / scale])
    return float(ends.min()), float(ends.max())


def affine_of(layer: Any) -> tuple[np.ndarray, np.ndarray] | None:
    """Return (scale, offset) of a layer that maps its input to scale * input + offset; else None."""
    kind = kind_of(layer)
    if kind == "Rescaling":
        scale, offset = np.asarray(layer.scale, np.float64), np.asarray(layer.offset, np.float64)
    elif kind == "Normalization":
        if getattr(layer, "mean", None) is None or getattr(layer, "invert", False):
            return None
        mean = np.asarray(layer.mean, np.float64)
        scale = 1 / np.maximum(np.sqrt(np.asarray(layer.variance, np.float64)), 1e-7)
        offset = -mean * scale
    elif kind == "BatchNormalization":
        mean, variance = (np.asarray(v, np.float64) for v in (layer.moving_mean, layer.moving_variance))
        if np.all(mean == 0) and np.all(variance == 1):
            return None
        scale = 1 / np.sqrt(variance + layer.epsilon)
        offset = -mean * scale
    else:
        return None
    scale, offset = np.broadcast_arrays(scale, offset)
    return scale, offset


def pixel_range(tensor: Tensor, reached: Sequence[Reach], others: Sequence[Any] = ()) -> Tensor:
    """Return an image (B, H, W, C) with the range of pixels that its rescaling or normalisation implies."""
    # The first of `PIXELS` that is mapped to a usual range, else the one that fits best. Without any rescaling it has
    # all of them, as `ranges`. `others` are the layers of a model whose input could not be traced.
    image = dataclasses.replace(tensor, meaning="image")
    for layer in [*(reach.layer for reach in reached), *others]:
        if (affine := affine_of(layer)) is not None:
            low, high = next((r for r in PIXELS if _is_usual(affine, r)), (None, None))
            if low is None:
                low, high = _nearest(*_limits(layer, 0, None))
            return dataclasses.replace(image, low=low, high=high)
    if tensor.dtype in BYTES:
        return dataclasses.replace(image, low=0.0, high=255.0)
    if np.dtype(tensor.dtype).kind != "f":
        return dataclasses.replace(image, low=0.0, high=min(255.0, float(np.iinfo(tensor.dtype).max)))
    low, high = min(r[0] for r in PIXELS), max(r[1] for r in PIXELS)
    return dataclasses.replace(image, low=low, high=high, ranges=PIXELS)


def _nearest(low: float, high: float) -> tuple[float, float]:
    """Return the one of `PIXELS` that overlaps most with a range, or a range of far larger numbers as it is."""
    if high > 2 * PIXELS[0][1]:
        return low, high

    def overlap(pixels: tuple[float, float]) -> float:
        both = min(high, pixels[1]) - max(low, pixels[0])
        return both / (max(high, pixels[1]) - min(low, pixels[0]))

    return max(PIXELS, key=overlap)


def _is_usual(affine: tuple[np.ndarray, np.ndarray], pixels: tuple[float, float]) -> bool:
    """Return whether pixels are mapped to about unit range, or to about 0..255 (their mean subtracted or not)."""
    scale, offset = affine
    ends = np.stack([scale * pixels[0] + offset, scale * pixels[1] + offset])
    low, high = float(ends.min()), float(ends.max())
    is_unit = max(abs(low), abs(high)) <= 4 and high - low >= 0.5
    return is_unit or (low >= -160 and high <= 256 and high - low >= 200)
