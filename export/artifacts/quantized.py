"""Quantised inputs and outputs: integers that stand for real numbers through a scale and a zero point."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from export.contract import Endpoint, Tensor


@dataclass(frozen=True)
class Quantization:
    """The parameters of a quantised TFLite tensor: real = scale * (stored - zero_point)."""

    dtype: str
    scale: float
    zero_point: int

    def quantize(self, real: np.ndarray) -> np.ndarray:
        """Return the stored integers of real numbers, which saturate at the ends of the range."""
        limits = np.iinfo(self.dtype)
        return np.clip(np.round(real / self.scale) + self.zero_point, limits.min, limits.max).astype(self.dtype)

    def dequantize(self, stored: np.ndarray) -> np.ndarray:
        """Return the real numbers of stored integers, float32."""
        return (self.scale * (stored.astype(np.float64) - self.zero_point)).astype(np.float32)


def quantization_of(tensor: Tensor) -> Quantization | None:
    """Return the quantisation parameters of a tensor of a third-party file, or None."""
    return getattr(tensor, "quantization", None)


def as_real(endpoint: Endpoint) -> Endpoint:
    """Return the endpoint with quantised tensors as float32, with the range that they can hold."""

    def real(tensor: Tensor) -> Tensor:
        if (quantization := quantization_of(tensor)) is None:
            return tensor
        limits = np.iinfo(quantization.dtype)
        low, high = quantization.dequantize(np.array([limits.min, limits.max])).tolist()
        return dataclasses.replace(tensor, dtype="float32", low=low, high=high)

    return _replaced(endpoint, real)


def as_stored(endpoint: Endpoint) -> Endpoint:
    """Return the endpoint with the dtypes of the file."""
    return _replaced(endpoint, lambda t: dataclasses.replace(t, dtype=q.dtype) if (q := quantization_of(t)) else t)


def without_quantization(endpoint: Endpoint) -> Endpoint:
    """Return the endpoint with quantised tensors as plain integers."""
    return _replaced(endpoint, lambda t: dataclasses.replace(t, quantization=None) if quantization_of(t) else t)


def _replaced(endpoint: Endpoint, function: Callable[[Tensor], Tensor]) -> Endpoint:
    return dataclasses.replace(
        endpoint, inputs=tuple(map(function, endpoint.inputs)), outputs=tuple(map(function, endpoint.outputs))
    )
