"""How a file becomes the tensor of an endpoint, as data: what a contract states and an application obeys."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

FITS = ("stretch", "crop", "resize_crop", "pad", "pad_corner", "cut", "cut_corner")
COLOURS = ("RGB", "BGR", "RBG", "GRB", "GBR", "BRG", "grey", "grey_709", "grey_mean")
RESIZES = (
    *("bilinear", "bilinear_antialias", "bilinear_antialias_above_2", "bilinear_corner", "bilinear_corners"),
    *("nearest", "nearest_corner", "nearest_summed", "area", "box", "hamming", "bicubic", "bicubic_075"),
    *("bicubic_antialias", "mitchell_antialias", "lanczos3_antialias", "lanczos4", "lanczos5_antialias"),
    *("gaussian_antialias", "halves_bilinear", "blur_bilinear"),
)
ALPHA = ("white", "black", "dropped")
DECODERS = (
    *("accurate", "fast", "plain", "half", "quarter", "eighth", "half_fast", "quarter_fast", "eighth_fast", "scaled"),
)
ROUNDING = ("round", "truncate", "none")


@dataclass(frozen=True)
class ImagePreprocessing:
    """From an image file to the tensor (H, W, C) of one example, in the order of the fields.

    Attributes:
        decoder: Of JPEG files: "accurate" is the DCT of Pillow, OpenCV and browsers, "fast" that of
            `tf.io.decode_jpeg` by default, which differs by 1 to 2 levels; "plain" repeats the pixels of the colour
            planes; "half", "quarter" and "eighth" decode at this DCT scale, "scaled" as `tf.io.decode_jpeg` at the
            smallest scale that covers the target.
        exif: Whether the orientation of EXIF is applied.
        alpha: What is under transparent pixels: "white", "black", or "dropped", the colour that is stored there.
        fit: "stretch" ignores the aspect ratio; "crop" cuts out the largest part in the middle with that of the target,
            or `share` of it; "resize_crop" resizes the shorter side to the target's divided by `share` and cuts out the
            middle, as torchvision; "pad" pads the resized image on both sides, "pad_corner" on the right and below;
            "cut" and "cut_corner" take pixels from the middle and the upper left, without resizing.
        share: For "crop" and "resize_crop", such as 224 / 256 = 0.875.
        fill: The grey level of the padding.
        resize: A name of `export.inputs.kernels.RESIZERS`; "bilinear_antialias_above_2" antialiases where an image is
            made more than twice as small, below which bilinear interpolation uses every pixel.
        rounding: Of the resized pixels to whole numbers: "round", "truncate" or "none".
        colour: The order of the channels, or the weights of a grey image: "grey" is ITU-R 601, "grey_709" ITU-R 709.
        scale: What a pixel is multiplied by, one number for each channel, or one for all.
        offset: What is added afterwards, as `scale`.

    Example:
        >>> recipe = ImagePreprocessing(resize="bicubic_antialias", scale=(1 / 255,))
        >>> from_json(recipe.to_json()) == recipe
        True
        >>> ImagePreprocessing(fit="squeeze")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        ValueError: preprocessing: unknown fit 'squeeze'; one of stretch, crop, resize_crop, pad, pad_corner, ...
    """

    decoder: str = "accurate"
    exif: bool = True
    alpha: str = "white"
    fit: str = "stretch"
    share: float = 1.0
    fill: float = 0.0
    resize: str = "bilinear"
    rounding: str = "round"
    colour: str = "RGB"
    scale: tuple[float, ...] = (1.0,)
    offset: tuple[float, ...] = (0.0,)

    def __post_init__(self) -> None:
        """Raise ValueError for an unknown name."""
        known = {"decoder": DECODERS, "alpha": ALPHA, "fit": FITS, "resize": RESIZES}
        known |= {"rounding": ROUNDING, "colour": COLOURS}
        for field, names in known.items():
            _check(field, getattr(self, field), names)
        numbers = (self.share, self.fill, *self.scale, *self.offset)
        if not all(isinstance(n, int | float) and np.isfinite(n) for n in numbers) or 0 in (self.share, *self.scale):
            raise ValueError(f"preprocessing: share, fill, scale and offset are finite numbers, not {numbers}")

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form used in manifests."""
        return {"kind": "image", **asdict(self), "scale": list(self.scale), "offset": list(self.offset)}

    def scaled(self, pixels: np.ndarray) -> np.ndarray:
        """Return pixels (H, W, C) as the tensor has them, float64."""
        return pixels * np.array(self.scale) + np.array(self.offset)


@dataclass(frozen=True)
class SoundPreprocessing:
    """From a recording to the samples (N,) of one example, at the tensor's `sample_rate`.

    Attributes:
        channels: "mean" of the channels, or the "first".
        window: Which samples are taken of a longer recording: "loudest", "first", "middle" or "last".
        scale: What a sample in [-1, 1] is multiplied by.
        resample: "filtered" removes what the new rate cannot hold.
    """

    channels: str = "mean"
    window: str = "first"
    scale: float = 1.0
    resample: str = "filtered"

    def __post_init__(self) -> None:
        """Raise ValueError for an unknown name."""
        _check("window", self.window, ("loudest", "first", "middle", "last"))
        _check("channels", self.channels, ("mean", "first"))

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form used in manifests."""
        return {"kind": "sound", **asdict(self)}


@dataclass(frozen=True)
class TextPreprocessing:
    """From a text to the token ids (N,) of one example.

    Attributes:
        lowercase: Whether A to Z become lower case.
        normalize: "" or "bert": control characters are removed, punctuation and Chinese characters become words, and
            with `lowercase` all letters lose case and accents (Devlin 2018, arXiv:1810.04805, `BasicTokenizer`).
        replace: Pairs (pattern, replacement), regular expressions that Python and JavaScript read, in this order.
        token: The pattern of a token.
        parts: Whether a token that the vocabulary lacks becomes its characters.
        pieces: What a piece begins with that is not the first of its word, such as "##": a token becomes the longest
            pieces of the vocabulary from its start on (WordPiece). "" for whole tokens.
        start, end: The ids before and after the tokens of a text, which are cut so that both remain; None for none.
        unknown: The id of a token that the vocabulary lacks.
        fill: The id after the last token.

    Example:
        >>> TextPreprocessing(token=r"[^ ]+").to_json()["kind"]
        'text'
    """

    lowercase: bool = False
    normalize: str = ""
    replace: tuple[tuple[str, str], ...] = ()
    token: str = r"[^ ]+"
    parts: bool = False
    pieces: str = ""
    start: int | None = None
    end: int | None = None
    unknown: int = 1
    fill: int = 0

    def __post_init__(self) -> None:
        """Raise ValueError for an unknown name."""
        _check("normalize", self.normalize, ("", "bert"))

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form used in manifests."""
        return {"kind": "text", **asdict(self), "replace": [list(pair) for pair in self.replace]}


Preprocessing = ImagePreprocessing | SoundPreprocessing | TextPreprocessing


def from_json(data: Mapping[str, Any]) -> Preprocessing:
    """Rebuild from `to_json`; ValueError for an unknown kind or name."""
    kinds = {"image": ImagePreprocessing, "sound": SoundPreprocessing, "text": TextPreprocessing}
    _check("kind", data.get("kind"), tuple(kinds))
    values = {key: _frozen(value) for key, value in data.items() if key != "kind"}
    for key in values:
        _check("field", key, tuple(kinds[data["kind"]].__dataclass_fields__))
    return kinds[data["kind"]](**values)


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list | tuple) else value


def _check(field: str, value: Any, names: tuple[str, ...]) -> None:
    if value not in names:
        raise ValueError(f"preprocessing: unknown {field} {value!r}; one of {', '.join(names)}")
