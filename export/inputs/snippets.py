"""Preprocessing as code for applications, written from the contract: the same algorithm in every language."""

import json
import string
from collections.abc import Sequence
from pathlib import Path

from export.contract import Tensor
from export.contract.preprocessing import ImagePreprocessing
from export.inputs.images import DCT_SCALES, GREY, UNDER
from zoobase.errors import ExportError

RUNNABLE = ("python", "opencv", "javascript", "c")  # languages that can be run on golden files
LANGUAGES = (*RUNNABLE, "android", "swift")
DECODERS = ("accurate", "fast", "scaled")  # that applications have: the first two are a level apart
ANTIALIAS_ABOVE = {"bilinear": None, "bilinear_antialias": 0.0, "bilinear_antialias_above_2": 2.0}  # None: never
FITS = ("stretch", "crop", "pad")
NEVER = {"": 'float("inf")', "_js": "Infinity", "_c": "INFINITY", "_kotlin": "Double.POSITIVE_INFINITY"}
TEMPLATES = Path(__file__).parent / "templates"


def snippet(tensor: Tensor, language: str) -> str:
    """Return source code that makes of an image file the tensor of an input.

    Args:
        tensor: The input of the contract, whose `preprocessing` is of images.
        language: One of `LANGUAGES`.

    Raises:
        ExportError: The contract does not say how a file becomes this input, or says it in a way that is not written as
            code: other resize methods than bilinear ones, other fits than "stretch", "crop" and "pad".

    Example:
        >>> recipe = ImagePreprocessing(scale=(1 / 255,))
        >>> code = snippet(Tensor("image", "float32", (None, 8, 8, 3), "image", 0, 1, preprocessing=recipe), "python")
        >>> "HEIGHT, WIDTH, CHANNELS = 8, 8, 3" in code
        True
    """
    recipe, shape = tensor.preprocessing, tensor.shape[1:]
    if not isinstance(recipe, ImagePreprocessing) or None in shape or len(shape) != 3:
        raise ExportError(f"the contract does not say how an image file becomes the input {tensor.name}")
    if (
        recipe.resize not in ANTIALIAS_ABOVE
        or recipe.fit not in FITS
        or recipe.share != 1
        or recipe.rounding != "round"
    ):
        text = f"{recipe.fit} with share {recipe.share:g}, {recipe.resize}, rounding {recipe.rounding}"
        raise ExportError(
            f"the preprocessing of {tensor.name} ({text}) is not written as code; python calls export.inputs"
        )
    if recipe.alpha == "dropped" or not recipe.exif or recipe.decoder not in DECODERS:
        raise ExportError(f"the preprocessing of {tensor.name} is not written as code for {language}")
    template = string.Template((TEMPLATES / f"{language}.txt").read_text(encoding="utf-8"))
    return template.substitute(_values(recipe, shape))


def _values(recipe: ImagePreprocessing, shape: Sequence[int]) -> dict[str, object]:
    """Return what the templates name, in the notation of each language."""
    grey = list(GREY[recipe.colour]) if recipe.colour in GREY else None
    order = [0, 1, 2] if grey else ["RGB".index(letter) for letter in recipe.colour]
    scales = list(DCT_SCALES.values()) if recipe.decoder == "scaled" else []
    above = ANTIALIAS_ABOVE[recipe.resize]
    numbers = {
        "scale": [*recipe.scale] * (3 // len(recipe.scale)),
        "offset": [*recipe.offset] * (3 // len(recipe.offset)),
    }
    plain = {name: ", ".join(f"{float(v)!r}" for v in values[:3]) for name, values in numbers.items()}
    values: dict[str, object] = {"height": shape[0], "width": shape[1], "channels": shape[2], "fit": recipe.fit}
    values |= {f"antialias_above{k}": never if above is None else repr(above) for k, never in NEVER.items()}
    values["antialias_above_swift"] = ".infinity" if above is None else repr(above)
    values |= {"dct_scales": repr(tuple(scales)), "dct_scales_js": json.dumps(scales)}
    values |= {"dct_scales_plain": ", ".join(map(str, scales)), "is_grey": int(grey is not None)}
    values |= {
        "grey": repr(grey and tuple(grey)),
        "grey_js": json.dumps(grey),
        "grey_c": ", ".join(map(repr, grey or [0.0] * 3)),
    }
    listed = ", ".join(map(repr, grey or ()))
    values |= {
        "grey_kotlin": f"doubleArrayOf({listed})" if grey else "null",
        "grey_swift": f"[{listed}]" if grey else "nil",
    }
    values |= {
        "order": repr(tuple(order[: shape[2]])),
        "order_js": json.dumps(order),
        "order_c": ", ".join(map(str, order)),
    }
    values |= {"under": UNDER[recipe.alpha], "fill": float(recipe.fill), "fillf": f"{float(recipe.fill)}f"}
    for name in ("scale", "offset"):
        values |= {
            name: repr(tuple(numbers[name][: shape[2]])),
            f"{name}_js": f"[{plain[name]}]",
            f"{name}_c": plain[name],
        }
    return values
