"""Gradient descent and backpropagation: the network of `bike_sharing` by NumPy, beside Keras."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from docs.course.page import Page, axes_row, band

if TYPE_CHECKING:
    import keras

Weights = list[np.ndarray]  # kernel (features, units), bias (units,), kernel (units, 1), bias (1,)
SETTINGS = {"model.units": [24], "model.dropout": 0.0, "recipe.optimizer": "sgd", "recipe.momentum": 0.0}
SETTINGS |= {"recipe.learning_rate": 0.1, "recipe.weight_decay": 0.0, "recipe.schedule": "constant"}
RATES = (0.003, 0.03, 0.1, 1.0)


def forward(w: Weights, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the hidden units before and after the ReLU, (N, units), and the predictions (N,), a share of the mean."""
    z = x @ w[0] + w[1]
    h = np.maximum(z, 0)
    return z, h, np.exp(h @ w[2] + w[3])[:, 0]


def mean_squared_error(y: np.ndarray, prediction: np.ndarray) -> float:
    """Return the mean of the squared errors."""
    return float(np.mean((prediction - y) ** 2))


def backward(w: Weights, x: np.ndarray, y: np.ndarray) -> Weights:
    """Return the gradients of the mean squared error with respect to the weights, from the last layer to the first."""
    z, h, prediction = forward(w, x)
    d_prediction = 2 * (prediction - y)[:, None] / len(y)  # of the mean of squares
    d_output = d_prediction * prediction[:, None]  # exp' = exp
    d_h = d_output @ w[2].T
    d_z = d_h * (z > 0)  # ReLU' is 1 or 0
    return [x.T @ d_z, d_z.sum(0), h.T @ d_output, d_output.sum(0)]


def step(w: Weights, x: np.ndarray, y: np.ndarray, rate: float) -> Weights:
    """Return the weights after one step of gradient descent."""
    return [weight - rate * gradient for weight, gradient in zip(w, backward(w, x, y), strict=True)]


def by_differences(w: Weights, x: np.ndarray, y: np.ndarray, layer: int, index: tuple[int, ...]) -> float:
    """Return the gradient of one weight by two evaluations of the loss."""
    losses = []
    for shift in (1e-5, -1e-5):
        moved = [weight.copy() for weight in w]
        moved[layer][index] += shift
        losses.append(mean_squared_error(y, forward(moved, x)[2]))
    return (losses[0] - losses[1]) / 2e-5


@contextlib.contextmanager
def float64() -> Iterator[None]:
    """Build layers in double precision inside the block."""
    import keras

    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(previous)


def network(page: Page, seed: int) -> tuple[keras.Model, np.ndarray, np.ndarray]:
    """Return the layers of `bike_sharing` after its features, these features (N, F), and rentals / their mean (N,)."""
    import keras

    from zoo.modeling.tabular_inputs import looked_up_columns

    keras.utils.set_random_seed(seed)
    plan = page.plan("bike_sharing", SETTINGS | {"recipe.limit": page.choose(4096, 512)}, seed)
    dataset = page.dataset(plan)
    with float64():
        core, rows = plan.build(dataset.info).get_layer("core"), plan.feed(dataset, "train")
    raw, encoded = looked_up_columns(plan.arguments(dataset.info)["columns"])
    features = keras.Model(core.input, core.get_layer("features").output)
    table, y = next(iter(rows.batches(rows.count)))
    x = np.asarray(keras.Model(raw, features(encoded))(table))
    top = keras.Sequential(
        [core.get_layer("dense_0"), core.get_layer("factor"), keras.layers.Reshape((), dtype="float64")]
    )
    top.build(x.shape)
    return top, x, y.numpy() / dataset.info.statistics["target"]["mean"]


def trainings(page: Page, rate: float, steps: int) -> tuple[np.ndarray, float]:
    """Return the losses (seeds, steps) of Keras, and the largest difference of a weight from NumPy's after any step."""
    import keras

    losses, difference = [], 0.0
    for seed in page.seeds:
        model, x, y = network(page, seed)
        model.compile(keras.optimizers.SGD(rate), keras.losses.MeanSquaredError())
        w, order, row = [v.numpy() for v in model.trainable_variables], np.random.default_rng(seed), []
        for _ in range(steps):
            rows = order.integers(len(y), size=128)
            row.append(float(model.train_on_batch(x[rows], y[rows])))
            w = step(w, x[rows], y[rows], rate)
            after = [v.numpy() for v in model.trainable_variables]
            difference = max(difference, *(np.abs(a - b).max() for a, b in zip(w, after, strict=True)))
        losses.append(row)
    return np.array(losses), float(difference)


def draw(axes: Any, curves: dict[float, np.ndarray]) -> None:
    """Plot the loss of each learning rate, smoothed over ten steps."""
    for i, (rate, losses) in enumerate(curves.items()):
        smooth = np.apply_along_axis(np.convolve, 1, np.nan_to_num(losses, nan=1e9), np.ones(10) / 10, "valid")
        band(axes, np.minimum(smooth, 1e3), f"learning rate {rate:g}", f"C{i}")
    axes.set(xlabel="step", ylabel="mean squared error", yscale="log", title="four learning rates", ylim=(0.3, 10))
    axes.legend(fontsize=7)


def draw_descent(axes: Any, w: Weights, x: np.ndarray, y: np.ndarray) -> None:
    """Plot the loss against one weight, and its tangent: the gradient."""
    unit = int(np.abs(backward(w, x, y)[2][:, 0]).argmax())
    gradient, here = backward(w, x, y)[2][unit, 0], w[2][unit, 0]
    shifts = np.linspace(-1, 1, 41)
    losses = []
    for shift in shifts:
        moved = [*w[:2], w[2].copy(), w[3]]
        moved[2][unit, 0] += shift
        losses.append(mean_squared_error(y, forward(moved, x)[2]))
    loss = losses[len(shifts) // 2]
    axes.plot(here + shifts, losses, label="loss")
    axes.plot(here + shifts, loss + gradient * shifts, "--", label=f"gradient {gradient:.2f}")
    axes.plot(here, loss, "ko", label="the weight now")
    axes.set(xlabel="one weight of the last layer", ylabel="mean squared error", ylim=(0, max(losses) * 1.05))
    axes.set_title("the gradient is a slope")
    axes.legend(fontsize=7)
    axes.grid(alpha=0.3)


def write(page: Page) -> None:
    """Measure and write the page."""
    steps = page.choose(150, 20)
    model, x, y = network(page, 0)
    w = [v.numpy() for v in model.trainable_variables]
    page.text(
        f"""The network of `bike_sharing` predicts the rentals of an hour from its features ({x.shape[1]} numbers: the
        embeddings of weather, weekday and hour, and the normalised measurements). One hidden layer of {w[0].shape[1]}
        units with ReLU, and an output with the exponential function, so that no prediction is negative. The page trains
        these two layers on the mean squared error, in NumPy and in Keras, from the same first weights, on the same
        batches and in float64; the embeddings keep their first values, and the target is divided by its mean."""
    )
    page.command("python -m zoo.train bike_sharing --set 'model.units=[24]'")
    page.heading("Forwards, and backwards by the chain rule")
    page.code(forward, mean_squared_error, backward, step)
    page.text(
        """Read `backward` from top to bottom: each line multiplies what came from above by the derivative of one
        function. The gradient of a kernel is its input, transposed, times what arrives at its output."""
    )
    indices = [(0, (3, 5)), (1, (5,)), (2, (7, 0)), (3, (0,))]
    gradients = backward(w, x[:128], y[:128])
    rows = []
    for layer, index in indices:
        numeric = by_differences(w, x[:128], y[:128], layer, index)
        name = ("hidden kernel", "hidden bias", "output kernel", "output bias")[layer]
        rows.append((name, str(index), float(gradients[layer][index]), numeric))
    page.table(["weights", "index", "backpropagation", "two evaluations of the loss"], rows)
    page.claim(
        all(abs(a - b) < 1e-6 for *_, a, b in rows),
        "Gradients by backpropagation and by differences of the loss agree within 1e-6.",
    )
    results = {rate: trainings(page, rate, steps) for rate in RATES}
    figure, (left, right) = axes_row(2, width=5)
    draw_descent(left, w, x[:1024], y[:1024])
    draw(right, {rate: losses for rate, (losses, _) in results.items()})
    page.figure(
        figure, "descent", "The loss against one weight, and by step for four learning rates", data="bike sharing"
    )
    largest = max(difference for rate, (_, difference) in results.items() if rate < 1)
    page.claim(
        largest < 1e-6,
        f"After every one of {steps} steps with the learning rates up to 0.1, the weights of NumPy and Keras differ by "
        f"at most {largest:.1e} (less than 1e-6).",
    )
    page.heading("The learning rate")
    last = {rate: float(losses[:, -10:].mean()) for rate, (losses, _) in results.items()}
    page.table(
        ["learning rate", "loss of the first batch", "mean of the last ten"],
        [(rate, float(results[rate][0][:, 0].mean()), last[rate]) for rate in RATES],
    )
    best = min(last, key=last.get)
    page.text(
        f"""A step that is too short wastes time, one that is too long jumps over the valley. Of these four, {best:g} is
        lowest after {steps} steps."""
    )
    page.claim(
        last[0.03] < last[0.003],
        f"After {steps} steps the loss with 0.03 is below that with 0.003, which is too short a step.",
    )
