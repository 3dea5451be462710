"""Compare what an application fed a model with what the contract of a bundle says, and say what the mistake costs."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from export.contract import Contract, Endpoint, Tensor
from export.contract.preprocessing import ImagePreprocessing, SoundPreprocessing, TextPreprocessing
from export.inputs import search, sounds, texts
from export.inputs.images import ImageFile, scale_of, tensor_of
from export.inputs.kernels import RESIZERS
from zoobase.errors import ExportError

MINOR = ("decoder", "rounding")  # stages that differ by one or two levels, if neither truncates nor makes smaller
IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff")
SOUNDS = (".wav", ".flac", ".ogg", ".mp3")


@dataclass(frozen=True)
class InputCheck:
    """What a tensor is, and how it differs from what the contract says.

    Attributes:
        verdict: "as stated", "differs", "not stated" where the contract has no preprocessing, or "unknown" where no
            preprocessing within reach gives the tensor.
        stages: What was done in each stage.
        differences: (actual, stated) of the stages that differ.
        similar: Other values of a stage that fit as well.
        residual: Root mean square of what is left unexplained, in levels of 0 to 255, or of the range of a sound.
        expected: The tensor that the contract gives, or None.
        fed: The tensor of the application in the layout of the model, or None where it has no such layout.
        reason: Why nothing could be determined, or "".
        notes: Sentences.
    """

    verdict: str
    stages: Mapping[str, Any] = field(default_factory=dict)
    differences: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    similar: Mapping[str, Sequence[str]] = field(default_factory=dict)
    residual: float | None = None
    expected: np.ndarray | None = None
    fed: np.ndarray | None = None
    reason: str = ""
    notes: Sequence[str] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the form that `--json` prints, without arrays."""
        return {
            "verdict": self.verdict,
            "stages": dict(self.stages),
            "differences": {name: {"actual": a, "stated": b} for name, (a, b) in self.differences.items()},
            "similar": {name: list(values) for name, values in self.similar.items()},
            "residual": self.residual,
            "reason": self.reason,
            "notes": list(self.notes),
        }

    def sentence(self) -> str:
        """Return what the application did, and what the contract says, in one sentence."""
        if self.verdict == "unknown":
            return f"nothing within reach gives this tensor: {self.reason}"
        if self.verdict == "as stated":
            return "as the contract states"
        if self.verdict == "not stated":
            done = ", ".join(
                describe(name, value) for name, value in self.stages.items() if DEFAULTS.get(name) != value
            )
            return f"{done}; the contract states nothing"
        actual, stated = (", ".join(describe(n, pair[i]) for n, pair in self.differences.items()) for i in (0, 1))
        return f"{actual}; expected {stated}"


DEFAULTS = {"layout": "NHWC", "orientation": 1, "share": 1.0, "fill": 0.0, "alpha": "white"}
TURNS = {
    **{1: "upright as stored", 2: "flipped left to right", 3: "turned by 180 degrees", 4: "flipped upside down"},
    **{5: "rows and columns exchanged", 6: "turned by 90 degrees clockwise", 7: "turned and flipped"},
    8: "turned by 90 degrees counterclockwise",
}


def describe(stage: str, value: Any) -> str:
    """Return the value of a stage as words."""
    if stage == "orientation":
        return TURNS[value]
    if stage == "resize":
        return f"{value.replace('_', ' ')} ({RESIZERS[value].libraries})"
    if stage == "share":
        return f"{value:.3g} of the resized image cut out"
    if stage == "rounding":
        return {"round": "rounded", "truncate": "truncated", "none": "not rounded"}[value]
    names = {"decoder": "JPEG decoder", "alpha": "transparency on", "fill": "padded with", "scale": "values"}
    return str(value) if stage in ("layout", "colour") else f"{names.get(stage, stage)} {value}"


def input_of(contract: Contract, name: str | None = None) -> tuple[Endpoint, Tensor]:
    """Return the endpoint and the input whose preprocessing is checked: the one of a name, or the only possible one."""
    endpoint = contract.endpoints[0]
    named = [t for t in endpoint.inputs if name in (None, t.name)]
    stated = [t for t in named if t.preprocessing is not None or t.meaning in ("image", "audio", "token", "text")]
    if len(stated or named) != 1:
        known = ", ".join(tensor.name for tensor in endpoint.inputs)
        raise ExportError(f"which input is it? give --input with one of {known}")
    return endpoint, (stated or named)[0]


def check_image(tensor: Tensor, file: ImageFile, array: np.ndarray) -> InputCheck:
    """Return what was done to an image file before it became a tensor.

    Args:
        tensor: The input of the contract, (B, H, W, C).
        file: The image file.
        array: The tensor of one example.

    Raises:
        ExportError: The size of the model's images is not fixed.
    """
    shape, recipe = tensor.shape[1:], tensor.preprocessing
    if len(shape) != 3 or None in shape:
        raise ExportError(
            f"input {tensor.name} has images of any size; the size that the application used is not stated"
        )
    recipe = recipe if isinstance(recipe, ImagePreprocessing) else None
    expected = tensor_of(file, recipe, shape) if recipe else None
    explained = search.explain(file, array, shape, recipe)
    if explained is None:
        return InputCheck("unknown", expected=expected, reason=_unusable(array, shape))
    best = explained.best
    fed = next(image for name, image in search.layouts(array, shape) if name == best.layout)
    common = {"residual": round(best.residual, 3), "expected": expected, "fed": fed, "similar": explained.similar}
    if not explained.is_explained:
        nearest = InputCheck("not stated", best.stages()).sentence().rpartition(";")[0]
        text = f"the nearest is {nearest}, and {best.residual:.1f} levels of 255 remain"
        return InputCheck("unknown", best.stages(), reason=text, **common)
    differences = explained.differences()
    if recipe is None:
        return InputCheck("not stated", best.stages(), **common)
    levels = float(np.abs(np.asarray(recipe.scale)).max())
    apart = float(np.sqrt(np.mean((np.asarray(array, np.float64).reshape(-1) - expected.reshape(-1)) ** 2))) / levels
    minor = {n: pair for n, pair in differences.items() if _is_minor(n, *pair)}
    differences = {name: pair for name, pair in differences.items() if name not in minor}
    notes = [f"root mean square difference from the tensor of the contract: {apart:.2f} levels of 255"]
    notes += [
        f"{describe(n, a)} instead of {b}, which is one or two levels and no mistake" for n, (a, b) in minor.items()
    ]
    return InputCheck("differs" if differences else "as stated", best.stages(), differences, notes=notes, **common)


def _is_minor(stage: str, actual: Any, stated: Any) -> bool:
    """Return whether a difference is one of decoders or of rounding, and no mistake."""
    if stage == "decoder":
        return scale_of(actual) == scale_of(stated)
    return stage in MINOR and "truncate" not in (actual, stated)


def _unusable(array: np.ndarray, shape: Sequence[int]) -> str:
    if array.size != np.prod(shape):
        return f"it has shape {array.shape}, {array.size:,} values, and one example has {tuple(shape)}"
    if not np.isfinite(np.asarray(array, float)).all():
        return "it holds NaN or infinity"
    return f"all its values are {float(np.asarray(array).reshape(-1)[0]):g}"


def vocabulary_of(bundle: Path) -> list[str]:
    """Return the tokens of a bundle's texts, by id; none where it has no such file."""
    file = bundle / "vocabulary.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else []


def check_file(tensor: Tensor, path: Path, array: np.ndarray, vocabulary: Sequence[str] = ()) -> InputCheck:
    """Return what was done to a file before it became a tensor.

    Args:
        tensor: The input of the contract.
        path: An image, a WAV file, or a text in UTF-8.
        array: The tensor of one example.
        vocabulary: The tokens of a text, by id.

    Raises:
        ExportError: The file is of another kind than the input, or damaged.
    """
    recipe, suffix = tensor.preprocessing, path.suffix.lower()
    if suffix in IMAGES:
        return check_image(tensor, ImageFile(path.read_bytes()), array)
    length = tensor.shape[-1]
    if suffix in SOUNDS and tensor.meaning == "audio" and length is not None:
        recipe = recipe if isinstance(recipe, SoundPreprocessing) else None
        found = sounds.explain(path.read_bytes(), array, tensor.sample_rate, length, recipe)
        wanted = expected(tensor, path) if recipe else None
        if found is None:
            return InputCheck("unknown", expected=wanted, reason=_unusable(array, (length,)))
        fed = np.asarray(array, np.float32).reshape(length)
        return _concluded(*found, sounds.EXPLAINED, sounds.stages_of(recipe) if recipe else None, wanted, fed)
    if tensor.meaning == "token" and isinstance(recipe, TextPreprocessing) and vocabulary:
        wanted = expected(tensor, path, vocabulary)
        found = texts.explain(path.read_bytes().decode("utf-8", "replace"), array, recipe, vocabulary, length)
        return _concluded(*found, 1 - texts.EXPLAINED, texts.AS_STATED, wanted, np.asarray(array).reshape(-1))
    raise ExportError(f"the contract does not say how a file such as {path.name} becomes the input {tensor.name}")


def _concluded(
    stages: Mapping[str, Any],
    similar: Mapping[str, Sequence[str]],
    residual: float,
    limit: float,
    stated: Mapping[str, Any] | None,
    expected: np.ndarray | None,
    fed: np.ndarray,
) -> InputCheck:
    """Return the check of a sound or a text."""
    common = {"similar": similar, "residual": round(residual, 6), "expected": expected, "fed": fed}
    if residual > limit:
        return InputCheck("unknown", stages, reason=f"the nearest leaves {residual:.0%} of it unexplained", **common)
    if stated is None:
        return InputCheck("not stated", stages, **common)
    differences = {n: (v, stated[n]) for n, v in stages.items() if v != stated[n]}
    return InputCheck("differs" if differences else "as stated", stages, differences, **common)


def expected(tensor: Tensor, path: Path, vocabulary: Sequence[str] = ()) -> np.ndarray:
    """Return the tensor that the contract gives for a file."""
    recipe, data = tensor.preprocessing, path.read_bytes()
    if isinstance(recipe, TextPreprocessing):
        return texts.tensor_of(data.decode("utf-8", "replace"), recipe, vocabulary, tensor.shape[1])
    if isinstance(recipe, SoundPreprocessing):
        return sounds.tensor_of(data, recipe, tensor.sample_rate, tensor.shape[1])
    return tensor_of(ImageFile(data), recipe, tensor.shape[1:])


def draw(path: Path, check: InputCheck) -> None:
    """Write a PNG image of what the contract gives, what the application fed, and the difference."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.2), layout="constrained")
    images = {"contract": check.expected, "application": check.fed, "difference": np.abs(check.fed - check.expected)}
    for axes, (title, image) in zip(figure.subplots(1, 3), images.items(), strict=True):
        low, span = float(image.min()), float(np.ptp(image)) or 1.0
        axes.imshow(((image - low) / span).squeeze(), cmap="gray")
        axes.set_title(f"{title}: {low:.3g} to {low + span:.3g}", fontsize=9)
        axes.set_axis_off()
    figure.savefig(path, dpi=100)


def mistaken(tensor: Tensor, check: InputCheck) -> Callable[[Path], np.ndarray]:
    """Return the function that makes of any image file what the application would: path -> (H, W, C) float32."""
    stages, shape = check.stages, tensor.shape[1:]
    stated = tensor.preprocessing
    if isinstance(stated, SoundPreprocessing):
        named = {name: stages[name] for name in ("channels", "resample", "window")}
        scale = sounds.SCALES.get(stages["scale"])
        if scale is None or stages["window"].startswith("at "):
            raise ExportError("what was done to this sound depends on the sound; it cannot be done to others")
        recipe = SoundPreprocessing(**named, scale=scale)
        return lambda path: sounds.tensor_of(path.read_bytes(), recipe, tensor.sample_rate, *shape)
    if "scale" in check.differences and stages["scale"] not in search.SCALES:
        raise ExportError("the scale of this image has no name, or depends on the image; it cannot be done to others")
    scale, offset = search.SCALES.get(stages["scale"], (stated.scale, stated.offset))
    names = ("decoder", "alpha", "fit", "share", "fill", "resize", "rounding", "colour")
    recipe = ImagePreprocessing(**{name: stages[name] for name in names}, scale=scale, offset=offset)

    def feed(path: Path) -> np.ndarray:
        file = ImageFile(path.read_bytes())
        if "orientation" in check.differences:  # none, or always the same turn; else that of EXIF
            file.exif = stages["orientation"]
        pixels = tensor_of(file, recipe, shape)
        if stages["layout"].startswith("NCHW"):  # the same numbers in the shape that the model takes
            return pixels.transpose(2, 0, 1).reshape(pixels.shape)
        return pixels if stages["layout"] == "NHWC" else pixels.transpose(1, 0, 2).reshape(pixels.shape)

    return feed


def cost(
    endpoint: Endpoint,
    right: Mapping[str, np.ndarray],
    wrong: Mapping[str, np.ndarray],
    truth: Sequence[int] | None = None,
) -> dict[str, Any]:
    """Return what a mistake does to the answers of a model.

    Args:
        endpoint: Whose outputs they are.
        right: The outputs (N, ...) by name for the tensors that the contract gives.
        wrong: Those for the tensors that the application gives.
        truth: Class of each example, if known.

    Returns:
        "examples"; with scores of classes "changed", how many answers change, and "answers", the class and the
        probability of each example both ways; "accuracy" (right, with the mistake) with a truth; for other models
        "largest_change", of the outputs.
    """
    count = len(next(iter(right.values())))
    scores = next((t for t in endpoint.outputs if t.meaning in ("logits", "probabilities") and len(t.shape) == 2), None)
    if scores is None:
        numbers = {name: value for name, value in right.items() if value.dtype.kind in "fiu"}
        changes = {n: float(np.abs(np.subtract(v, wrong[n], dtype=float)).max()) for n, v in numbers.items()}
        return {"examples": count, "largest_change": changes}
    answers = [_top(values[scores.name], scores.meaning) for values in (right, wrong)]
    changed = int(np.sum(answers[0][0] != answers[1][0]))
    found: dict[str, Any] = {"examples": count, "changed": changed, "answers": answers}
    if truth is not None:
        found["accuracy"] = [float(np.mean(classes == np.asarray(truth))) for classes, _ in answers]
    return found


def _top(values: np.ndarray, meaning: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the class of each row, and its probability."""
    if meaning == "logits" and values.shape[-1] == 1:
        values = np.concatenate([np.zeros_like(values), values], -1)
    if meaning == "logits":
        values = np.exp(values - values.max(-1, keepdims=True))
        values = values / values.sum(-1, keepdims=True)
    elif values.shape[-1] == 1:
        values = np.concatenate([1 - values, values], -1)
    return values.argmax(-1), values.max(-1)
