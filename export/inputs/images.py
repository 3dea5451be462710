"""An image file as the tensor that a recipe gives: each stage of `ImagePreprocessing` on NumPy arrays."""

import io
from collections.abc import Callable

import numpy as np

from export.contract.preprocessing import ImagePreprocessing
from export.inputs.kernels import Span, resize
from zoobase.errors import ExportError

DCT_SCALES = {"half": 2, "quarter": 4, "eighth": 8}
TENSORFLOW_DECODERS = {
    "fast": {"dct_method": "INTEGER_FAST"},
    "plain": {"dct_method": "INTEGER_ACCURATE", "fancy_upscaling": False},
    **{f"{name}_fast": {"ratio": scale} for name, scale in DCT_SCALES.items()},
}
UNDER = {"white": 255, "black": 0}
GREY = {"grey": (0.299, 0.587, 0.114), "grey_709": (0.2126, 0.7152, 0.0722), "grey_mean": (1 / 3, 1 / 3, 1 / 3)}
Box = tuple[int, int, int, int]  # top, left, height, width of the part of a tensor that shows the image


class ImageFile:
    """An image file, decoded in the ways that libraries decode it.

    Attributes:
        exif: Its EXIF orientation, 1 (upright) to 8.
        has_alpha: Whether some pixel is not opaque.
        is_jpeg: Whether it is a JPEG file, whose decoders differ.
        size: (H, W) as stored.
    """

    def __init__(self, data: bytes) -> None:
        from PIL import Image

        self._data = data
        self._pixels: dict[tuple[str, str], np.ndarray] = {}
        try:
            with Image.open(io.BytesIO(data)) as file:
                self.size = file.size[::-1]
                self.exif = exif if (exif := file.getexif().get(0x0112, 1)) in range(1, 9) else 1
                self.is_jpeg = file.format == "JPEG"
                file.load()
                opaque = "transparency" not in file.info and file.mode not in ("RGBA", "LA", "PA")
                self.has_alpha = not opaque and file.convert("RGBA").getextrema()[3][0] < 255
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise ExportError(f"the file is not an image that Pillow reads ({error})") from error

    def decoders(self) -> tuple[str, ...]:
        """Return the names of the decoders whose results differ for such a file."""
        return ("accurate", *DCT_SCALES, *TENSORFLOW_DECODERS) if self.is_jpeg else ("accurate",)

    def decoded(self, decoder: str, alpha: str) -> np.ndarray:
        """Return pixels float32 (H, W, 3) in [0, 255], not turned."""
        key = decoder, alpha if self.has_alpha else "dropped"
        if key not in self._pixels:
            self._pixels[key] = self._decoded(*key)
        return self._pixels[key]

    def _decoded(self, decoder: str, alpha: str) -> np.ndarray:
        if decoder in TENSORFLOW_DECODERS:
            from export.runtime.backend import load_tensorflow

            tf = load_tensorflow()
            options = TENSORFLOW_DECODERS[decoder]
            return tf.io.decode_jpeg(self._data, channels=3, **options).numpy().astype(np.float32)
        from PIL import Image

        with Image.open(io.BytesIO(self._data)) as file:
            if divisor := DCT_SCALES.get(decoder):
                file.draft("RGB", (max(1, file.width // divisor), max(1, file.height // divisor)))
            if file.mode in ("I;16", "I;16B", "I"):  # 16 bits
                return np.repeat((np.asarray(file, np.float32) / 257)[..., None], 3, axis=2)
            pixels = np.asarray(file.convert("RGBA" if self.has_alpha else "RGB"), np.float32)
        if alpha == "dropped":
            return pixels[..., :3]
        opacity = pixels[..., 3:] / 255
        return np.round(pixels[..., :3] * opacity + UNDER[alpha] * (1 - opacity))


def turned(image: np.ndarray, orientation: int) -> np.ndarray:
    """Rotate and mirror an image (H, W, C) as an EXIF orientation says."""
    if orientation >= 5:
        image = image.transpose(1, 0, 2)
    vertical, horizontal = orientation in (3, 4, 7, 8), orientation in (2, 3, 6, 7)
    return image[:: -1 if vertical else 1, :: -1 if horizontal else 1]


def geometry(size: tuple[int, ...], target: tuple[int, int], fit: str, share: float = 1.0) -> tuple[Span, Span, Box]:
    """Return which rows and columns of an image (H, W) the target shows, and where."""
    size, full = size[:2], (0, 0, *target)
    if fit == "stretch":
        return *_spans((0, 0), size, size, target), full
    scales = np.array(size) / np.array(target)
    if fit == "crop":
        part = np.clip(np.round(scales.min() * share * np.array(target)).astype(int), 1, size)
        start = (np.array(size) - part) // 2
        return *_spans(start, part, size, target, start), full
    if fit == "resize_crop":
        shorter = np.round(np.array(target)[scales.argmin()] / share)
        resized = np.floor(shorter * np.array(size) / np.array(size)[scales.argmin()])  # as torchvision truncates
        start = np.round((resized - target) / 2)
        per_pixel = np.array(size) / resized
        return *_spans(start * per_pixel, np.array(target) * per_pixel, size, target), full
    if fit in ("cut", "cut_corner"):
        part = np.minimum(size, target)
        start = np.array([0, 0]) if fit == "cut_corner" else (np.array(size) - part) // 2
        before = np.array([0, 0]) if fit == "cut_corner" else (np.array(target) - part) // 2
    else:
        start, part, before = np.array([0, 0]), np.clip(np.round(size / scales.max()).astype(int), 1, target), 0
        before = before if fit == "pad_corner" else (np.array(target) - part) // 2
    before = np.broadcast_to(before, 2)
    shown = part if fit.startswith("cut") else np.array(size)
    box = (int(before[0]), int(before[1]), int(part[0]), int(part[1]))
    return *_spans(start, shown, size, part), box


def _spans(start: object, length: object, size: object, target: object, low: object = (0, 0)) -> tuple[Span, Span]:
    low = np.asarray(low)
    high = np.asarray(size) if not low.any() else low + np.asarray(length)
    sides = zip(start, length, low, high, target, strict=True)
    rows, columns = (Span(float(a), float(b), int(c), int(d), int(e)) for a, b, c, d, e in sides)
    return rows, columns


def scale_of(decoder: str) -> int:
    """Return how many times smaller a decoder makes an image."""
    return DCT_SCALES.get(decoder.removesuffix("_fast"), 1)


def dct_scale(size: tuple[int, int], target: tuple[int, int], fit: str) -> str:
    """Return the decoder at the smallest scale at which an upright image still covers the target."""
    scales = np.array(size, np.float32) / np.array(target, np.float32)
    shrink = scales.max() if fit.startswith("pad") else scales.min()
    return next((f"{name}_fast" for name, scale in reversed(DCT_SCALES.items()) if shrink >= scale), "fast")


def coloured(pixels: np.ndarray, colour: str, channels: int) -> np.ndarray:
    """Return RGB (..., 3) in the order, or as the grey, that a recipe names: (..., channels)."""
    if colour in GREY:
        return np.repeat((pixels @ np.array(GREY[colour], pixels.dtype))[..., None], channels, axis=-1)
    return pixels[..., ["RGB".index(letter) for letter in colour][:channels]]


ROUND: dict[str, Callable[[np.ndarray], np.ndarray]] = {"round": np.rint, "truncate": np.floor, "none": np.asarray}


def upright_pixels(file: ImageFile, recipe: ImagePreprocessing, target: tuple[int, int]) -> np.ndarray:
    """Return the decoded pixels float32 (H, W, 3), turned as a recipe says."""
    orientation = file.exif if recipe.exif else 1
    upright = file.size[::-1] if orientation >= 5 else file.size
    decoder = recipe.decoder if file.is_jpeg else "accurate"
    if decoder == "scaled":
        decoder = dct_scale(upright, target, recipe.fit)
    return turned(file.decoded(decoder, recipe.alpha), orientation)


def pixels_of(file: ImageFile, recipe: ImagePreprocessing, target: tuple[int, int]) -> np.ndarray:
    """Return the resized RGB pixels float32 (H, W, 3), not rounded."""
    image = upright_pixels(file, recipe, target)
    rows, columns, (top, left, height, width) = geometry(image.shape, target, recipe.fit, recipe.share)
    inner = resize(image, rows, columns, recipe.resize)
    if (height, width) == target:
        return np.clip(inner, 0, 255)
    padded = np.full((*target, 3), recipe.fill, np.float32)
    padded[top : top + height, left : left + width] = np.clip(inner, 0, 255)
    return padded


def tensor_of(file: ImageFile, recipe: ImagePreprocessing, shape: tuple[int, int, int]) -> np.ndarray:
    """Return the tensor (H, W, C), float32, that a recipe makes of an image file.

    Example:
        >>> from PIL import Image
        >>> stream = io.BytesIO(); Image.new("RGB", (4, 2), (255, 0, 0)).save(stream, "PNG")
        >>> tensor_of(ImageFile(stream.getvalue()), ImagePreprocessing(scale=(1 / 255,)), (1, 2, 3)).tolist()
        [[[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]]
    """
    pixels = pixels_of(file, recipe, shape[:2])
    whole = ROUND[recipe.rounding](coloured(ROUND[recipe.rounding](pixels), recipe.colour, shape[2]))
    return recipe.scaled(whole).astype(np.float32)
