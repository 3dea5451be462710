"""Convolutions and pooling: filters by hand and learnt, frequencies, padding, shapes and parameters."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from docs.course.page import Page, axes_row, show

if TYPE_CHECKING:
    import keras

    from docs.course.layer_table import LayerRow

SOBEL = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], np.float32)
FILTERS = {
    "vertical edges": SOBEL,
    "horizontal edges": SOBEL.T,
    "blur": np.full((7, 7), 1 / 49, np.float32),
    "sharpen": np.array([[0, -1, 0], [-1, 5, -1], [0, -1, 0]], np.float32),
}


def photograph() -> np.ndarray:
    """Return a grey photograph float32 (H, W) in [0, 255]."""
    from PIL import Image
    from sklearn.datasets import load_sample_image

    picture = Image.fromarray(load_sample_image("china.jpg")).convert("L").resize((320, 214))
    return np.asarray(picture, np.float32)


def convolved(image: np.ndarray, kernel: np.ndarray, padding: str = "same") -> np.ndarray:
    """Return the image (H, W) after a convolution whose only filter is `kernel`."""
    from keras import layers

    layer = layers.Conv2D(1, kernel.shape, padding=padding, use_bias=False)
    layer.build((None, *image.shape, 1))
    layer.set_weights([kernel[:, :, None, None]])
    return np.asarray(layer(image[None, :, :, None]))[0, :, :, 0]


def by_loops(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Return the same without padding: at each place the sum of the products with the kernel."""
    side = len(kernel)
    height, width = image.shape[0] - side + 1, image.shape[1] - side + 1
    out = np.zeros((height, width), np.float32)
    for i in range(height):
        for j in range(width):
            out[i, j] = (image[i : i + side, j : j + side] * kernel).sum()
    return out


def high_frequencies(image: np.ndarray) -> float:
    """Return the share of the energy of an image, without its mean, at more than an eighth of a cycle per pixel."""
    energy = np.abs(np.fft.fft2(image - image.mean())) ** 2
    rows, columns = (np.abs(np.fft.fftfreq(size)) for size in image.shape)
    return float(energy[np.hypot(rows[:, None], columns[None]) > 1 / 8].sum() / energy.sum())


def output_side(side: int, kernel: int, stride: int, padding: str) -> int:
    """Return the height or width after a convolution or pooling."""
    return math.ceil(side / stride) if padding == "same" else (side - kernel) // stride + 1


def parameters(kernel: int, channels: int, filters: int, bias: bool) -> int:
    """Return the number of weights of a convolution."""
    return kernel * kernel * channels * filters + bias * filters


def formulas(model: keras.Model, rows: dict[str, LayerRow]) -> list[tuple[Any, ...]]:
    """Return (layer, shape and parameters by the formulas, both of the table) of every convolution and pooling."""
    lines = []
    for layer in model.layers:
        kernel = getattr(layer, "kernel_size", None) or getattr(layer, "pool_size", None)
        if kernel is None:
            continue
        height, width, channels = layer.input.shape[1:]
        out = (output_side(side, kernel[0], layer.strides[0], layer.padding) for side in (height, width))
        is_convolution = hasattr(layer, "filters")
        count = parameters(kernel[0], channels, layer.filters, layer.use_bias) if is_convolution else 0
        shape = (*out, layer.filters if is_convolution else channels)
        row = rows[layer.name]
        lines.append(
            (layer.name, "x".join(map(str, shape)), count, "x".join(map(str, row.output_shape)), row.parameters)
        )
    return lines


def write(page: Page) -> None:
    """Measure and write the page."""
    image = photograph()
    page.text(
        """A convolution moves a small kernel over the image and writes down, at each place, the sum of its products
        with the pixels below it. What it responds to depends on its few numbers."""
    )
    outputs = {name: convolved(image, kernel) for name, kernel in FILTERS.items()}
    figure, axes = axes_row(5, height=1.9, width=2.3)
    show(axes[0], image, "photograph")
    for cell, (name, output) in zip(axes[1:], outputs.items(), strict=True):
        show(cell, np.abs(output) / (4 if "edges" in name else 1), name)
    page.figure(
        figure, "filters", "A photograph after four filters", data="a photograph of scikit-learn", seeds="Seed 0"
    )
    page.code(convolved, by_loops)
    small = image[:40, :40]
    difference = max(
        float(np.abs(by_loops(small, kernel) - convolved(small, kernel, "valid")).max()) for kernel in FILTERS.values()
    )
    page.claim(difference < 1e-2, f"Loops and Keras differ by at most {difference:.1e} of 255 grey levels.")
    _frequencies(page, image, outputs)
    _learnt(page)
    _padding(page, image)
    _shapes(page)


def _frequencies(page: Page, image: np.ndarray, outputs: dict[str, np.ndarray]) -> None:
    page.heading("Frequencies of an image")
    page.text(
        """Where the grey level changes within a few pixels, the image has high frequencies. The Fourier transform shows
        them: slow changes in the middle, fast ones outside. A blur removes the outside, an edge filter the middle."""
    )
    images = {"photograph": image, "blur": outputs["blur"], "vertical edges": outputs["vertical edges"]}
    figure, axes = axes_row(3, height=1.9, width=2.6)
    for cell, (name, values) in zip(axes, images.items(), strict=True):
        spectrum = np.log1p(np.abs(np.fft.fftshift(np.fft.fft2(values - values.mean()))))
        show(cell, spectrum, f"{name}: spectrum", vmin=0, vmax=14, cmap="magma")
    page.figure(
        figure,
        "frequencies",
        "Spectra of the photograph, blurred, and of its edges",
        data="a photograph of scikit-learn",
        seeds="Seed 0",
    )
    shares = {name: high_frequencies(values) for name, values in images.items()}
    page.table(["image", "share of the energy above 1/8 cycle per pixel"], list(shares.items()))
    page.claim(
        shares["blur"] < shares["photograph"] < shares["vertical edges"],
        "The blur has a smaller share of high frequencies than the photograph, the edges have a larger one.",
    )


def _learnt(page: Page) -> None:
    import zoo

    page.heading("Learnt filters")
    page.text(
        """Nobody writes these numbers down: training finds them. Left the 32 kernels of the first layer of
        `fashion_mnist` (its shipped weights), right those of EfficientNet-Lite0 (ImageNet): edges in all directions,
        blobs, and, where there is colour, differences of colours."""
    )
    grey = zoo.build("fashion_mnist", weights="default").get_layer("block0_0_conv").kernel.numpy()
    colour = first_kernel(zoo.build("efficientnet_lite0", weights="imagenet"))
    figure, (left, right) = axes_row(2, height=3.2, width=5)
    show(left, tiles(grey), "fashion_mnist, 3x3", cmap="RdBu", vmin=-1, vmax=1)
    show(right, (tiles(colour) + 1) * 127.5, "efficientnet_lite0, 3x3x3")
    page.figure(
        figure,
        "learnt",
        "Kernels of the first layers of two trained models",
        data="the shipped weights; ImageNet weights",
        seeds="Seed 0",
    )
    sums = np.abs(grey.sum((0, 1, 2))) / np.abs(grey).sum((0, 1, 2))
    edges = int((sums < 0.5).sum())
    page.claim(
        edges > 8,
        f"{edges} of the 32 kernels of `fashion_mnist` have positive and negative weights that cancel by more than "
        "half: they respond to changes.",
    )
    page.code(first_kernel)


def first_kernel(model: keras.Model) -> np.ndarray:
    """Return the kernel (height, width, channels, filters) of the first convolution of a model."""
    return next(w.numpy() for w in model.weights if w.name == "kernel" and len(w.shape) == 4)


def tiles(kernel: np.ndarray) -> np.ndarray:
    """Return kernels (k, k, C, 32), each scaled to [-1, 1], as an image of four rows of eight."""
    scaled = kernel / np.abs(kernel).max(axis=(0, 1, 2), keepdims=True)
    padded = np.pad(scaled, ((0, 1), (0, 1), (0, 0), (0, 0)))
    side, channels = padded.shape[0], padded.shape[2]
    grid = padded.transpose(3, 0, 1, 2).reshape(4, 8, side, side, channels)
    return grid.transpose(0, 2, 1, 3, 4).reshape(4 * side, 8 * side, channels)


def _padding(page: Page, image: np.ndarray) -> None:
    from zoo.modeling.layers import ReflectionPadding2D

    page.heading("Edges, padding and pooling")
    page.text(
        """At the edge the kernel hangs over. `valid` leaves those places out, and the image shrinks. `same` adds zeros,
        which the kernel takes for black: a border appears that the image does not have. Reflection repeats the image,
        and is what the generators and the style transfer of the zoo use."""
    )
    blur = np.full((15, 15), 1 / 225, np.float32)
    reflected = np.asarray(ReflectionPadding2D(7)(image[None, :, :, None]))[0, :, :, 0]
    images = {
        "valid": convolved(image, blur, "valid"),
        "same: zeros": convolved(image, blur),
        "reflection": convolved(reflected, blur, "valid"),
    }
    figure, axes = axes_row(3, height=2.6, width=3.6)
    for cell, (name, values) in zip(axes, images.items(), strict=True):
        show(cell, values, f"{name}: {values.shape[0]}x{values.shape[1]}")
    page.figure(
        figure, "padding", "A blur with three kinds of padding", data="a photograph of scikit-learn", seeds="Seed 0"
    )
    page.claim(
        images["valid"].shape == (image.shape[0] - 14, image.shape[1] - 14),
        f"`valid` with a kernel of 15 makes {image.shape[0]}x{image.shape[1]} smaller by 14.",
    )
    border = {name: float(values[0].mean()) for name, values in images.items()}
    page.claim(
        border["same: zeros"] < 0.6 * border["reflection"],
        f"The mean of the first row is {border['same: zeros']:.0f} with zeros and {border['reflection']:.0f} with "
        "reflection.",
    )
    from keras import layers

    page.text("Pooling keeps one number of each square of pixels: the largest, or the mean.")
    patches = image[None, :208, :320, None]
    pooled = {k: np.asarray(k(8)(patches))[0, :, :, 0] for k in (layers.MaxPooling2D, layers.AveragePooling2D)}
    figure, axes = axes_row(3, height=2.6, width=3.6)
    show(axes[0], image[:208, :320], "208x320")
    for cell, (kind, values) in zip(axes[1:], pooled.items(), strict=True):
        show(cell, values, f"{kind.__name__}, 8x8: {values.shape[0]}x{values.shape[1]}")
    page.figure(figure, "pooling", "Maximum and average pooling", data="a photograph of scikit-learn", seeds="Seed 0")
    squares = patches.reshape(26, 8, 40, 8)
    page.claim(
        np.array_equal(pooled[layers.MaxPooling2D], squares.max((1, 3)))
        and np.allclose(pooled[layers.AveragePooling2D], squares.mean((1, 3)), atol=1e-3),
        "Pooling equals the maximum and the mean of the squares in NumPy.",
    )


def _shapes(page: Page) -> None:
    import zoo
    from docs.course.layer_table import layer_table

    page.heading("Shapes and parameters")
    page.code(output_side, parameters)
    model = zoo.build("fashion_mnist")
    table = layer_table(model)
    lines = formulas(model, {row.name: row for row in table})
    page.text(
        """The same for every layer of a model: output shape, parameters, multiply-adds for one image, and the side of
        the square of the image that one place depends on (the receptive field)."""
    )
    page.command("python -c \"import zoo; zoo.build('fashion_mnist').summary()\"")
    shown = [row for row in table if row.parameters or row.kind == "MaxPooling2D"]
    page.table(
        ["layer", "output shape", "parameters", "multiply-adds", "receptive field"],
        [
            (
                row.name,
                "x".join(map(str, row.output_shape)),
                row.parameters,
                row.multiply_adds,
                "x".join(map(str, row.receptive_field or ())),
            )
            for row in shown
        ],
    )
    page.claim(
        all((shape, count) == (by_table, of_table) for _, shape, count, by_table, of_table in lines),
        f"Shapes and parameters by the two formulas are those of the table for all {len(lines)} convolutions and "
        "poolings of `fashion_mnist`.",
    )
    page.claim(
        sum(row.parameters for row in table) == model.count_params(),
        f"The parameters of the table add up to `model.count_params()`: {model.count_params():,}.",
    )
