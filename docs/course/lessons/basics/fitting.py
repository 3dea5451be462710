"""Under- and overfitting: what the page on recipes measures, lesson by lesson, and local minima."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

import docs.recipes
from docs.course.page import Page, axes_row, band, train_command
from docs.figures import figure
from docs.recipes import IMAGES, _anchor

TOPICS = {  # experiment -> what the course says about it
    "capacity": "A network that is too small has a high loss on the training images, too (underfitting). One that is "
    "large learns them by heart (overfitting): the validation loss rises while the training loss falls.",
    "early_stopping": "Stop when the validation loss has not improved for some epochs.",
    "penalties": "A penalty on the size of the weights. L1 makes many of them almost zero, L2 makes all smaller: "
    "compare the histograms.",
    "dropout": "In every step a random part of the units is switched off, so that none can rely on another.",
    "momentum": "The step is a moving sum of gradients. It is faster along a valley, and rolls over small bumps.",
    "schedule": "A high learning rate at first, a low one at the end: step decay and its relatives.",
    "batch_size": "A gradient of few images is noisy and cheap, one of many is exact but expensive.",
    "restarts": "Train from several first weights, and keep the best.",
}
SETTINGS = {
    "data": "fashion_mnist",
    "recipe.schedule": "constant",
    "recipe.dropout": 0.0,
    "recipe.learning_rate": 0.003,
    "recipe.batch_size": 32,
    "model.units": [32],
}


def penalty(kernels: list[np.ndarray], l1: float = 0.0, l2: float = 0.0) -> float:
    """Return what L1 and L2 add to the loss."""
    return float(sum(l1 * np.abs(kernel).sum() + l2 * np.square(kernel).sum() for kernel in kernels))


def dropped(hidden: np.ndarray, rate: float, seed: int) -> np.ndarray:
    """Return hidden units of which a random share is zero, and the others are scaled up."""
    kept = np.random.default_rng(seed).random(hidden.shape) >= rate
    return hidden * kept / (1 - rate)


def momentum_step(
    w: np.ndarray, velocity: np.ndarray, gradient: np.ndarray, rate: float, beta: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return weights and velocity after a step of gradient descent with momentum."""
    velocity = beta * velocity - rate * gradient
    return w + velocity, velocity


def losses_between(page: Page, first: Any, second: Any, points: np.ndarray) -> np.ndarray:
    """Return the training loss at points of the straight line between the weights of two models."""
    import keras

    plan = page.plan("mnist", settings(page))
    x, y = next(iter(plan.feed(page.dataset(plan), "train").batches(page.choose(1000, 200))))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    middle, values = keras.models.clone_model(first), []
    for share in points:
        pairs = zip(first.get_weights(), second.get_weights(), strict=True)
        middle.set_weights([(1 - share) * a + share * b for a, b in pairs])
        values.append(float(loss(y, middle(x, training=False))))
    return np.array(values)


def with_units_exchanged(model: Any, order: np.ndarray) -> Any:
    """Return the same function with its hidden units in another order: another place with the same loss."""
    import keras

    kernel, bias, out_kernel, out_bias = model.get_weights()
    other = keras.models.clone_model(model)
    other.set_weights([kernel[:, order], bias[order], out_kernel[order], out_bias])
    return other


def settings(page: Page) -> dict[str, Any]:
    """Return the settings of the trainings of this page."""
    return SETTINGS | {"recipe.limit": page.choose(1000, 200), "recipe.epochs": page.choose(20, 8)}


def write(page: Page) -> None:
    """Measure and write the page."""
    rows = {name: result["rows"] for name, result in json.loads((IMAGES / "results.json").read_text()).items()}
    page.text(
        """Each of these subjects is a field of the recipe, and the page [recipes](../recipes.md) has trainings with
        three seeds of each: figures, tables, and the command of every row (`python -m docs.recipes`)."""
    )
    experiments = {experiment.name: experiment for experiment in docs.recipes.EXPERIMENTS}
    for name, text in TOPICS.items():
        title = experiments[name].title
        page.heading(title)
        page.text(f"{text} Measured: [{title.lower()}](../recipes.md#{_anchor(title)}).")
        page.parts.append(figure(f"../recipes/{name}.png", *docs.recipes.shown(experiments[name])))
        variants = experiments[name].variants
        page.command(*(line for label in variants for line in (f"# {label}", experiments[name].command(label))))
    _check(page, rows)
    _search(page)
    _minima(page)


def _search(page: Page) -> None:
    page.heading("Hyper-parameters")
    page.text(
        """What is chosen and not learnt: learning rate, batch size, number of units, dropout. The most important one
        is the learning rate; try powers of ten first, then smaller steps. A random search needs fewer trainings than
        a grid, since every training tries a new value of each setting. Here nine learning rates, chosen on the
        validation data; the test data are not used. `zoo.tune` does the same for any settings, by random or by
        Bayesian search, and stops trainings that do not promise anything."""
    )
    rates = np.logspace(-4.5, -0.5, page.choose(9, 3))
    chosen = [settings(page) | {"recipe.learning_rate": float(f"{rate:.2g}")} for rate in rates]
    losses = np.array(
        [
            [min(row["val_loss"] for row in page.train("mnist", one, seed).history()) for one in chosen]
            for seed in page.seeds
        ]
    )
    values = [one["recipe.learning_rate"] for one in chosen]
    figure, (axes,) = axes_row(1, width=6, height=3)
    band(axes, losses, "lowest validation loss", "C0", values)
    axes.axhline(np.log(10), color="grey", linestyle=":", label="guessing")
    axes.set(xscale="log", xlabel="learning rate", ylabel="validation loss", title="nine trainings for each seed")
    axes.legend(fontsize=8)
    page.figure(figure, "search", "Lowest validation loss by learning rate", data="Fashion-MNIST")
    best = int(losses.mean(axis=0).argmin())
    page.command(train_command("mnist", chosen[best]), "python -m zoo.tune mnist --space examples/space.toml")
    page.claim(
        page.small or 0 < best < len(values) - 1,
        f"The best of the learning rates is {values[best]:g}, neither the lowest nor the highest.",
    )
    if not page.small:  # which has too few images
        page.claim(
            losses[:, 0].min() > losses[:, best].max() + 0.1,
            f"With every seed {values[0]:g} is worse by more than 0.1: too slow.",
        )


def _check(page: Page, rows: Mapping[str, Mapping[str, Any]]) -> None:
    """Check what is said of the experiments against their results."""
    small, large = rows["capacity"]["8 units"], rows["capacity"]["256, 256 units"]
    page.claim(
        small["loss"][0] > rows["capacity"]["32 units"]["loss"][0],
        f"Underfitting: 8 units end at a training loss of {small['loss'][0]}, 32 units at "
        f"{rows['capacity']['32 units']['loss'][0]}.",
    )
    page.claim(
        large["last_val_loss"][0] > large["val_loss"][0] + 0.05,
        f"Overfitting: the validation loss of two layers of 256 units is {large['val_loss'][0]} at its best epoch and "
        f"{large['last_val_loss'][0]} at the end.",
    )
    stopped, whole = rows["early_stopping"]["patience 5"], rows["early_stopping"]["no patience"]
    page.claim(
        stopped["epochs"][0] < whole["epochs"][0] and stopped["test_loss"] == whole["test_loss"],
        f"Early stopping gives the same test loss after {stopped['epochs'][0]:.0f} of {whole['epochs'][0]:.0f} epochs.",
    )
    ends = {name: row["last_val_loss"][0] for name, row in rows["schedule"].items()}
    page.claim(
        min(ends, key=ends.get) != "constant" and ends["constant"] == max(ends.values()),
        f"The constant learning rate has the highest validation loss at the end: {ends['constant']}.",
    )


def _minima(page: Page) -> None:
    page.heading("Local minima")
    page.text(
        """Training ends in different places, depending on the first weights. To see it, walk in a straight line from
        the weights of one training to those of another, and look at the training loss: it rises to a pass and falls
        again. One reason is plain: the hidden units of a layer can be exchanged without any change of the function, so
        every minimum exists as often as there are orders of its units."""
    )
    seeds = page.choose((0, 1, 2), (0, 1))
    models = [page.train("mnist", settings(page), seed).model() for seed in seeds]
    points = np.linspace(-0.2, 1.2, page.choose(29, 15))
    pairs = [(i, j) for i in range(len(seeds)) for j in range(i)]
    between = [losses_between(page, models[j], models[i], points) for i, j in pairs]
    order = np.random.default_rng(0).permutation(32)
    exchanged = with_units_exchanged(models[0], order)
    images = np.random.default_rng(1).uniform(0, 255, (16, 28, 28, 1)).astype(np.float32)
    same = np.abs(np.asarray(models[0](images)) - np.asarray(exchanged(images))).max()
    symmetric = losses_between(page, models[0], exchanged, points)
    figure, (axes,) = axes_row(1, width=6)
    band(axes, between, "between two trainings", "C0", points)
    axes.plot(points, symmetric, color="C1", label="between a training and itself, units exchanged")
    axes.set(xlabel="share of the way", ylabel="training loss", title="the loss on a straight line between minima")
    for place in (0, 1):
        axes.axvline(place, color="grey", linestyle=":")
    figure.legend(loc="outside lower center", ncols=2, fontsize=8)
    page.figure(
        figure, "minima", "Training loss on the line between the weights of two trainings", data="Fashion-MNIST"
    )
    page.code(losses_between, with_units_exchanged)
    page.command(*(train_command("mnist", settings(page), seed) for seed in seeds))
    ends = [int(np.abs(points - place).argmin()) for place in (0, 1)]
    passes = [values[ends[0] : ends[1] + 1].max() - max(values[ends[0]], values[ends[1]]) for values in between]
    page.claim(
        min(passes) > 0.05,
        f"Between any two of the trainings the loss rises by {min(passes):.2f} or more above both ends.",
    )
    page.claim(
        same < 1e-3,
        f"With its 32 hidden units in another order the network answers the same (logits within {same:.0e}).",
    )
