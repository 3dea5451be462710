"""Recurrent networks: gradient through time, memory, carried state, embeddings, sentiment, attention, scripts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from docs.course.page import Page, axes_row, band, show, train_command

if TYPE_CHECKING:
    import keras

CELLS = {"rnn": "C3", "gru": "C0", "lstm": "C2"}
SYMBOLS, RECALL = 8, 9  # of the copy task: tokens 0 to 7, and the signal
SENTENCES = ("a moving film, wonderfully acted", "dull, predictable and far too long")
WORDS = ("king", "queen", "prince", "lord", "lady", "man", "woman", "father", "mother", "son", "daughter", "brother")
WORDS += ("sister", "love", "hate", "death", "life", "day", "night", "heart", "eyes", "hand", "he", "she", "his", "her")


def built(cell: str, seed: int, units: int = 32) -> keras.Model:
    """Return an untrained `text_rnn` for the ten tokens of the copy task."""
    import keras

    import zoo

    keras.utils.set_random_seed(seed)
    return zoo.build("text_rnn", vocabulary_size=10, cell=cell, units=units, embedding_dim=16)


def copy_task(count: int, others: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return sequences (N, others + 2): a symbol, `others` random ones, the signal; and the first symbols (N,)."""
    tokens = np.random.default_rng(seed).integers(0, SYMBOLS, (count, others + 2)).astype(np.int32)
    tokens[:, -1] = RECALL
    return tokens, tokens[:, 0].copy()


def recalled_share(cell: str, others: int, seed: int, steps: int) -> float:
    """Train on the copy task, and return how often the first symbol of new sequences is recalled."""
    import keras

    model = built(cell, seed)
    tokens, symbols = copy_task(32 * steps, others, seed)
    weights = np.zeros(tokens.shape, np.float32)
    weights[:, -1] = 1  # only the last answer counts
    targets = np.repeat(symbols[:, None], tokens.shape[1], axis=1)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-2, global_clipnorm=1.0), loss)
    model.fit(tokens, targets, sample_weight=weights, batch_size=32, verbose=0)
    tokens, symbols = copy_task(256, others, seed + 1000)
    return float((np.asarray(model(tokens))[:, -1].argmax(-1) == symbols).mean())


def gradient_through_time(model: keras.Model, length: int) -> np.ndarray:
    """Return the size of the gradient of the last output with respect to the input of each step, (length,)."""
    import keras
    import tensorflow as tf

    tokens = np.random.default_rng(0).integers(0, SYMBOLS, (16, length))
    after = keras.Model(model.get_layer("embedding").output, model.output)
    inputs = model.get_layer("embedding")(tokens)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        last = tf.reduce_sum(after(inputs)[:, -1, :SYMBOLS] * np.random.default_rng(1).normal(size=SYMBOLS))
    return np.sqrt(np.square(tape.gradient(last, inputs)).sum(-1).mean(0))


def write(page: Page) -> None:
    """Measure and write the page."""
    _memory(page)
    _carried_state(page)
    _words(page)
    _sentiment(page)
    _attention(page)
    _scripts(page)


def _memory(page: Page) -> None:
    page.text(
        """A recurrent network reads one token after another and keeps a state. `text_rnn` takes three cells. `rnn`
        makes a new state from the old one in every step. `gru` and `lstm` have gates, with which they can learn to
        leave a state as it is, and the gradient with it."""
    )
    numbers, steps, length = page.choose((5, 10, 20), (3,)), page.choose(800, 150), page.choose(22, 12)
    gradients = {cell: [gradient_through_time(built(cell, seed), length) for seed in page.seeds] for cell in CELLS}
    shares = {
        cell: [[recalled_share(cell, others, seed, steps) for others in numbers] for seed in page.seeds]
        for cell in CELLS
    }
    means = {cell: np.mean(shares[cell], axis=0) for cell in CELLS}
    best = max(CELLS, key=lambda cell: means[cell][-1])
    figure, (left, right) = axes_row(2, width=5)
    for cell, colour in CELLS.items():
        relative = np.array(gradients[cell]) / np.array(gradients[cell])[:, -1:]
        band(left, relative, cell, colour, np.arange(length) - length + 1)
        band(right, shares[cell], cell, colour, numbers)
    left.set(
        yscale="log", xlabel="step, 0 is the last", ylabel="relative gradient", title="gradient through time, untrained"
    )
    right.axhline(1 / SYMBOLS, color="grey", linestyle=":", label="chance")
    right.set(xlabel="symbols to ignore", ylabel="recalled", ylim=(0, 1.05), title="copy task, trained")
    for cell in (left, right):
        cell.legend(fontsize=8)
    page.figure(figure, "memory", "Gradient by distance in time, and share of recalled symbols")
    page.text(
        f"""Left, how much the last answer depends on the input of earlier steps, before any training. Keras starts the
        recurrent weights of all cells orthogonal, which neither grow nor shrink a state, so the gradient of the plain
        cell falls least. The gates start half closed: the state, and the gradient, fade at once. Right, what {steps}
        steps of 32 sequences make of it. The task shows one of eight symbols, then others to be ignored, then a signal:
        what was the first? GRU and LSTM must first learn to keep
        their gates open, and the more there is to ignore, the longer that takes. With {numbers[-1]} symbols to ignore,
        `{best}` recalls most after this short training."""
    )
    page.code(copy_task, gradient_through_time)
    rows = [(str(others), *(float(means[cell][i]) for cell in CELLS)) for i, others in enumerate(numbers)]
    page.table(["symbols to ignore", *CELLS], rows)
    page.claim(
        min(mean[0] for mean in means.values()) > 0.8,
        f"With {numbers[0]} symbols to ignore every cell recalls more than 80 %.",
    )
    fading = max(float(np.max(np.array(gradients[c])[:, 0] / np.array(gradients[c])[:, -1])) for c in ("gru", "lstm"))
    plain = float(np.min(np.array(gradients["rnn"])[:, 0] / np.array(gradients["rnn"])[:, -1]))
    page.claim(
        fading < 0.1 < plain / fading,
        f"Untrained, the gradient of GRU and LSTM {length - 1} steps back is at most {fading:.1e} of that of the last "
        f"step, that of the plain cell at least {plain:.1e}.",
    )
    page.command("python -m zoo.train text_rnn --cell rnn", "python -m zoo.train text_rnn --cell lstm")


def _carried_state(page: Page) -> None:
    from zoo.tasks.text.recurrent import advance, state_widths

    page.heading("Carried state")
    page.text(
        """A text is longer than a sequence of the training. `text_rnn` carries its state from one batch to the next,
        and when it writes, from one token to the next: state in, state out."""
    )
    rows = []
    for cell in CELLS:
        model = built(cell, 0)
        tokens = np.random.default_rng(0).integers(0, 10, (2, 40)).astype(np.int32)
        zeros = [np.zeros((2, width), np.float32) for width in state_widths(model).values()]
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


def nearest(vectors: np.ndarray, vocabulary: Sequence[str], word: str, count: int = 5) -> list[str]:
    """Return the words whose vectors have the largest cosine with that of a word."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-9)
    order = np.argsort(-(unit @ unit[list(vocabulary).index(word)]))
    return [vocabulary[i] for i in order if vocabulary[i] != word][:count]


def _words(page: Page) -> None:
    from sklearn.decomposition import PCA

    from zoo.evaluation import plots

    page.heading("Embeddings: word2vec in two dimensions")
    page.text(
        """`word2vec` learns a vector for each word, from which its neighbours in the text can be predicted: words that
        stand in the same company get similar vectors. Here from Shakespeare's plays alone; the two dimensions are those
        of the largest variance among the words shown (PCA)."""
    )
    settings = {"data": "shakespeare", "recipe.epochs": page.choose(10, 1), "recipe.batch_size": page.choose(512, 256)}
    settings |= {"model.embedding_dim": page.choose(64, 8)}
    run = page.train("word2vec", settings)
    vocabulary, model = run.info().vocabulary, run.model()
    vectors = np.asarray(model(np.arange(len(vocabulary), dtype=np.int32)))
    shown = [word for word in WORDS if word in vocabulary]
    chosen = vectors[[list(vocabulary).index(word) for word in shown]]
    points = PCA(2).fit_transform(chosen / np.linalg.norm(chosen, axis=1, keepdims=True))
    figure = plots.words(points, shown, 0, f"word2vec, {len(vocabulary):,} words")
    figure.set_size_inches(7, 4.5)
    page.figure(figure, "words", "Vectors of words in two dimensions")
    page.table(["word", "nearest words"], [(word, ", ".join(nearest(vectors, vocabulary, word))) for word in shown[:6]])
    page.code(nearest)
    page.command(train_command("word2vec", settings))
    losses = [row["loss"] for row in run.history()]
    page.claim(
        losses[-1] < 6 * np.log(2), f"The loss is {losses[-1]:.2f} nats; vectors of zeros have {6 * np.log(2):.2f}."
    )


def _sentiment(page: Page) -> None:
    import zoo

    page.heading("Sentiment")
    page.text(
        """`sentiment` has a recurrent form (`--recipe recurrent`), an LSTM whose words start from GloVe's vectors. On
        nine thousand short reviews it is [as accurate](../models/sentiment.md#measured) as a linear model of words,
        word pairs and parts of words, whose weights are shipped:"""
    )
    predictions = zoo.load("sentiment").predict(list(SENTENCES))
    rows = [
        (text, p.rows[0]["label"], float(p.rows[0]["probability"]))
        for text, p in zip(SENTENCES, predictions, strict=True)
    ]
    page.table(["text", "label", "probability"], rows)
    page.command(
        f'python -m zoo.predict sentiment "{SENTENCES[0]}"', "python -m zoo.train sentiment --recipe recurrent"
    )
    page.claim(len({row[1] for row in rows}) == 2, "The praising and the complaining sentence get different labels.")


def _attention(page: Page) -> None:
    import zoo

    page.heading("Attention")
    page.text(
        """`attention` translates dates as people write them to ISO 8601. For each character that it writes, it weighs
        the characters that it has read; the map shows the weights."""
    )
    text = "march 3rd, 2001"
    prediction = zoo.load("attention").predict([text])[0]
    figure, (axes,) = axes_row(1, width=7, height=2.4)
    show(axes, prediction.image)
    axes.set_axis_off()
    page.figure(figure, "attention", "Attention map of a date")
    page.output(f"{text} -> {prediction.rows[0]['output']}")
    page.command(f'python -m zoo.predict attention "{text}"')
    page.claim(prediction.rows[0]["output"] == "2001-03-03", f'"{text}" becomes 2001-03-03.')
    page.text(
        """The same network trained on a dictionary, `grapheme_to_phoneme`, spells how an English word is spoken, also a
        word that is in no dictionary."""
    )
    words = ["tensor", "keras", "perceptron"]
    sounds = [prediction.rows[0]["output"] for prediction in zoo.load("grapheme_to_phoneme").predict(words)]
    page.output("\n".join(f"{word} -> {sound}" for word, sound in zip(words, sounds, strict=True)))
    page.command(f"python -m zoo.predict grapheme_to_phoneme {' '.join(words)}")
    page.claim(sounds[0] == "T EH N S ER", "The word tensor is spelled as it is spoken.")


def _scripts(page: Page) -> None:
    from zoo import sample

    page.heading("Scripts")
    page.text(
        """Trained on the next character of scripts, `text_rnn` writes new ones, one character after another. In a few
        minutes it learns the form (names, colons, lines) and short words, and no sense; the recipe trains longer."""
    )
    settings = {"data": page.choose("scripts", "shakespeare"), "model.units": page.choose(128, 16)}
    settings |= {"recipe.epochs": page.choose(3, 1), "recipe.batch_size": page.choose(16, 8)}
    settings |= {"recipe.learning_rate": 4e-3, "recipe.dropout": 0.0}
    settings |= page.choose({"recipe.split": "15/5/80"}, {})  # a part of the seasons
    run = page.train("text_rnn", settings)
    prompt = page.choose("JOEY: ", "A")
    text = sample.run(run.path, options={"prompt": prompt, "length": page.choose(400, 40), "temperature": 0.7}, seed=0)
    page.output("\n".join(text.lines))
    page.command(
        train_command("text_rnn", settings),
        f'python -m zoo.sample RUN --prompt "{prompt}" --length 400 --temperature 0.7',
    )
    uniform = float(np.log(len(run.info().vocabulary)))
    loss = run.history()[-1]["val_loss"]
    known = set(_words_of(" ".join(row["text"].decode() for row in page.dataset(run.plan()).train.as_numpy_iterator())))
    written = _words_of(" ".join(text.lines))
    share = float(np.mean([word in known for word in written]))
    if not page.small:  # which writes no words yet
        page.claim(
            share > 0.6,
            f"{share:.0%} of the {len(written)} words of the sample occur in the scripts that it was trained on.",
        )
    page.claim(loss < uniform, f"The validation loss is {loss:.2f} nats a character; guessing has {uniform:.2f}.")


def _words_of(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower())
