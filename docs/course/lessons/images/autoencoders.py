"""Autoencoders against PCA, denoising; style transfer from content to style, and layer by layer."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from docs.course.page import Page, axes_row, band, show, train_command

if TYPE_CHECKING:
    import keras

DIMENSIONS = (2, 8, 32)
RATIOS = (1.0, 1e-1, 1e-2, 1e-3, 1e-4)  # alpha / beta


def mean_squared_error(images: np.ndarray, reconstructed: np.ndarray) -> float:
    """Return the mean squared error of pixels in [0, 1]."""
    return float(np.mean(((images.astype(np.float64) - reconstructed) / 255) ** 2))


def pca_errors(train: np.ndarray, test: np.ndarray, sizes: Sequence[int]) -> list[float]:
    """Return the error of PCA with each number of components, fitted to the training images."""
    from zoo.evaluation import image_baselines

    return [
        mean_squared_error(test, image_baselines.reconstruct(image_baselines.fit_pca(train, size), test))
        for size in sizes
    ]


def settings(page: Page, kind: str, size: int) -> dict[str, Any]:
    """Return the settings of a training."""
    epochs = {"dense": (10, 2), "denoising": (5, 24)}[kind]
    return {
        **{"recipe.limit": page.choose(3000, 200), "recipe.epochs": page.choose(*epochs)},
        **({"model.filters": page.choose([32, 64], [8, 16])} if kind == "denoising" else {}),
        **{"model.kind": kind, "model.latent_dim": size, "recipe.batch_size": page.choose(64, 16)},
        "recipe.learning_rate": 4e-3,
    }


def interpolated(model: Any, first: np.ndarray, last: np.ndarray, steps: int = 9) -> np.ndarray:
    """Return the images of the codes between those of two images."""
    codes = np.asarray(model.encode(np.stack([first, last])))
    shares = np.linspace(0, 1, steps)[:, None]
    return np.asarray(model.decode((1 - shares) * codes[0] + shares * codes[1]))


def style_options(page: Page) -> dict[str, Any]:
    """Return the options that all style transfers of this page share."""
    size, steps = page.choose((112, 35), (36, 6))
    return {"size": size, "steps": steps, "features": "hed", "variation": 0.0}


def style_command(page: Page, **options: Any) -> str:
    """Return the command line of a style transfer of this page."""
    given = {**style_options(page), **options}
    words = [f"--{name.replace('_', '-')} {value:g}" for name, value in given.items() if not isinstance(value, str)]
    words += [f"--{name.replace('_', '-')} {value}" for name, value in given.items() if isinstance(value, str)]
    return f"python -m zoo.stylize china.png --style flower.png {' '.join(words)}"


def stylised(page: Page, name: str, **options: Any) -> tuple[np.ndarray, dict[str, float]]:
    """Run `zoo.stylize`; return the image and the losses of the best step."""
    from zoo import stylize
    from zoo.evaluation import images

    out = page.scratch / f"{name}.png"
    content, style = _photographs(page.scratch)
    result = stylize.run(content, style, out, **style_options(page), **options)
    return images.read(out), result["best"]


def _photographs(folder: Path) -> tuple[Path, Path]:
    from PIL import Image
    from sklearn.datasets import load_sample_image

    paths = folder / "china.png", folder / "flower.png"
    for path in paths:
        if not path.exists():
            Image.fromarray(load_sample_image(f"{path.stem}.jpg")).crop((0, 0, 427, 427)).save(path)
    return paths


def layer_distances(page: Page, image: np.ndarray) -> list[float]:
    """Return the distance of the image from the style in each of the five style layers."""
    import tensorflow as tf

    from zoo.evaluation import images
    from zoo.modeling import perceptual_loss
    from zoo.weights.vgg import load_vgg

    style = images.read(_photographs(page.scratch)[1], max(image.shape[:2]))
    objective = perceptual_loss.Objective(load_vgg("hed")[0], style, perceptual_loss.Weights())
    features = objective.features(tf.constant(image[None], tf.float32))
    return [float(perceptual_loss.style_loss(features, {name: gram})[0]) for name, gram in objective.style.items()]


def write(page: Page) -> None:
    """Measure and write the page."""
    _compression(page)
    _denoising(page)
    _decoders(page)
    _strip(page)
    _layers(page)


def _compression(page: Page) -> None:
    import zoo
    from zoo.evaluation import image_baselines
    from zoo.weights import description

    page.text(
        """An autoencoder squeezes an image of 784 pixels into a code of a few numbers, and draws it again from them.
        If it were linear, the best it could do is principal component analysis (PCA) with as many components."""
    )
    plan = page.plan("autoencoder", settings(page, "dense", 32))
    dataset = page.dataset(plan)
    train, test = (_pixels(plan.feed(dataset, split)) for split in ("train", "test"))
    dimensions = page.choose(DIMENSIONS, DIMENSIONS[::2])
    errors = [
        [
            mean_squared_error(
                test, page.train("autoencoder", settings(page, "dense", size), seed).model().predict(test, verbose=0)
            )
            for size in dimensions
        ]
        for seed in page.seeds
    ]
    sizes = (2, 4, 8, 16, 32)
    by_pca = pca_errors(train, test, sizes)
    shipped = zoo.build("autoencoder", weights="default")
    count = description("autoencoder")["info"]["counts"]["train"]
    error, full_pca = mean_squared_error(test, shipped.predict(test, verbose=0)), by_pca[sizes.index(32)]
    figure, (left, right) = axes_row(2, width=5)
    left.plot(sizes, by_pca, "o-", color="C7", label="PCA")
    band(left, errors, f"dense autoencoder, {len(train):,} images", "C0", dimensions)
    left.plot(32, error, "*", color="C3", markersize=12, label=f"shipped weights (conv), {count:,} images")
    left.set(xlabel="numbers in the code", ylabel="mean squared error", xscale="log", yscale="log", title="compression")
    left.set_xticks(sizes, map(str, sizes))
    left.set_xticks([], minor=True)
    left.legend(fontsize=7)
    pca = image_baselines.reconstruct(image_baselines.fit_pca(train, 32), test[:8])
    rows = [test[:8], shipped.predict(test[:8], verbose=0), pca]
    show(
        right, np.concatenate([np.concatenate(list(row[..., 0]), axis=1) for row in rows]), "image, 32 numbers, PCA 32"
    )
    page.figure(figure, "compression", "Error by the size of the code, and reconstructions", data="Fashion-MNIST")
    page.code(mean_squared_error, pca_errors)
    page.command(*(train_command("autoencoder", settings(page, "dense", size)) for size in dimensions))
    better = [
        str(size)
        for size, column in zip(dimensions, np.array(errors).T, strict=True)
        if column.max() < by_pca[sizes.index(size)]
    ]
    page.text(
        f"""With {len(train):,} images and this short training the dense network is below PCA, with every seed, for
        codes of {" and ".join(better) or "none of these sizes"}; with more images and a convolutional network also for
        32."""
    )
    page.claim(
        error < full_pca,
        f"The shipped autoencoder with 32 numbers has an error of {error:.4f}, PCA with 32 components {full_pca:.4f}.",
    )
    page.claim(all(a > b for a, b in itertools.pairwise(by_pca)), "More components of PCA have a lower error.")
    page.text("Between the codes of two images lie images that were never drawn:")
    strip = interpolated(shipped, test[0], test[1])
    figure, (axes,) = axes_row(1, width=8, height=1.2)
    show(axes, np.concatenate(list(strip[..., 0]), axis=1))
    page.figure(
        figure, "interpolation", "Images of the codes between two garments", data="Fashion-MNIST", seeds="Seed 0"
    )
    page.code(interpolated)
    ends = shipped.predict(test[:2], verbose=0)
    page.claim(
        np.abs(strip[[0, -1]] - ends).max() < 0.5, "The strip begins and ends with the reconstructions of both images."
    )


def _pixels(feed: Any, count: int = 1000) -> np.ndarray:
    return np.concatenate([np.asarray(y) for _, y in feed.batches(500)])[: max(count, feed.count)]


def _denoising(page: Page) -> None:
    page.heading("Denoising")
    page.text(
        """Trained on noisy images with the clean ones as targets, the network has to know what garments look like,
        since the noise cannot be copied. The feed draws new noise in every epoch; the model is the convolutional
        one."""
    )
    plan = page.plan("autoencoder", settings(page, "denoising", 64))
    model = page.train("autoencoder", settings(page, "denoising", 64)).model()
    noisy, clean = next(iter(plan.feed(page.dataset(plan), "test").batches(100)))
    noisy, clean = np.asarray(noisy), np.asarray(clean)
    cleaned = model.predict(noisy, verbose=0)
    figure, (axes,) = axes_row(1, width=8, height=3)
    rows = [np.concatenate(list(images[:9, ..., 0]), axis=1) for images in (noisy, cleaned, clean)]
    show(axes, np.concatenate(rows), "with noise, without, original")
    page.figure(
        figure,
        "denoising",
        "Images with noise, as the autoencoder cleans them, and the originals",
        data="Fashion-MNIST",
        seeds="Seed 0",
    )
    before, after = mean_squared_error(clean, noisy), mean_squared_error(clean, cleaned)
    page.command(train_command("autoencoder", settings(page, "denoising", 64)))
    page.claim(after < before, f"The error of unseen images falls from {before:.4f} with noise to {after:.4f}.")


def decoder(kind: str, seed: int) -> keras.Model:
    """Return an untrained decoder (B, 7, 7, 8) -> (B, 28, 28, 1), by transposed convolutions or by upsampling."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(seed)
    inputs = x = keras.Input((7, 7, 8))
    for filters in (16, 8):
        if kind == "transposed":
            x = layers.Conv2DTranspose(filters, 3, 2, "same", activation="relu")(x)
        else:
            x = layers.Conv2D(filters, 3, padding="same", activation="relu")(layers.UpSampling2D(2)(x))
    return keras.Model(inputs, layers.Conv2D(1, 3, padding="same")(x))


def checkerboard(images: np.ndarray) -> float:
    """Return the share of the energy of images (N, H, W, 1) at the finest pattern: every second row or column."""
    spectrum = np.abs(np.fft.fft2(images[..., 0] - images[..., 0].mean((1, 2), keepdims=True))) ** 2
    height, width = images.shape[1] // 2, images.shape[2] // 2
    finest = spectrum[:, height].sum() + spectrum[:, :, width].sum() - spectrum[:, height, width].sum()
    return float(finest / spectrum.sum())


def _decoders(page: Page) -> None:
    page.heading("Two decoders: transposed convolutions, and upsampling")
    page.text(
        """A decoder enlarges: by transposed convolutions of stride 2, or by repeating each pixel and a plain
        convolution. The same smooth maps through untrained decoders of both kinds, with kernels of 3, which 2 does
        not divide: the transposed ones draw a checkerboard before they have learnt anything. `autoencoder` and
        `dcgan` take kernels of 4, and the generators of images repeat pixels (`NearestUpsampling2D`)."""
    )
    grid = np.linspace(-1, 1, 7, dtype=np.float32)
    smooth = np.stack([a * grid[:, None] + (1 - a) * grid[None] ** 2 for a in np.linspace(0, 1, 8)], axis=-1)[None]
    kinds = ("transposed", "upsampling")
    made = {kind: [np.asarray(decoder(kind, seed)(smooth)) for seed in range(5)] for kind in kinds}
    figure, axes = axes_row(5, width=1.5, height=1.6, rows=2)
    for line, (kind, images) in zip(axes, made.items(), strict=True):
        for seed, (cell, image) in enumerate(zip(line, images, strict=True)):
            pixels = (image[0] - image.min()) / max(float(np.ptp(image)), 1e-9) * 255
            show(cell, pixels, f"seed {seed}")
        line[0].set_ylabel(kind, fontsize=8)
    page.figure(figure, "decoders", "Untrained decoders of both kinds", data="smooth maps", seeds="Seeds 0 to 4")
    shares = {kind: [checkerboard(image) for image in images] for kind, images in made.items()}
    page.table(
        ["decoder", "energy at the finest pattern, lowest seed", "highest seed"],
        [(kind, min(values), max(values)) for kind, values in shares.items()],
    )
    page.code(decoder, checkerboard)
    page.claim(
        min(shares["transposed"]) > 3 * max(shares["upsampling"]),
        "With every seed the transposed decoder has more than three times the energy at the finest pattern.",
    )


def _strip(page: Page) -> None:
    page.heading("Style transfer: from content to style")
    page.text(
        """Nothing is trained here: the pixels themselves are changed, so that the features of a trained network (VGG16)
        stay those of the content image, weighted by alpha, while the correlations between features become those of the
        style image, weighted by beta. The strip goes from alpha / beta = 1 to 1/10,000. The two files of the
        commands are squares of photographs of scikit-learn:"""
    )
    page.code(_photographs)
    ratios = page.choose(RATIOS, RATIOS[::4])
    results = [stylised(page, f"ratio{i}", alpha=1.0, beta=1 / ratio) for i, ratio in enumerate(ratios)]
    _show_strip(page, [image for image, _ in results], [f"{r:g}" for r in ratios], "ratios")
    page.table(
        ["alpha / beta", "content loss", "style loss"],
        [(r, l["content"], l["style"]) for r, (_, l) in zip(ratios, results, strict=True)],
    )
    page.command(*(style_command(page, alpha=1.0, beta=1 / ratio) for ratio in ratios))
    page.claim(
        all(a["style"] >= b["style"] and a["content"] <= b["content"] for (_, a), (_, b) in itertools.pairwise(results))
        and results[0][1]["style"] > results[-1][1]["style"],
        "From left to right the style loss falls and the content loss rises.",
    )


def _layers(page: Page) -> None:
    page.heading("Layer by layer")
    page.text(
        """`--style-weights` weighs the five layers whose correlations make the style. The first holds colours and the
        finest texture, the later ones larger and larger patterns. Here each alone, and the weights of the course. The
        losses of the later layers are smaller, so at the same beta they change the photograph less."""
    )
    layers = page.choose(range(5), (0, 3))
    choices = [tuple(float(i == layer) for i in range(5)) for layer in layers]
    choices += page.choose([(1.0, 0.75, 0.2, 0.2, 0.2)], [])
    images = [stylised(page, f"layer{i}", beta=1e5, style_weights=weights)[0] for i, weights in enumerate(choices)]
    names = [",".join(f"{w:g}" for w in weights) for weights in choices]
    titles = [f"only layer {i + 1}" for i in layers] + page.choose(["the course's"], [])
    _show_strip(page, images, titles, "layers")
    page.command(*(style_command(page, beta=1e5, style_weights=n) for n in names))
    distances = {layer: layer_distances(page, image) for layer, image in zip(layers, images, strict=False)}
    low, high = layers[0], 3
    page.claim(
        distances[low][low] < distances[high][low] and distances[high][high] < distances[low][high],
        "All weight on the first layer brings that layer nearer to the style than all weight on the fourth, and the "
        "other way round.",
    )


def _show_strip(page: Page, images: list[np.ndarray], titles: list[str], name: str) -> None:
    from PIL import Image

    content, style = (np.asarray(Image.open(path)) for path in _photographs(page.scratch))
    images, titles = [content, style, *images], ["content", "style", *titles]
    figure, axes = axes_row(len(images), width=1.7, height=1.9)
    for cell, image, title in zip(axes, images, titles, strict=True):
        show(cell, image, title)
        cell.title.set_fontsize(7)
    text = {"ratios": "alpha / beta from 1 to 1/10,000", "layers": "style from one layer each"}[name]
    page.figure(figure, name, f"Stylised photographs: {text}", data="two photographs of scikit-learn", seeds="Seed 0")
