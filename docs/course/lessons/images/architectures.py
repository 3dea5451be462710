"""Architectures: what depth costs with and without shortcuts, and what AlexNet, VGG and ResNet would have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from docs.course.page import Page, axes_row, band

if TYPE_CHECKING:
    import keras

COLOURS = {False: "C3", True: "C0"}
NAMES = {False: "plain", True: "with shortcuts"}


def network(depth: int, shortcut: bool, seed: int, filters: int = 8) -> keras.Model:
    """Return a network (B, 14, 14, 1) -> (B, 10) of `depth` 3x3 convolutions, plain or with a shortcut around each two.

    There is no batch normalisation, so that only the shortcuts differ; kernels start as Keras starts them (Glorot).
    """
    import keras
    from keras import layers

    keras.utils.set_random_seed(seed)
    inputs = keras.Input((14, 14, 1))
    x = layers.Conv2D(filters, 3, padding="same", activation="relu", name="first")(inputs)
    for _ in range(depth // 2):
        y = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
        y = layers.Conv2D(filters, 3, padding="same")(y)
        x = layers.ReLU()(layers.Add()([x, y]) if shortcut else y)
    return keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling2D()(x)))


def data(page: Page | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return garments (N, 14, 14, 1) in [0, 1] at half size, and their labels (N,); the digits without a page."""
    if page is None:
        from sklearn.datasets import load_digits

        digits = load_digits()
        return np.pad(digits.images / 16, ((0, 0), (3, 3), (3, 3)))[..., None].astype("float32"), digits.target
    plan = page.plan("mnist", {"data": "fashion_mnist", "recipe.limit": page.choose(2000, 100)})
    images, labels = (np.asarray(v) for v in next(iter(plan.feed(page.dataset(plan), "train").batches(2000))))
    return images.reshape(-1, 14, 2, 14, 2, 1).mean((2, 4)).astype("float32") / 255, labels


def first_gradient(depth: int, shortcut: bool, seed: int) -> float:
    """Return the root mean square of the gradient of the first kernel of an untrained network."""
    import keras
    import tensorflow as tf

    model, (images, labels) = network(depth, shortcut, seed), data()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    with tf.GradientTape() as tape:
        value = loss(labels[:64], model(images[:64]))
    return float(np.sqrt(np.mean(np.square(tape.gradient(value, model.get_layer("first").kernel.value)))))


def trained(page: Page, depth: int, shortcut: bool, seed: int) -> list[float]:
    """Return the training losses by epoch."""
    import keras

    model, (images, labels) = network(depth, shortcut, seed), data(page)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(2e-3), loss)
    return model.fit(images, labels, batch_size=32, epochs=page.choose(6, 1), verbose=0).history["loss"]


def write(page: Page) -> None:
    """Measure and write the page."""
    page.heading("Deeper, with and without shortcuts")
    page.text(
        """Networks of 3x3 convolutions with 8 kernels each, on garments of 14x14 pixels, without batch
        normalisation. Plain stacks get worse with depth on the *training* data: they are not overfitting, they
        cannot be trained. The same layers with a shortcut around each two are trained at any of these depths."""
    )
    page.code(network)
    depths = page.choose((4, 16, 32), (4, 16))
    losses: dict[tuple[bool, int], Any] = {
        (shortcut, depth): np.array([trained(page, depth, shortcut, seed) for seed in page.seeds])
        for shortcut in NAMES
        for depth in depths
    }
    figure, (left, right) = axes_row(2, width=5)
    for shortcut, colour in COLOURS.items():
        last = np.array([losses[shortcut, depth][:, -1] for depth in depths]).T
        band(left, last, NAMES[shortcut], colour, depths)
        band(right, losses[shortcut, depths[-1]], NAMES[shortcut], colour)
    left.axhline(np.log(10), color="grey", linestyle=":", label="chance")
    left.set(xlabel="convolutions", ylabel="training loss, last epoch", title="depth")
    right.set(xlabel="epoch", ylabel="training loss", title=f"{depths[-1]} convolutions")
    left.set_xticks(depths)
    left.legend(fontsize=8)
    page.figure(figure, "depth", "Training loss of plain and residual networks", data="Fashion-MNIST at 14x14")
    page.table(
        ["convolutions", "plain", "with shortcuts"],
        [(str(d), *(float(losses[s, d][:, -1].mean()) for s in NAMES)) for d in depths],
    )
    if not page.small:  # which trains one epoch
        worst, best = losses[True, depths[-1]][:, -1].max(), losses[False, depths[-1]][:, -1].min()
        page.claim(
            worst < best - 0.3,
            f"With {depths[-1]} convolutions and every seed the loss with shortcuts is at most {worst:.2f}, that "
            f"of the "
            f"plain network at least {best:.2f} (0.3 apart or more).",
        )
    gradients = {s: [first_gradient(depths[-1], s, seed) for seed in page.seeds] for s in NAMES}
    page.claim(
        min(gradients[True]) > 10 * max(gradients[False]),
        f"Untrained, the gradient of the first kernel is {min(gradients[True]):.1e} or more with shortcuts, "
        f"{max(gradients[False]):.1e} or less without.",
    )
    page.heading("What our models took over")
    page.text(
        """`fashion_mnist` is a small VGG: pairs of 3x3 convolutions, the channels double where the side halves, with
        the batch normalisation of later networks. `efficientnet_lite0` has shortcuts and depthwise convolutions. `unet`
        carries the maps of its first half to its second by shortcuts, too, but appends them instead of adding."""
    )
    import zoo
    from docs.course.layer_table import layer_table

    rows = []
    for name in ("fashion_mnist", "efficientnet_lite0", "unet"):
        table = layer_table(zoo.build(name))
        kinds = [row.kind for row in table]
        rows.append(
            (
                name,
                sum("Conv" in kind for kind in kinds),
                kinds.count("Add"),
                kinds.count("Concatenate"),
                sum(row.parameters for row in table),
                sum(row.multiply_adds or 0 for row in table),
            )
        )
    page.table(["model", "convolutions", "added", "appended", "parameters", "multiply-adds of an image"], rows)
    page.command(*(f"python -c \"import zoo; zoo.build('{row[0]}').summary()\"" for row in rows))
    page.claim(rows[1][2] > 5 and rows[2][3] > 1, "EfficientNet-Lite0 adds shortcuts, U-Net appends them.")
