"""A small set of photographs that a Debian package carries, and four ways to transfer a network to it.

Photographs of animals, food, plants and vehicles, cut out, from the stamps of Tux Paint (package
tuxpaint-stamps-default, GPL-2; a few are drawings). They are not copied into this repository.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import keras

CLASSES = ("animals", "food", "plants", "vehicles")
SIDE, TILES = 96, 4
SMALLEST = 60  # pixels of a side
PACKAGE = ("tuxpaint-stamps-default", "/usr/share/tuxpaint/stamps")


def read(folder: Path, classes: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return images uint8 (N, 96, 96, 3) on white, and labels (N,), of a folder with one sub-folder per class."""
    from PIL import Image

    images, labels = [], []
    for label, name in enumerate(classes):
        files = sorted(p for p in (folder / name).rglob("*") if p.suffix in (".png", ".jpg"))
        for file in files:
            if "cartoon" in file.parts or file.stem.endswith(("_mirror", "_flip")):
                continue
            with Image.open(file) as opened:
                image = opened.convert("RGBA")
            if min(image.size) < SMALLEST:
                continue
            square = Image.new("RGBA", (max(image.size),) * 2, "white")
            square.paste(image, ((square.width - image.width) // 2, (square.height - image.height) // 2), image)
            images.append(np.asarray(square.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)))
            labels.append(label)
    return np.stack(images), np.array(labels)


def photographs() -> tuple[np.ndarray, np.ndarray]:
    """Return the photographs of the package, which is installed, or downloaded without root."""
    from pipelines.sources import packages, search
    from zoobase.files import cache_root

    kept = cache_root() / "course" / "stamps.npz"
    if not kept.is_file():
        debian = packages.Debian(*PACKAGE)
        sources = debian.sources(lambda folder: read(folder, CLASSES))
        _, (images, labels) = search.search("stamps", sources, f"sudo apt-get install {PACKAGE[0]}, on Debian")
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.savez(kept, images=images, labels=labels)
    with np.load(kept) as arrays:
        return arrays["images"], arrays["labels"]


def two_photographs(count: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Return crops (2 * count, 96, 96, 3) of two photographs of scikit-learn, and which one each is of (2 * count,)."""
    from sklearn.datasets import load_sample_images

    corners = np.random.default_rng(0).integers(0, 300, (count, 2))
    crops = [image[y : y + SIDE, x : x + SIDE] for image in load_sample_images().images for y, x in corners]
    return np.stack(crops), np.repeat([0, 1], count)


def in_tiles(images: np.ndarray) -> np.ndarray:
    """Return the images with their 4x4 tiles in another order, the same for all: textures stay, things do not."""
    count, side = len(images), images.shape[1] // TILES
    order = np.random.default_rng(0).permutation(TILES**2)
    tiles = images.reshape(count, TILES, side, TILES, side, 3).transpose(0, 1, 3, 2, 4, 5)
    tiles = tiles.reshape(count, TILES**2, side, side, 3)[:, order].reshape(count, TILES, TILES, side, side, 3)
    return tiles.transpose(0, 1, 3, 2, 4, 5).reshape(images.shape)


def split(labels: np.ndarray, per_class: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows for training, so many of each class, and all others."""
    random = np.random.default_rng(seed)
    train = np.concatenate(
        [random.permutation(np.flatnonzero(labels == c))[:per_class] for c in range(labels.max() + 1)]
    )
    return train, np.setdiff1d(np.arange(len(labels)), train)


def balanced_accuracy(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Return the mean over the classes of the share that is recognised."""
    return float(np.mean([np.mean(predicted[truth == c] == c) for c in np.unique(truth)]))


def frozen_features(images: np.ndarray) -> dict[str, np.ndarray]:
    """Return the means over the positions of two feature maps of EfficientNet-Lite0 (ImageNet): its last, an
    earlier.
    """
    import zoo

    network = zoo.build("efficientnet_lite0", weights="imagenet", image_shape=(SIDE, SIDE, 3), features_only=True)
    maps = network.predict(images.astype(np.float32), verbose=0, batch_size=32)
    return {"head": maps["stride_32"].mean((1, 2)), "earlier": maps["stride_16"].mean((1, 2))}


def head(features: np.ndarray, labels: np.ndarray, train: np.ndarray, test: np.ndarray) -> float:
    """Return the accuracy of a new last layer on frozen features."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    layer = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500)).fit(features[train], labels[train])
    return balanced_accuracy(labels[test], layer.predict(features[test]))


def whole_network(
    images: np.ndarray, labels: np.ndarray, parts: tuple[np.ndarray, np.ndarray], weights: str | None, seed: int
) -> float:
    """Return the accuracy of all layers trained, from ImageNet or from random weights."""
    import keras

    model = _network(weights, int(labels.max()) + 1, seed)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(3e-4 if weights else 1e-3), loss)
    train, test = parts
    model.fit(images[train].astype(np.float32), labels[train], batch_size=16, epochs=12, verbose=0)
    predicted = model.predict(images[test].astype(np.float32), verbose=0).argmax(-1)
    return balanced_accuracy(labels[test], predicted)


def _network(weights: str | None, classes: int, seed: int) -> keras.Model:
    import keras

    import zoo

    keras.utils.set_random_seed(seed)
    body = zoo.build("efficientnet_lite0", weights=weights, image_shape=(SIDE, SIDE, 3), features_only=True)
    for layer in body.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = weights is None  # few images have no statistics worth learning
            layer.momentum = 0.8  # 0.99 needs about 500 steps, and these trainings have 48
    x = keras.layers.GlobalAveragePooling2D()(body.output["stride_32"])
    return keras.Model(body.input, keras.layers.Dense(classes)(keras.layers.Dropout(0.2)(x)))
