"""Which preprocessing an image tensor had: a search over the stages from the file to the tensor.

Geometry first, on blurred images, which no resize method changes much; then decoders and resize methods at full size;
colour order and scale by least squares, which need no search; then the named scales and the rounding.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from export.contract.preprocessing import COLOURS, FITS, ImagePreprocessing
from export.inputs.images import GREY, ROUND, Box, ImageFile, coloured, dct_scale, geometry, scale_of, turned
from export.inputs.kernels import RESIZERS, Span, chosen, resize

Shape = tuple[int, int, int]
SHARES = (0.875, 0.9, 0.95, 224 / 232)  # of the resized image that is cut out: torchvision, timm, Keras
CELLS = 32  # a side of the blurred images by which geometries are compared
GEOMETRIES, TRIED = 10, ("bilinear", "bilinear_antialias", "nearest")
WINDOW = 112  # pixels a side of the part of a tensor on which methods are compared
SIMILAR = 0.12  # levels: hypotheses whose residuals differ less cannot be separated
EXPLAINED = 4.0  # levels: a larger residual is no explanation
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))


def _normalized(mean: Sequence[float], deviation: Sequence[float]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return tuple(1 / (255 * d) for d in deviation), tuple(-m / d for m, d in zip(mean, deviation, strict=True))


SCALES: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "0 to 255": ((1.0,), (0.0,)),
    "0 to 1 (divided by 255)": ((1 / 255,), (0.0,)),
    "-1 to 1 (divided by 127.5, minus 1)": ((1 / 127.5,), (-1.0,)),
    "divided by 256": ((1 / 256,), (0.0,)),
    "(x - 128) / 128": ((1 / 128,), (-1.0,)),
    "(x - 127) / 128": ((1 / 128,), (-127 / 128,)),
    "minus 128 (int8)": ((1.0,), (-128.0,)),
    "divided by 255 twice": ((1 / 65025,), (0.0,)),
    "multiplied by 255": ((255.0,), (0.0,)),
    "-0.5 to 0.5": ((1 / 255,), (-0.5,)),
    "inverted, 0 to 255": ((-1.0,), (255.0,)),
    "inverted, 0 to 1": ((-1 / 255,), (1.0,)),
    "mean and deviation of ImageNet": _normalized(*_IMAGENET),
    "mean and deviation of ImageNet in the order BGR": _normalized(*(v[::-1] for v in _IMAGENET)),
    "mean and deviation of ImageNet without division by 255": (
        tuple(1 / d for d in _IMAGENET[1]),
        tuple(-m / d for m, d in zip(*_IMAGENET, strict=True)),
    ),
    "mean and deviation of CLIP": _normalized(*_CLIP),
    "minus the mean of ImageNet in the order BGR (Caffe)": ((1.0,), (-103.939, -116.779, -123.68)),
    "minus the mean of ImageNet in the order RGB": ((1.0,), (-123.68, -116.779, -103.939)),
    "mean and deviation of MNIST": _normalized((0.1307,), (0.3081,)),
}


@dataclass(frozen=True)
class Hypothesis:
    """One way from the file to the tensor.

    Attributes:
        layout: How the numbers of the tensor are arranged.
        orientation: The EXIF orientation by which the image was turned.
        recipe: The other stages.
        residual: Root mean square of what it leaves unexplained, in levels of 0 to 255.
        scale: The name of scale and offset, or their values as text.
    """

    layout: str
    orientation: int
    recipe: ImagePreprocessing
    residual: float
    scale: str = ""

    def stages(self) -> dict[str, str | float]:
        """Return the value of each stage."""
        r = self.recipe
        names = ("decoder", "alpha", "fit", "share", "fill", "resize", "rounding", "colour")
        return (
            {"layout": self.layout, "orientation": self.orientation}
            | {n: getattr(r, n) for n in names}
            | {"scale": self.scale}
        )


@dataclass(frozen=True)
class Explanation:
    """The result of `explain`.

    Attributes:
        best: The hypothesis with the fewest differences from what is expected, of those that fit best.
        similar: For each stage, the other values that fit as well.
        expected: What the recipe of the contract gives for this file.
    """

    best: Hypothesis
    similar: dict[str, tuple[str, ...]] = field(default_factory=dict)
    expected: Hypothesis | None = None

    @property
    def is_explained(self) -> bool:
        """Whether a hypothesis is near enough to be the cause."""
        return self.best.residual <= EXPLAINED

    def differences(self) -> dict[str, tuple[str | float, str | float]]:
        """Return (actual, expected) of each stage that differs and could be separated from what is expected."""
        if self.expected is None:
            return {}
        actual, expected = self.best.stages(), self.expected.stages()
        return {name: (actual[name], expected[name]) for name in actual if actual[name] != expected[name]}


def layouts(array: np.ndarray, shape: Shape) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the ways in which an array can hold an image (H, W, C): a name, and the image float64."""
    array = np.asarray(array, np.float64)
    height, width, channels = shape
    own = [size for size in array.shape if size != 1] or [1]
    if array.size != height * width * channels:
        return
    if own == [size for size in (channels, height, width) if size != 1] and channels > 1 and own != [*shape]:
        yield "NCHW", array.reshape(channels, height, width).transpose(1, 2, 0)
        return
    swapped = own == [size for size in (width, height, channels) if size != 1] and height != width
    if swapped:
        yield "width before height", array.reshape(width, height, channels).transpose(1, 0, 2)
    else:
        yield "NHWC", array.reshape(shape)
    if channels > 1:
        yield "NCHW read as NHWC", array.reshape(channels, height, width).transpose(1, 2, 0)
    if height != width and not swapped:
        yield "columns read as rows", array.reshape(width, height, channels).transpose(1, 0, 2)


def explain(
    file: ImageFile, array: np.ndarray, shape: Shape, expected: ImagePreprocessing | None = None
) -> Explanation | None:
    """Return by which preprocessing an image file became a tensor.

    Args:
        file: The image file.
        array: The tensor that the application fed, of one example.
        shape: (H, W, C) that the model takes.
        expected: What the contract states, or None.

    Returns:
        The explanation, whose residual says how well it fits; None if the array has no such image: another number of
        values, all of them equal, or some of them not finite.
    """
    views = list(layouts(array, shape))
    if not views or not np.isfinite(array).all() or np.ptp(array) == 0:
        return None
    candidates = list(_Search(file, views, shape, expected).hypotheses())
    least = min(h.residual for h in candidates)
    near = [h for h in candidates if h.residual <= least + SIMILAR + 0.05 * least]
    target = _as_hypothesis(file, expected, shape) if expected else None
    best = min(near, key=lambda h: (_distance(h, target), round(h.residual, 1)))
    return Explanation(best, _similar(best, near), target)


def _as_hypothesis(file: ImageFile, recipe: ImagePreprocessing, shape: Shape) -> Hypothesis:
    """Return what a recipe means for a file, in the terms of the search."""
    orientation = file.exif if recipe.exif else 1
    size = file.size[::-1] if orientation >= 5 else file.size
    rows, columns, box = geometry(size, shape[:2], recipe.fit, recipe.share)
    decoder = recipe.decoder if file.is_jpeg else "accurate"
    if decoder == "scaled":
        decoder = dct_scale(size, shape[:2], recipe.fit)
        size = tuple(-(-side // scale_of(decoder)) for side in size)
        rows, columns, _ = geometry(size, shape[:2], recipe.fit, recipe.share)
    own = geometry(size, shape[:2], recipe.fit, recipe.share)  # the first fit that means the same for this size
    fit = next((name for name in FITS if geometry(size, shape[:2], name) == own), recipe.fit)
    names = {values: name for name, values in SCALES.items()}
    fitted = replace(
        recipe,
        decoder=decoder,
        resize=chosen(recipe.resize, rows, columns),
        alpha=recipe.alpha if file.has_alpha else "white",
        fit=fit,
        fill=recipe.fill if box[2:] != shape[:2] else 0.0,
    )
    scale = names.get((recipe.scale, recipe.offset)) or _scale_text(np.array(recipe.scale), np.array(recipe.offset))
    return Hypothesis("NHWC", orientation, fitted, 0.0, scale)


def _geometries(size: tuple[int, ...], shape: Shape) -> dict[object, tuple[str, float]]:
    """Return (fit, share) of every geometry that differs for images of this size."""
    pairs = [(fit, 1.0) for fit in FITS] + [(fit, share) for fit in ("resize_crop", "crop") for share in SHARES]
    found: dict[object, tuple[str, float]] = {}
    for fit, share in pairs:
        found.setdefault(geometry(size, shape[:2], fit, share), (fit, share))
    return found


@dataclass(frozen=True)
class _Place:
    """Where an image is in a tensor: which layout, turn and crop, with which colour under transparent pixels."""

    view: int
    orientation: int
    alpha: str
    fit: str
    share: float


class _Search:
    """The search for one file and one tensor."""

    def __init__(
        self,
        file: ImageFile,
        views: Sequence[tuple[str, np.ndarray]],
        shape: Shape,
        expected: ImagePreprocessing | None,
    ) -> None:
        self.file, self.views, self.shape = file, views, shape
        self.resized: dict[tuple[_Place, str, str], tuple[np.ndarray, np.ndarray]] = {}
        self.scales = dict(SCALES)
        if expected and (expected.scale, expected.offset) not in self.scales.values():
            text = _scale_text(np.array(expected.scale), np.array(expected.offset))
            self.scales[text] = (expected.scale, expected.offset)

    def hypotheses(self) -> Iterator[Hypothesis]:
        """Yield the hypotheses of the best geometries with every decoder and resize method."""
        tried = [
            (min(self._residual(place, "accurate", method) for method in TRIED), number, place)
            for number, place in enumerate(self._places())
        ]
        least = min(tried)[0]
        for residual, _, place in sorted(tried)[:3]:
            if residual <= 1.5 * least + 0.5:
                found = dict(self._methods(place))
                limit = 1.15 * min(found.values()) + 0.3
                for (decoder, method), value in found.items():
                    if value <= limit:
                        yield from self._named(place, decoder, method)

    def _places(self) -> list[_Place]:
        """Return the geometries that fit best on blurred images."""
        found: list[tuple[float, int, _Place]] = []
        alphas = ("white", "black", "dropped") if self.file.has_alpha else ("white",)
        for alpha, orientation in itertools.product(alphas, range(1, 9)):
            image = turned(self.file.decoded("accurate", alpha), orientation).mean(-1, keepdims=True)
            reduced = _reduced(image, self.shape)
            for (rows, columns, box), (fit, share) in _geometries(image.shape, self.shape).items():
                source, spans = (image, (rows, columns)) if fit.startswith("cut") else (reduced, (rows, columns))
                pixels = resize(source, *_on(source, image, spans), "bilinear_antialias")
                for index, (_, view) in enumerate(self.views):
                    border = _border(view, box)
                    if not border.size or border.std(0).max() <= 0.01 * view.std():  # constant outside the box
                        theirs = _cut(view, box).mean(-1)
                        apart = 1 - _correlation(_cells(pixels[..., 0]), _cells(theirs)) ** 2
                        found.append((apart, len(found), _Place(index, orientation, alpha, fit, share)))
        found.sort()
        best = found[0][0]
        return [place for apart, _, place in found[:GEOMETRIES] if apart <= max(6 * best, best + 0.02)]

    def _methods(self, place: _Place) -> Iterator[tuple[tuple[str, str], float]]:
        """Yield the residual of every resize method with every decoder that may be the one."""
        found: dict[str, dict[str, float]] = {}
        for decoder in self.file.decoders():
            if scale_of(decoder) > 2 * min(np.sort(self.file.size) / np.sort(self.shape[:2])):
                continue  # it would leave less than half of the pixels that the tensor has
            similar = next((found[name] for name in found if scale_of(name) == scale_of(decoder)), {})
            methods = sorted(similar, key=similar.__getitem__)[:4] or RESIZERS
            found[decoder] = {method: self._residual(place, decoder, method) for method in methods}
            yield from (((decoder, method), residual) for method, residual in found[decoder].items())

    def _pixels(self, place: _Place, decoder: str, method: str) -> tuple[np.ndarray, np.ndarray]:
        """Return resized pixels (H', W', 3), and what the tensor has there, of a window with much detail."""
        if (key := (place, decoder, method)) in self.resized:
            return self.resized[key]
        image = turned(self.file.decoded(decoder, place.alpha), place.orientation)
        rows, columns, box = geometry(image.shape, self.shape[:2], place.fit, place.share)
        part = _cut(self.views[place.view][1], box)
        window = _window(part)
        pixels = np.clip(resize(image, rows, columns, method, window), 0, 255)
        self.resized[key] = pixels.astype(np.float64), part[window]
        return self.resized[key]

    def _residual(self, place: _Place, decoder: str, method: str) -> float:
        """Return the least residual in levels over the orders of colours, each scaled at will."""
        return min(_residuals(*self._pixels(place, decoder, method)).values())

    def _named(self, place: _Place, decoder: str, method: str) -> Iterator[Hypothesis]:
        """Yield the hypotheses with the named scales, or else the fitted one."""
        pixels, view = self._pixels(place, decoder, method)
        channels = self.shape[2]
        residuals = _residuals(pixels, view)
        for colour in (c for c, value in residuals.items() if value <= min(residuals.values()) + 2 * SIMILAR):
            plain = coloured(pixels, colour, channels)
            fitted, scale, offset = _regressed(plain, view)
            found = []
            for rounding in ("round", "truncate", "none"):
                whole = ROUND[rounding](coloured(ROUND[rounding](pixels), colour, channels))
                for name, (a, b) in (self.scales | _by_image(plain)).items():
                    if len(a) in (1, channels) and len(b) in (1, channels):
                        rest = (view - whole * np.array(a) - np.array(b)) / np.array(a)
                        found.append((float(np.sqrt((rest * rest).mean())), rounding, name, a, b))
            least = min(found)[0]
            if least > np.hypot(fitted, 0.6):
                text, least = _scale_text(scale, offset), fitted
                found = [(fitted, "none", text, tuple(map(float, scale)), tuple(map(float, offset)))]
            for residual, rounding, name, a, b in found:
                if residual <= least + SIMILAR:
                    fill = self._fill(place, np.array(a), np.array(b))
                    stages = (decoder, True, place.alpha, place.fit, place.share, fill, method, rounding, colour, a, b)
                    layout = self.views[place.view][0]
                    yield Hypothesis(layout, place.orientation, ImagePreprocessing(*stages), residual, name)

    def _fill(self, place: _Place, scale: np.ndarray, offset: np.ndarray) -> float:
        """Return the grey level of the padding."""
        size = self.file.size[::-1] if place.orientation >= 5 else self.file.size
        border = _border(self.views[place.view][1], geometry(size, self.shape[:2], place.fit, place.share)[2])
        return round(float(((border - offset) / scale).mean()), 1) + 0.0 if border.size else 0.0


def _reduced(image: np.ndarray, shape: Shape) -> np.ndarray:
    """Return an image averaged over blocks, still twice as large as the tensor."""
    factor = max(1, int(min(np.sort(image.shape[:2]) / np.sort(shape[:2])) // 2))
    height, width = (side // factor for side in image.shape[:2])
    return image[: height * factor, : width * factor].reshape(height, factor, width, factor, -1).mean((1, 3))


def _on(source: np.ndarray, image: np.ndarray, spans: tuple[Span, Span]) -> list[Span]:
    """Return spans of an image as those of its reduced form."""
    factors = [a / b for a, b in zip(image.shape[:2], source.shape[:2], strict=True)]
    return [
        replace(s, start=s.start / f, length=s.length / f, low=int(s.low / f), high=min(side, -int(-s.high // f)))
        for s, f, side in zip(spans, factors, source.shape, strict=False)
    ]


def _cells(image: np.ndarray) -> np.ndarray:
    """Return means of blocks of an image (H, W), about `CELLS` on a side."""
    size = max(1, min(image.shape) // CELLS)
    height, width = (side // size * size for side in image.shape)
    return image[:height, :width].reshape(height // size, size, width // size, size).mean((1, 3))


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    norm = np.sqrt((a * a).sum() * (b * b).sum())
    return float((a * b).sum() / norm) if norm > 0 else 0.0


def _cut(view: np.ndarray, box: Box) -> np.ndarray:
    top, left, height, width = box
    return view[top : top + height, left : left + width]


def _window(view: np.ndarray) -> tuple[slice, slice]:
    """Return the part of a tensor, at most `WINDOW` on a side, with the largest variance."""
    starts = [range(0, max(1, side - WINDOW + 1), WINDOW // 2) for side in view.shape[:2]]
    parts = [(slice(y, y + WINDOW), slice(x, x + WINDOW)) for y, x in itertools.product(*starts)]
    return max(parts, key=lambda part: view[part].var())


def _border(view: np.ndarray, box: Box) -> np.ndarray:
    outside = np.ones(view.shape[:2], bool)
    top, left, height, width = box
    outside[top : top + height, left : left + width] = False
    return view[outside]


def _residuals(pixels: np.ndarray, view: np.ndarray) -> dict[str, float]:
    """Return what each order of colours leaves unexplained, from the covariances of RGB, its greys and the tensor."""
    channels = view.shape[-1]
    weights = np.concatenate([np.eye(3), np.array(list(GREY.values()))])
    x, y = pixels.reshape(-1, 3) @ weights.T, view.reshape(-1, channels)
    x, y = x - x.mean(0), y - y.mean(0)
    own, shared, total = (x * x).sum(0)[:, None], x.T @ y, (y * y).sum(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        rest = np.where(np.abs(shared) > 1e-9 * own, (total - shared**2 / own) * (own / shared) ** 2, np.inf)
    names = COLOURS if channels > 1 else (*GREY, "RGB", "GBR", "BGR")
    rows = {name: [3 + list(GREY).index(name)] * channels for name in GREY}
    rows |= {name: ["RGB".index(letter) for letter in name][:channels] for name in names if name not in GREY}
    return {
        name: float(np.sqrt(max(0.0, sum(rest[row, k] for k, row in enumerate(rows[name]))) / y.size)) for name in names
    }


def _regressed(x: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Return the residual in levels, and scale and offset of each channel, of y = scale * x + offset."""
    x, y = x.reshape(-1, x.shape[-1]), y.reshape(-1, y.shape[-1])
    means = x.mean(0), y.mean(0)
    x, y = x - means[0], y - means[1]
    variance = (x * x).sum(0)
    scale = (x * y).sum(0) / np.where(variance > 0, variance, 1)
    if not np.all(np.abs(scale) > 1e-12):
        return np.inf, scale, means[1]
    rest = (y - scale * x) / scale
    return float(np.sqrt((rest * rest).mean())), scale, means[1] - scale * means[0]


def _by_image(plain: np.ndarray) -> dict[str, tuple[tuple[float, ...], tuple[float, ...]]]:
    """Return the scales that depend on the image."""
    mean, deviation = float(plain.mean()), max(float(plain.std()), 1 / np.sqrt(plain.size))
    low, span = float(plain.min()), max(float(np.ptp(plain)), 1.0)
    return {
        "mean 0, deviation 1 of each image": ((1 / deviation,), (-mean / deviation,)),
        "0 to 1 from minimum to maximum of each image": ((1 / span,), (-low / span,)),
    }


def _scale_text(scale: np.ndarray, offset: np.ndarray) -> str:
    """Return scale and offset as text."""
    a, b = (", ".join(f"{value:.4g}" for value in values) for values in (scale, offset))
    return f"multiplied by {a}, plus {b}"


def _distance(hypothesis: Hypothesis, expected: Hypothesis | None) -> int:
    """Return in how many stages a hypothesis differs from what is expected, or else from what is usual."""
    if expected is None:
        return 0
    actual, wanted = hypothesis.stages(), expected.stages()
    return sum(actual[name] != wanted[name] for name in actual)


def _similar(best: Hypothesis, near: Sequence[Hypothesis]) -> dict[str, tuple[str, ...]]:
    """Return, for each stage, the other values with which a hypothesis fits as well."""
    stages = best.stages()
    found: dict[str, dict[str, None]] = {}
    for hypothesis in near:
        for name, value in hypothesis.stages().items():
            if value != stages[name]:
                found.setdefault(name, {})[str(value)] = None
    return {name: tuple(values) for name, values in found.items()}
