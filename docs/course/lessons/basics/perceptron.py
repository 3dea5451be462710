"""From the perceptron to logistic regression, by the model `admissions` on two columns of the breast cancer data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from docs.course.page import Page, axes_row, band, train_command

if TYPE_CHECKING:
    import keras

    from pipelines.dataset import Dataset

COLUMNS = ("worst_radius", "worst_texture")
SHOWN = (0, 1, 3, 10)  # epochs whose lines are drawn
SETTINGS = {"recipe.epochs": 20, "recipe.l2": 0.0}


def two_columns() -> Dataset:
    """Return the breast cancer data with two of its columns; the target is 1 for a malignant tumour."""
    import pipelines
    from pipelines import tabular

    splits = pipelines.load("breast_cancer")
    tables = {part: tabular.collect(splits[part]) for part in ("train", "validation", "test")}
    target = splits.info.statistics["target"]["name"]
    pairs = {part: ({name: t[name] for name in COLUMNS}, t[target].astype(int)) for part, t in tables.items()}
    training, labels = pairs.pop("train")
    return pipelines.from_arrays(training, labels, **pairs, class_names=splits.info.class_names, name="two_columns")


def normalised(model: keras.Model, dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Return the features (N, 2) that the only unit of the model sees, and the labels (N,)."""
    import keras

    from pipelines import tabular

    table, core = tabular.collect(dataset.train), model.get_layer("core")
    features = keras.Model(core.input, core.get_layer("features").output)
    x = features({name: table[name] for name in COLUMNS}, training=False)
    return np.asarray(x), table[dataset.info.statistics["target"]["name"]].astype(np.float32)


def sigmoid(z: np.ndarray) -> np.ndarray:
    """Return the probability that belongs to a logit."""
    return 1 / (1 + np.exp(-z))


def cross_entropy(y: np.ndarray, p: np.ndarray) -> float:
    """Return the mean of the negative logarithms of the probabilities that the labels were given."""
    return float(-np.mean(y * np.log(p) + (1 - y) * np.log(1 - p)))


def logistic_step(w: np.ndarray, b: np.ndarray, x: np.ndarray, y: np.ndarray, rate: float) -> tuple[Any, Any]:
    """Return the weights after one step of gradient descent on the cross-entropy of a batch."""
    error = y - sigmoid(x @ w + b)
    return w + rate * x.T @ error / len(y), b + rate * error.mean()


def perceptron_step(w: np.ndarray, b: np.ndarray, x: np.ndarray, y: np.ndarray, rate: float) -> tuple[Any, Any]:
    """Return the weights after one step of the perceptron: the same rule, with a hard decision for the probability."""
    error = y - (x @ w + b > 0)
    return w + rate * x.T @ error / len(y), b + rate * error.mean()


def compare_steps(steps: int) -> float:
    """Return the largest difference between the weights of NumPy and of Keras after each of `steps` steps."""
    from zoo.core.plan import make_plan
    from zoo.training.compiling import compile_model

    dataset, plan = two_columns(), make_plan("admissions", settings=SETTINGS)
    model = plan.build(dataset.info)
    compile_model(model, plan, dataset.info, steps)
    unit, (x, y), largest = model.get_layer("core").get_layer("unit"), normalised(model, dataset), 0.0
    raw = next(iter(plan.feed(dataset, "train").batches(len(y))))[0]
    w, b = unit.kernel.numpy()[:, 0], unit.bias.numpy()[0]
    for start in range(0, 16 * steps, 16):
        rows = np.arange(start, start + 16) % len(y)
        w, b = logistic_step(w, b, x[rows], y[rows], plan.recipe.learning_rate)
        model.train_on_batch({name: values.numpy()[rows] for name, values in raw.items()}, y[rows])
        largest = max(largest, np.abs(w - unit.kernel.numpy()[:, 0]).max(), abs(b - unit.bias.numpy()[0]))
    return float(largest)


def train_lines(page: Page, seed: int) -> tuple[np.ndarray, list[float], keras.Model]:
    """Train by the recipe; return the weights and bias (epochs + 1, 3) after each epoch, the losses and the model."""
    import keras

    class Weights(keras.callbacks.Callback):
        def on_train_begin(self, logs: dict | None = None) -> None:
            self.rows = []
            self.on_epoch_end(0)

        def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
            unit = self.model.get_layer("core").get_layer("unit")
            self.rows.append([*unit.kernel.numpy()[:, 0], *unit.bias.numpy()])

    weights = Weights()
    settings = SETTINGS | page.choose({}, {"recipe.epochs": 4})
    run = page.train("admissions", settings, seed, dataset=two_columns(), callbacks=[weights])
    return np.array(weights.rows), [row["loss"] for row in run.history()], run.model()


def perceptron_lines(x: np.ndarray, y: np.ndarray, epochs: int) -> tuple[np.ndarray, list[int]]:
    """Return the weights and bias (epochs + 1, 3) of a perceptron after each epoch, and the numbers of errors."""
    weights = [np.zeros(3)]
    for _ in range(epochs):
        w, b = weights[-1][:2], weights[-1][2]
        for row in range(len(y)):
            w, b = perceptron_step(w, b, x[row : row + 1], y[row : row + 1], rate=0.1)
        weights.append(np.array([*w, b]))
    return np.array(weights), [int(((x @ w[:2] + w[2] > 0) != y).sum()) for w in weights]


def separable(x: np.ndarray, y: np.ndarray) -> bool:
    """Whether a line has all rows of each class on its side: whether sign * (x @ w + b) >= 1 has a solution."""
    from scipy.optimize import linprog

    signs = np.where(y == 1, 1.0, -1.0)[:, None]
    rows = -signs * np.concatenate([x, np.ones((len(x), 1))], axis=1)
    return linprog(np.zeros(3), A_ub=rows, b_ub=-np.ones(len(x)), bounds=(None, None)).success


def draw_lines(axes: Any, x: np.ndarray, y: np.ndarray, lines: np.ndarray, title: str) -> None:
    """Plot the rows and the decision lines of some epochs."""
    for label, name, colour in ((0, "benign", "C0"), (1, "malignant", "C3")):
        axes.scatter(*x[y == label].T, s=8, alpha=0.5, color=colour, label=name)
    across = np.array([-2.5, 4.5])
    epochs = [epoch for epoch in (*SHOWN, len(lines) - 1) if epoch < len(lines)]
    for i, epoch in enumerate(dict.fromkeys(epochs)):
        w0, w1, b = lines[epoch]
        if abs(w1) > 1e-9:
            shade = str(0.8 * (1 - (i + 1) / len(epochs)))
            axes.plot(across, -(w0 * across + b) / w1, color=shade, label=f"after epoch {epoch}")
    axes.set(xlim=across, ylim=(-3, 4), xlabel=COLUMNS[0], ylabel=COLUMNS[1], title=title)
    axes.legend(fontsize=6, loc="upper right")


def draw_surface(axes: Any, x: np.ndarray, y: np.ndarray, paths: list[np.ndarray]) -> None:
    """Plot the cross-entropy over both weights, with the last bias, and the way of each training."""
    grid, bias = np.linspace(-3, 5, 60), paths[0][-1, 2]
    w0, w1 = np.meshgrid(grid, grid)
    z = np.clip(x @ np.stack([w0.ravel(), w1.ravel()]) + bias, -15, 15)
    losses = np.array([cross_entropy(y, sigmoid(column)) for column in z.T]).reshape(w0.shape)
    levels = axes.contourf(w0, w1, losses, 20, cmap="viridis")
    axes.figure.colorbar(levels, ax=axes, label="cross-entropy")
    for i, path in enumerate(paths):
        axes.plot(path[:, 0], path[:, 1], ".-", color="white", markersize=3, linewidth=0.8)
        axes.plot(*path[0, :2], "o", color="white", label="first weights" if i == 0 else None)
    axes.set(xlabel=f"weight of {COLUMNS[0]}", ylabel=f"weight of {COLUMNS[1]}", title="error surface")
    axes.legend(fontsize=7)


def one_hot(ranks: list[str]) -> np.ndarray:
    """Return the columns that the model makes of the column `rank` of the admissions table: unknown, 1, 2, 3, 4."""
    import keras

    import zoo

    model = zoo.build("admissions")
    core, lookup = model.get_layer("core"), model.get_layer("rank_lookup")
    encoder = keras.Model(core.input["rank"], core.get_layer("rank_one_hot").output)
    return np.asarray(encoder(lookup(np.array(ranks))))


def write(page: Page) -> None:
    """Measure and write the page."""
    import keras

    results = [train_lines(page, seed) for seed in page.seeds]
    paths, losses, models = zip(*results, strict=True)
    dataset = two_columns()
    x, y = normalised(models[0], dataset)
    perceptron, errors = perceptron_lines(x, y, len(losses[0]))

    page.text(
        """A unit multiplies each column by a weight, adds a bias, and decides by the sign of the sum z. All rows with
        z = 0 are its *decision line*. The perceptron asks only on which side a row lies. Logistic regression asks how
        sure it is: the sigmoid turns z into a probability. The model is `admissions`, here with two of the thirty
        columns of the breast cancer data (they stand in for the course's table of grades, which may not be
        distributed; `--data-dir binary.csv` takes that one)."""
    )
    page.command("python -m docs.course perceptron", "python -m zoo.train admissions --data-dir binary.csv")
    figure, (left, middle, right) = axes_row(3, height=3.8)
    draw_lines(left, x, y, perceptron, "perceptron: the line keeps moving")
    draw_lines(middle, x, y, paths[0], "logistic regression: it settles")
    draw_surface(right, x, y, paths)
    page.figure(
        figure,
        "line",
        "Decision lines of both, and the error surface",
        data="breast cancer (scikit-learn), two columns",
    )

    page.heading("The update rule")
    page.text(
        f"""Both rules are the same line: the weights move by the learning rate times the error times the input. The
        perceptron's error is -1, 0 or 1, so a row on the right side changes nothing. That of logistic regression is the
        difference between label and probability, which is the gradient of the cross-entropy. After
        {len(errors) - 1} passes over {len(y)} rows the perceptron still has {errors[-1]} rows on the wrong side, since
        no line separates these two columns."""
    )
    page.code(sigmoid, logistic_step, perceptron_step)
    steps = page.choose(200, 30)
    difference = compare_steps(steps)
    page.claim(
        difference < 1e-6,
        f"The weights of `logistic_step` and of Keras' `train_on_batch` differ by at most {difference:.1e} after each "
        f"of {steps} steps (less than 1e-6).",
    )
    before, after = perceptron_step(np.ones(2), 0.0, np.array([[1.0, 2.0]]), np.ones(1), 0.1), (np.ones(2), 0.0)
    page.claim(
        all(np.array_equal(*pair) for pair in zip(before, after, strict=True)),
        "The perceptron does not move for a row on the right side.",
    )
    page.claim(
        errors[-1] > 0 and not separable(x, y),
        f"No line separates the rows (a linear program has no solution), and the perceptron ends with {errors[-1]} "
        f"errors.",
    )

    page.heading("Cross-entropy by hand")
    chosen = np.concatenate([np.flatnonzero(y == label)[:3] for label in (0, 1)])
    inputs = {name: values[chosen] for name, values in zip(COLUMNS, raw_columns(dataset), strict=True)}
    p, truth = models[0].predict(inputs, verbose=0), y[chosen]
    rows = [
        (int(i), int(t), float(q), "-ln p" if t else "-ln(1 - p)", float(-np.log(q if t else 1 - q)))
        for i, t, q in zip(chosen, truth, p, strict=True)
    ]
    page.table(["row", "label y", "probability p of 1", "its cross-entropy", "value"], rows)
    page.text(
        f"""Their mean, {np.mean([row[-1] for row in rows]):.4f}, is the loss of this batch. A confident error costs
        much, a confident right answer almost nothing."""
    )
    page.code(cross_entropy)
    by_keras = float(keras.losses.BinaryCrossentropy()(truth, p))
    page.claim(
        abs(cross_entropy(truth, p.astype(np.float64)) - by_keras) < 1e-6,
        f"The mean by hand and `keras.losses.BinaryCrossentropy` are both {by_keras:.6f} (within 1e-6).",
    )
    figure, (axes,) = axes_row(1, height=3, width=5)
    band(axes, losses, "training loss", "C0")
    axes.set(xlabel="epoch", ylabel="cross-entropy", title=f"logistic regression, {len(page.seeds)} seeds")
    page.figure(figure, "loss", "Cross-entropy by epoch", data="breast cancer (scikit-learn), two columns")
    page.claim(
        all(row[-1] < row[0] for row in losses),
        f"With every seed the cross-entropy falls: {np.mean([r[0] for r in losses]):.3f} in the first epoch, "
        f"{np.mean([r[-1] for r in losses]):.3f} in the last.",
    )
    page.text("On all thirty columns, with the settings of this page, the model is trained by:")
    page.command(train_command("admissions", SETTINGS))

    page.heading("One-hot")
    page.text(
        """A category such as the rank of a school has no size: rank 4 is not four times rank 1. The model therefore
        looks the text up and gives each value a column of its own. The first column is for values that the training
        rows did not have."""
    )
    ranks = ["1", "2", "4", "7"]
    columns = one_hot(ranks)
    header = ["rank", "unknown", "1", "2", "3", "4"]
    page.table(header, [(f'"{r}"', *map(int, row)) for r, row in zip(ranks, columns, strict=True)])
    page.code(one_hot)
    page.claim(
        columns.argmax(axis=1).tolist() == [1, 2, 4, 0] and (columns.sum(axis=1) == 1).all(),
        "Each row of the one-hot columns has a single 1, at the place of its rank; an unknown rank has it in the "
        "first.",
    )


def raw_columns(dataset: Dataset) -> list[np.ndarray]:
    """Return the two columns of the training rows as they are in the table."""
    from pipelines import tabular

    table = tabular.collect(dataset.train)
    return [table[name] for name in COLUMNS]
