"""Recurrent networks: gradient through time, memory, carried state, embeddings, sentiment, attention, scripts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from docs.course.page import Page, axes_row, band, train_command

if TYPE_CHECKING:
    import keras

CELLS = {"rnn": "C3", "gru": "C0", "lstm": "C2"}


def built(cell: str, seed: int, units: int = 32) -> keras.Model:
    """Return an untrained `text_rnn` for ten tokens."""
    import keras

    import zoo

    keras.utils.set_random_seed(seed)
    return zoo.build("text_rnn", vocabulary_size=10, cell=cell, units=units, embedding_dim=16)


def sigmoid(z: np.ndarray) -> np.ndarray:
    """Return the sigmoid."""
    return 1 / (1 + np.exp(-z))


def plain_step(x: np.ndarray, state: tuple, weights: list[np.ndarray]) -> tuple[np.ndarray]:
    """Return the state (N, units) after a step of a plain cell with the weights of `keras.layers.SimpleRNN`."""
    w, u, b = weights
    return (np.tanh(x @ w + state[0] @ u + b),)


def lstm_step(x: np.ndarray, state: tuple, weights: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return the states h and c, (N, units) each, after a step of an LSTM with the weights of `keras.layers.LSTM`."""
    w, u, b = weights
    i, f, candidate, o = np.split(x @ w + state[0] @ u + b, 4, axis=1)
    c = sigmoid(f) * state[1] + sigmoid(i) * np.tanh(candidate)
    return sigmoid(o) * np.tanh(c), c


def gru_step(x: np.ndarray, state: tuple, weights: list[np.ndarray]) -> tuple[np.ndarray]:
    """Return the state (N, units) after a step of a GRU with the weights of `keras.layers.GRU`."""
    w, u, (b, recurrent_b) = weights
    xz, xr, xh = np.split(x @ w + b, 3, axis=1)
    hz, hr, hh = np.split(state[0] @ u + recurrent_b, 3, axis=1)
    z, candidate = sigmoid(xz + hz), np.tanh(xh + sigmoid(xr + hr) * hh)
    return (z * state[0] + (1 - z) * candidate,)


def adding_task(count: int, length: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return sequences (N, length, 2) of a random number and a mark, and the sums (N, 1) of the two marked numbers."""
    random, rows = np.random.default_rng(seed), np.arange(count)
    sequences = np.zeros((count, length, 2), np.float32)
    sequences[..., 0] = random.uniform(size=(count, length))
    first, second = random.integers(0, length // 2, count), random.integers(length // 2, length, count)
    sequences[rows, first, 1] = sequences[rows, second, 1] = 1
    return sequences, (sequences[rows, first, 0] + sequences[rows, second, 0])[:, None]


def memory(cell: str, seed: int, units: int = 32) -> keras.Model:
    """Return an untrained network (B, length, 2) -> (B, 1) of one recurrent layer."""
    import keras

    keras.utils.set_random_seed(seed)
    layer = {"rnn": keras.layers.SimpleRNN, "gru": keras.layers.GRU, "lstm": keras.layers.LSTM}[cell](units)
    return keras.Sequential([keras.Input((None, 2)), layer, keras.layers.Dense(1)])


def trained_memory(cell: str, length: int, seed: int, steps: int) -> tuple[keras.Model, float]:
    """Train on the adding problem; return the model and its mean squared error on new sequences."""
    import keras

    model = memory(cell, seed)
    model.compile(keras.optimizers.Adam(1e-2, global_clipnorm=1.0), keras.losses.MeanSquaredError())
    model.fit(*adding_task(64 * steps, length, seed), batch_size=64, verbose=0)
    sequences, sums = adding_task(1024, length, seed + 1000)
    return model, float(np.mean((np.asarray(model(sequences)) - sums) ** 2))


def gradient_through_time(model: keras.Model, length: int) -> np.ndarray:
    """Return the size of the gradient of the last output with respect to the input of each step, (length,)."""
    import tensorflow as tf

    inputs = tf.constant(adding_task(64, length, seed=5)[0])
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        last = tf.reduce_sum(model(inputs))
    return np.sqrt(np.square(tape.gradient(last, inputs)).sum(-1).mean(0))


def write(page: Page) -> None:
    """Measure and write the page."""
    _memory(page)
    _carried_state(page)
    _scripts(page)


def _memory(page: Page) -> None:
    page.text(
        """`text_rnn` takes three cells: `rnn` (Keras' `SimpleRNN`), `gru` and `lstm`. Here one layer of each with 32
        units has to remember: a sequence holds random numbers, two of them are marked, and the answer is the sum of
        the two (the adding problem of Hochreiter and Schmidhuber). The first mark is in the first half, the second
        in the second, so a number has to be kept over half of the sequence on average."""
    )
    lengths, steps = page.choose((10, 20, 40), (8,)), page.choose(1000, 60)
    results = {
        cell: [[trained_memory(cell, length, seed, steps) for length in lengths] for seed in page.seeds]
        for cell in CELLS
    }
    errors = {cell: np.array([[error for _, error in row] for row in rows]) for cell, rows in results.items()}
    gradients = {
        cell: np.array([gradient_through_time(row[-1][0], lengths[-1]) for row in rows])
        for cell, rows in results.items()
    }
    figure, (left, right) = axes_row(2, width=5)
    for cell, colour in CELLS.items():
        relative = gradients[cell] / gradients[cell].max(axis=1, keepdims=True)
        band(left, relative, cell, colour, np.arange(lengths[-1]) - lengths[-1] + 1)
        band(right, errors[cell], cell, colour, lengths)
    left.set(yscale="log", xlabel="step, 0 is the last", ylabel="gradient, relative to its largest")
    left.set_title("gradient through time, trained")
    right.axhline(1 / 6, color="grey", linestyle=":", label="always answering 1")
    right.set(yscale="log", xlabel="length of the sequence", ylabel="mean squared error", title="adding problem")
    right.set_xticks(lengths)
    for cell in (left, right):
        cell.legend(fontsize=8)
    page.figure(figure, "memory", "Gradient by distance in time, and error by length", "generated sequences")
    page.text(
        f"""Right: after {steps} steps of 64 sequences GRU and LSTM add numbers that are up to {lengths[-1]} steps
        apart, and the plain cell answers with the mean. Left: how much the answer of the trained networks depends on
        the input of each step. The gates carry the gradient over the whole sequence; in the plain cell it is the
        product of as many factors as there are steps, and almost nothing of it arrives at the first ones. All three
        start as Keras starts them, and have the same learning rate and the same clipping of the gradient."""
    )
    page.code(adding_task, gradient_through_time)
    means = {cell: errors[cell].mean(axis=0) for cell in CELLS}
    page.table(
        ["length", *CELLS],
        [(str(length), *(float(means[cell][i]) for cell in CELLS)) for i, length in enumerate(lengths)],
    )
    if not page.small:  # which trains too short
        gated, plain = max(errors[c][:, -1].max() for c in ("gru", "lstm")), errors["rnn"][:, -1].min()
        page.claim(
            10 * gated < plain,
            f"With {lengths[-1]} steps and every seed the error of GRU and LSTM is at most {gated:.4f}, that of "
            f"the plain "
            f"cell at least {plain:.4f}, more than ten times as much.",
        )
        relative = {c: (gradients[c][:, : lengths[-1] // 2].mean(1) / gradients[c].max(1)) for c in CELLS}
        worst, best = min(relative["gru"].min(), relative["lstm"].min()), relative["rnn"].max()
        page.claim(
            worst > 3 * best,
            f"In the first half of the sequence the gradient of GRU and LSTM is on average {worst:.2f} of its largest "
            f"value or more, that of the plain cell {best:.1e} or less (a third or less).",
        )
    page.claim(all(np.isfinite(e).all() for e in errors.values()), "No training diverges.")
    page.command(*(f"python -m zoo.train text_rnn --cell {cell}" for cell in CELLS))


def _carried_state(page: Page) -> None:
    from zoo.tasks.text.recurrent import advance, state_shapes

    page.heading("Carried state")
    page.text(
        """A text is longer than a sequence of the training. When it writes, `text_rnn` carries its state from one
        token to the next: state in, state out. In training every sequence starts with a state of zeros, unless
        `--set task.carry=true`, with which a batch starts with the last state of the one before it."""
    )
    rows = []
    for cell in CELLS:
        model = built(cell, 0)
        tokens = np.random.default_rng(0).integers(0, 10, (2, 40)).astype(np.int32)
        zeros = [np.zeros((2, *shape), np.float32) for shape in state_shapes(model).values()]
        whole, _ = advance(model, tokens, zeros)
        _, middle = advance(model, tokens[:, :20], zeros)
        carried, forgotten = (advance(model, tokens[:, 20:], state)[0] for state in (middle, zeros))
        differences = [float(np.abs(np.asarray(x) - np.asarray(whole)[:, 20:]).max()) for x in (carried, forgotten)]
        rows.append((cell, len(zeros), *differences))
    page.table(["cell", "states", "difference with the carried state", "with a new state"], rows)
    page.claim(
        all(row[2] < 1e-5 < row[3] for row in rows),
        "Two halves with a carried state give the logits of the whole sequence (within 1e-5), for all three cells; "
        "with a new state they do not.",
    )
    page.command("python -m zoo.train text_rnn --set task.carry=true")


def _scripts(page: Page) -> None:
    from zoo import sample

    page.heading("TV scripts, by words")
    page.text(
        """Trained on the next word of scripts, `text_rnn` writes new ones, one word after another. It learns the
        form (names, colons, lines) and which words follow each other, and no plot. The training goes to its end: it
        stops when the validation loss has not improved for two epochs, and keeps the best weights. The whole set,
        with the recipe's own settings, takes longer and writes better."""
    )
    settings = {"data": page.choose("scripts", "shakespeare"), "task.level": "words"}
    settings |= {"model.units": page.choose(128, 16), "recipe.dropout": 0.2, "recipe.learning_rate": 6e-3}
    settings |= {"recipe.epochs": page.choose(40, 2), "recipe.batch_size": page.choose(16, 8), "recipe.patience": 2}
    settings |= page.choose({"recipe.split": "6/3/91"}, {})  # a part of the seasons
    run = page.train("text_rnn", settings)
    history = [row["val_loss"] for row in run.history()]
    best = int(np.argmin(history))
    prompt = page.choose("JOEY: ", "A")
    text = sample.run(run.path, options={"prompt": prompt, "length": page.choose(120, 10), "temperature": 0.7}, seed=0)
    page.output("\n".join(text.lines))
    page.command(
        train_command("text_rnn", settings),
        f'python -m zoo.sample RUN --prompt "{prompt}" --length 120 --temperature 0.7',
    )
    uniform = float(np.log(len(run.info().vocabulary)))
    page.claim(
        history[best] < uniform,
        f"The validation loss is {history[best]:.2f} nats a token; guessing among the {len(run.info().vocabulary):,} "
        f"tokens has {uniform:.2f}.",
    )
    if not page.small:  # which trains two epochs
        page.claim(
            best < len(history) - 1 < settings["recipe.epochs"],
            f"The training ended by itself: epoch {best + 1} of {len(history)} is the best, "
            f"{settings['recipe.epochs']} "
            "were allowed.",
        )
        known = set(
            _words_of(" ".join(row["text"].decode() for row in page.dataset(run.plan()).train.as_numpy_iterator()))
        )
        written = _words_of(" ".join(text.lines))
        share = float(np.mean([word in known for word in written]))
        page.claim(share > 0.9, f"{share:.0%} of the {len(written)} words that it wrote occur in the scripts.")


def _words_of(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower())
