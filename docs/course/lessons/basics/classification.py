"""Classification with many classes: softmax, sparse and one-hot cross-entropy, compile, metrics, History."""

from typing import Any

import numpy as np

from docs.course.page import Page, axes_row, band, train_command

NAMES = ("sparse, class numbers", "one-hot rows")


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return the probabilities (N, K) of logits (N, K)."""
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean cross-entropy of logits (N, K) and class numbers (N,)."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return float(np.mean(np.log(np.exp(shifted).sum(axis=-1)) - shifted[np.arange(len(labels)), labels]))


def gradient(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the gradient (N, K) of the mean cross-entropy with respect to the logits."""
    return (softmax(logits) - np.eye(logits.shape[-1])[labels]) / len(labels)


def settings(page: Page) -> dict[str, Any]:
    """Return the settings of the trainings of this page."""
    size = {"recipe.limit": page.choose(3000, 200), "recipe.epochs": page.choose(8, 3), "recipe.batch_size": 32}
    return size | {"data": "fashion_mnist", "model.units": [32], "recipe.schedule": "constant", "recipe.dropout": 0.0}


def both_losses(page: Page, seed: int) -> dict[str, dict[str, list[float]]]:
    """Train the same network with both forms of the loss by `compile` and `fit`; return the histories."""
    import keras

    plan = page.plan("mnist", settings(page), seed)
    feed = plan.feed(page.dataset(plan), "train")
    images, labels = (np.asarray(v) for v in next(iter(feed.batches(feed.count))))
    targets = {NAMES[0]: labels, NAMES[1]: np.eye(10, dtype="float32")[labels]}
    losses = {NAMES[0]: keras.losses.SparseCategoricalCrossentropy, NAMES[1]: keras.losses.CategoricalCrossentropy}
    histories = {}
    for name, target in targets.items():
        keras.utils.set_random_seed(seed)
        model = plan.build(page.dataset(plan).info)
        model.compile(optimizer=keras.optimizers.Adam(1e-3), loss=losses[name](from_logits=True), metrics=["accuracy"])
        histories[name] = model.fit(images, target, epochs=3, batch_size=32, shuffle=False, verbose=0).history
    return histories


def write(page: Page) -> None:
    """Measure and write the page."""
    _softmax(page)
    page.heading("compile, fit, metrics, History")
    page.text(
        """`compile` takes an optimizer, a loss and metrics; `fit` returns a `History`, whose `history` is a dict of one
        list for each loss and metric, with a value for each epoch. The same network, with the same first weights and
        the same batches, is trained with class numbers and with one-hot rows:"""
    )
    page.code(both_losses)
    histories = [both_losses(page, seed) for seed in page.seeds]
    first = histories[0]
    page.table(
        ["", *(f"{key}, epoch 3" for key in first[NAMES[0]])],
        [(name, *(values[-1] for values in history.values())) for name, history in first.items()],
    )
    difference = max(float(np.abs(np.subtract(h[NAMES[0]]["loss"], h[NAMES[1]]["loss"])).max()) for h in histories)
    page.claim(
        difference < 1e-3,
        f"With every seed the two forms have the same loss in every epoch (within 0.001; largest difference "
        f"{difference:.1e}).",
    )
    page.heading("The history of a run")
    page.text(
        """`zoo.train` writes the same values to `history.csv` in the run folder. The loss and the accuracy answer
        different questions: the loss also counts how sure the network was, so it can rise on the validation data while
        the accuracy still improves."""
    )
    runs = [page.train("mnist", settings(page), seed).history() for seed in page.seeds]
    figure, (left, right) = axes_row(2, width=5)
    for axes, key, title in ((left, "loss", "cross-entropy"), (right, "accuracy", "accuracy")):
        for prefix, colour, label in (("", "C0", "training"), ("val_", "C3", "validation")):
            values = [[row[prefix + key] for row in rows if prefix + key in row] for rows in runs]
            if values[0]:
                band(axes, values, label, colour)
        axes.set(xlabel="epoch", ylabel=title)
        axes.legend(fontsize=8)
    page.figure(figure, "history", "Loss and accuracy by epoch", data="Fashion-MNIST")
    page.command(train_command("mnist", settings(page)))
    page.claim(all(rows[-1]["loss"] < rows[0]["loss"] for rows in runs), "With every seed the training loss falls.")


def _softmax(page: Page) -> None:
    import zoo

    page.text(
        """The shipped weights of `fashion_mnist` and one test image of each of three classes: logits, and the
        probabilities that softmax makes of them. A *logit* is a number before softmax; only differences of logits
        mean something."""
    )
    plan = page.plan("fashion_mnist", {"recipe.limit": page.choose(500, 100)})
    dataset = page.dataset(plan)
    images, labels = (np.asarray(v) for v in next(iter(plan.feed(dataset, "test").batches(100))))
    chosen = [int(np.flatnonzero(labels == label)[0]) for label in np.unique(labels)[:3]]
    logits = np.asarray(zoo.build("fashion_mnist", weights="default")(images[chosen], training=False))
    probabilities, names = softmax(logits.astype(np.float64)), dataset.info.class_names
    figure, axes = axes_row(2, width=5.5, height=3)
    places = np.arange(len(names))
    for i in range(len(chosen)):
        axes[0].bar(places + 0.27 * (i - 1), logits[i], 0.27, label=names[labels[chosen[i]]])
        axes[1].bar(places + 0.27 * (i - 1), probabilities[i], 0.27)
    for cell, title in zip(axes, ("logits", "probabilities"), strict=True):
        cell.set_xticks(places, names, rotation=60, ha="right", fontsize=7)
        cell.set(ylabel=title)
        cell.axhline(0, color="black", linewidth=0.5)
    axes[0].legend(fontsize=7, title="true class", title_fontsize=7)
    page.figure(figure, "softmax", "Logits and probabilities of three images", data="Fashion-MNIST, test split")
    page.code(softmax, cross_entropy, gradient)
    import keras
    import tensorflow as tf

    value = tf.Variable(logits.astype(np.float64))
    with tf.GradientTape() as tape:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, dtype="float64")(labels[chosen], value)
    page.claim(
        np.allclose(probabilities.sum(axis=1), 1)
        and np.abs(float(loss) - cross_entropy(logits, labels[chosen])) < 1e-5,
        "The probabilities add up to one, and the cross-entropy by the formula is that of Keras (within 1e-5).",
    )
    page.claim(
        np.abs(tape.gradient(loss, value) - gradient(logits.astype(np.float64), labels[chosen])).max() < 1e-6,
        "The gradient p - y is that of TensorFlow (within 1e-6).",
    )
