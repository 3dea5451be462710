"""Vanishing gradients, activations and initial weights, by the dense network `mnist` on Fashion-MNIST."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from docs.course.page import Page, axes_row, band, train_command

if TYPE_CHECKING:
    import keras

ACTIVATIONS = {"sigmoid": "C3", "tanh": "C1", "relu": "C0"}
INITIALIZERS = {"zeros": "C7", "random_normal": "C1", "glorot_uniform": "C2", "he_normal": "C0"}
SHOWN = {"random_normal": "too small (random_normal)", "glorot_uniform": "Glorot", "he_normal": "He"}
DEPTHS = (2, 4, 8, 16)
WIDTH = 64
BASE = {"data": "fashion_mnist", "recipe.dropout": 0.0, "recipe.schedule": "constant"}


def settings(page: Page, **arguments: Any) -> dict[str, Any]:
    """Return the settings of a training with builder arguments of `mnist`."""
    size = {"recipe.limit": page.choose(2000, 200), "recipe.epochs": page.choose(6, 3), "recipe.batch_size": 32}
    return BASE | size | {f"model.{name}": value for name, value in arguments.items()}


def kernel_gradients(model: keras.Model, images: Any, labels: Any) -> list[float]:
    """Return the root mean square of the gradient of each hidden kernel, from the first layer to the last."""
    import keras
    import tensorflow as tf

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    kernels = [layer.kernel for layer in model.layers if layer.name.startswith("dense_")]
    with tf.GradientTape() as tape:
        value = loss(labels, model(images, training=False))
    return [float(np.sqrt(np.mean(np.square(g)))) for g in tape.gradient(value, [k.value for k in kernels])]


def hidden_outputs(model: keras.Model, images: Any) -> list[np.ndarray]:
    """Return the outputs (N, units) of each hidden layer."""
    import keras

    hidden = [layer.output for layer in model.layers if layer.name.startswith("dense_")]
    return [np.asarray(output) for output in keras.Model(model.input, hidden)(images)]


def built(seed: int, depth: int, activation: str, initializer: str) -> keras.Model:
    """Return an untrained network of `depth` hidden layers of 64 units."""
    import keras

    import zoo

    keras.utils.set_random_seed(seed)
    units = (WIDTH,) * depth
    return zoo.build("mnist", units=units, activation=activation, initializer=initializer, dropout=0.0)


def first_batch(page: Page) -> tuple[Any, Any]:
    """Return 128 images and their labels."""
    plan = page.plan("mnist", settings(page))
    return next(iter(plan.feed(page.dataset(plan), "train").batches(128)))


def write(page: Page) -> None:
    """Measure and write the page."""
    images, labels = first_batch(page)
    page.text(
        """The builder of `mnist` takes `activation` and `initializer`, and `units` with one number for each hidden
        layer. Here all hidden layers have 64 units, and the images are those of Fashion-MNIST."""
    )
    _gradients(page, images, labels)
    _initial_weights(page, images, labels)
    page.heading("In a convolutional network")
    page.text(
        """`fashion_mnist` takes the same two arguments. It normalises the outputs of each convolution over the batch
        (batch normalisation), which repairs a bad scale of the first weights in every step. Zeros it cannot repair."""
    )
    rms = {name: _convolution_gradient(images, labels, name) for name in ("he_normal", "random_normal", "zeros")}
    page.table(["initializer", "gradient of the first kernel"], list(rms.items()))
    page.claim(rms["zeros"] == 0, "With zeros the first convolution of `fashion_mnist` has no gradient at all.")
    page.command("python -m zoo.train fashion_mnist --activation tanh --initializer glorot_uniform")


def _gradients(page: Page, images: Any, labels: Any) -> None:
    page.heading("The gradient by layer and depth")
    page.text(
        """On its way back the gradient is multiplied by the derivative of the activation in every layer: at most 0.25
        for the sigmoid, at most 1 for tanh, and 1 or 0 for ReLU. The figures show the untrained networks, each with the
        initial weights that suit its activation (Glorot for sigmoid and tanh, He for ReLU)."""
    )
    page.code(kernel_gradients)
    initial = {"sigmoid": "glorot_uniform", "tanh": "glorot_uniform", "relu": "he_normal"}
    depths = page.choose(DEPTHS, DEPTHS[::3])
    norms = {
        (activation, depth): [
            kernel_gradients(built(seed, depth, activation, initial[activation]), images, labels) for seed in page.seeds
        ]
        for activation in ACTIVATIONS
        for depth in depths
    }
    figure, (left, right) = axes_row(2, width=5)
    for activation, colour in ACTIVATIONS.items():
        band(left, norms[activation, DEPTHS[-1]], activation, colour)
        first = np.array([[seed[0] for seed in norms[activation, depth]] for depth in depths]).T
        band(right, first, activation, colour, depths)
    left.set(xlabel="hidden layer", ylabel="gradient", yscale="log", title=f"{DEPTHS[-1]} hidden layers")
    right.set(xlabel="number of hidden layers", ylabel="gradient of the first layer", yscale="log")
    left.legend()
    page.figure(
        figure,
        "gradients",
        "Root mean square of the gradient by layer, and of the first layer by depth",
        data="a batch of Fashion-MNIST, untrained networks",
    )
    ratio = {a: np.mean([seed[0] / seed[-1] for seed in norms[a, DEPTHS[-1]]]) for a in ACTIVATIONS}
    page.table(["activation", "gradient of the first layer / of the last"], list(ratio.items()))
    page.claim(
        all(seed[i] < seed[i + 1] for seed in norms["sigmoid", DEPTHS[-1]] for i in range(1, DEPTHS[-1] - 1))
        and ratio["sigmoid"] < 1e-6,
        f"Sigmoid: the gradient shrinks in every layer from the last to the second; with {DEPTHS[-1]} layers the first "
        f"layer has {ratio['sigmoid']:.1e} of that of the last (less than 1e-6).",
    )
    page.claim(ratio["relu"] > 1e-2, f"ReLU with He: the first layer has {ratio['relu']:.2g} of it (more than 0.01).")

    trained = page.choose(tuple(ACTIVATIONS), ("sigmoid", "relu"))
    losses = {
        a: _losses(page, units=[WIDTH] * page.choose(6, 4), activation=a, initializer=initial[a]) for a in trained
    }
    figure, (axes,) = axes_row(1, width=5.5)
    for activation, values in losses.items():
        band(axes, values, activation, ACTIVATIONS[activation])
    axes.set(xlabel="epoch", ylabel="training loss", title="six hidden layers, trained")
    axes.legend()
    page.figure(figure, "training", "Training loss by epoch of the three activations", data="Fashion-MNIST")
    page.claim(
        losses["relu"][:, -1].max() < losses["sigmoid"][:, -1].min(),
        f"After {losses['relu'].shape[1]} epochs, with every seed, six layers of ReLU are below six of sigmoid: "
        f"{losses['relu'][:, -1].mean():.2f} and {losses['sigmoid'][:, -1].mean():.2f} (chance: {np.log(10):.2f}).",
    )
    page.command(
        *(
            train_command(
                "mnist", settings(page, units=[WIDTH] * page.choose(6, 4), activation=a, initializer=initial[a])
            )
            for a in ("sigmoid", "relu")
        )
    )


def _losses(page: Page, **arguments: Any) -> np.ndarray:
    """Return the training losses (seeds, epochs)."""
    chosen = settings(page, **arguments)
    histories = [page.train("mnist", chosen, seed).history() for seed in page.seeds]
    return np.array([[row["loss"] for row in history] for history in histories])


def _initial_weights(page: Page, images: Any, labels: Any) -> None:
    page.heading("The first weights")
    page.text(
        """Eight layers of ReLU. With zeros all units of a layer are the same, and no gradient reaches them. With
        `random_normal` (a standard deviation of 0.05, whatever the width) the outputs shrink from layer to layer.
        Glorot divides the variance by the mean of inputs and outputs, He doubles that, because ReLU drops half of the
        values."""
    )
    outputs = {name: hidden_outputs(built(0, 8, "relu", name), images) for name in INITIALIZERS}
    figure, axes = axes_row(4, height=1.7, width=2.6, rows=len(INITIALIZERS))
    for line, (name, colour) in zip(axes, INITIALIZERS.items(), strict=True):
        for cell, layer in zip(line, (0, 2, 4, 7), strict=True):
            values = outputs[name][layer].ravel()
            cell.hist(values, bins=40, range=(0, 3), color=colour, log=True, histtype="step")
            cell.set(ylim=(0.8, 1e4), title=f"layer {layer + 1}, deviation {values.std():.1e}")
            cell.title.set_fontsize(7)
            cell.tick_params(labelsize=6)
        line[0].set_ylabel(SHOWN.get(name, name), fontsize=7)
    figure.supxlabel("output of a unit", fontsize=8)
    figure.supylabel("number of outputs", fontsize=8)
    page.figure(
        figure,
        "histograms",
        "Histograms of the outputs of hidden layers for four initialisers",
        data="a batch of Fashion-MNIST, untrained networks",
    )
    page.code(hidden_outputs)
    last = {
        name: float(values[-1].std() / values[0].std()) if values[0].std() else 0.0 for name, values in outputs.items()
    }
    trained = page.choose(tuple(INITIALIZERS), ("zeros", "glorot_uniform", "he_normal"))
    losses = {name: _losses(page, units=[WIDTH] * page.choose(8, 4), initializer=name) for name in trained}
    figure, (axes,) = axes_row(1, width=5.5)
    for name, values in losses.items():
        band(axes, values, SHOWN.get(name, name), INITIALIZERS[name])
    axes.set(xlabel="epoch", ylabel="training loss", title="eight layers of ReLU")
    axes.legend(fontsize=8)
    page.figure(figure, "initialisers", "Training loss by epoch of four initialisers", data="Fashion-MNIST")
    page.table(
        ["initializer", "deviation of layer 8 / of layer 1", "training loss at the end"],
        [(SHOWN.get(n, n), last[n], float(losses[n][:, -1].mean())) for n in trained],
    )
    page.claim(
        max(losses["glorot_uniform"][:, -1].max(), losses["he_normal"][:, -1].max()) < losses["zeros"][:, -1].min(),
        "Glorot and He are below zeros at the end, with every seed.",
    )
    page.claim(
        abs(losses["zeros"][:, -1].mean() - np.log(10)) < 0.1,
        f"Zeros stay at chance: {losses['zeros'][:, -1].mean():.3f} (the logarithm of ten is {np.log(10):.3f}).",
    )
    page.claim(
        last["random_normal"] < 1e-2 < last["glorot_uniform"] < last["he_normal"] < 10,
        "From layer 1 to layer 8 the outputs shrink to less than a hundredth with `random_normal`, less with Glorot, "
        "least with He.",
    )
    page.command(
        *(
            train_command("mnist", settings(page, units=[WIDTH] * page.choose(8, 4), initializer=n))
            for n in INITIALIZERS
        )
    )


def _convolution_gradient(images: Any, labels: Any, initializer: str) -> float:
    """Return the root mean square of the gradient of the first kernel of an untrained `fashion_mnist`."""
    import keras
    import tensorflow as tf

    import zoo

    keras.utils.set_random_seed(0)
    model = zoo.build("fashion_mnist", initializer=initializer)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    kernel = model.trainable_variables[0].value
    with tf.GradientTape() as tape:
        value = loss(labels, model(images, training=True))
    return float(np.sqrt(np.mean(np.square(tape.gradient(value, kernel)))))
