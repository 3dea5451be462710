"""Text: vectors of words, sentiment by hand and in Keras, attention."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from docs.course.page import Page, axes_row, band, show

FAMILIES = {  # words of which each family should be close together
    "royalty": ("king", "queen", "prince", "princess", "duke"),
    "cities": ("paris", "london", "vienna", "berlin", "florence"),
    "family": ("father", "mother", "son", "daughter", "brother", "sister"),
    "numbers": ("two", "three", "four", "five", "six"),
    "animals": ("dog", "cat", "horse", "cow", "sheep"),
    "verbs": ("walked", "talked", "looked", "opened", "turned"),
}
ANALOGIES = (
    ("man", "king", "woman", "queen"),
    ("france", "french", "spain", "spanish"),
    ("walk", "walked", "talk", "talked"),
    ("big", "bigger", "small", "smaller"),
    ("man", "actor", "woman", "actress"),
    ("dog", "dogs", "cat", "cats"),
)
SENTENCES = ("a moving film, wonderfully acted", "dull, predictable and far too long")


def unit_vectors() -> tuple[list[str], np.ndarray]:
    """Return the vocabulary of the shipped `word2vec` and its vectors (words, 100), each of length 1."""
    import zoo
    from zoo.weights import description

    words = description("word2vec")["info"]["vocabulary"]
    vectors = np.asarray(zoo.build("word2vec", weights="default")(np.arange(len(words), dtype=np.int32)))
    return words, vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-9)


def nearest(
    words: Sequence[str], unit: np.ndarray, vector: np.ndarray, without: Sequence[str], count: int
) -> list[str]:
    """Return the words whose unit vectors have the largest cosine with a vector."""
    order = np.argsort(-(unit @ vector))[: count + len(without)]
    return [words[i] for i in order if words[i] not in without][:count]


def tokens(text: str) -> list[str]:
    """Return the words of a text in lower case."""
    return re.findall(r"[a-z']+", text.lower())


def vocabulary(texts: Sequence[str], labels: np.ndarray, least: int, polarity: float) -> dict[str, int]:
    """Return the words that occur at least `least` times and tell the classes apart: |log ratio| >= `polarity`."""
    counts = [Counter(w for text, y in zip(texts, labels, strict=True) if y == c for w in tokens(text)) for c in (0, 1)]
    ratio = {w: np.log((counts[1][w] + 1) / (counts[0][w] + 1)) for w in counts[0] | counts[1]}
    kept = [w for w in sorted(ratio) if counts[0][w] + counts[1][w] >= least and abs(ratio[w]) >= polarity]
    return {word: i for i, word in enumerate(kept)}


def train_by_hand(
    rows: Sequence[np.ndarray],
    labels: np.ndarray,
    words: int,
    seed: int,
    epochs: int,
    units: int = 16,
    rate: float = 0.01,
) -> tuple[np.ndarray, np.ndarray, list[float]]:
    """Train words -> hidden -> sigmoid on the cross-entropy, review by review; only rows of present words change.

    Args:
        rows: For each review the places of its words in the vocabulary.
        labels: 0 or 1, (N,).
        words: Size of the vocabulary.
        seed: Random seed of the first weights and of the order.
        epochs: Passes over the reviews.
        units: Hidden units, without an activation.
        rate: Learning rate.

    Returns:
        Weights (words, units) and (units,), and the training accuracy of each epoch.
    """
    random = np.random.default_rng(seed)
    w0, w1, history = np.zeros((words, units)), random.normal(0, units**-0.5, units), []
    for _ in range(epochs):
        right = 0
        for i in random.permutation(len(rows)):
            hidden = w0[rows[i]].sum(axis=0)
            p = 1 / (1 + np.exp(-hidden @ w1))
            error = labels[i] - p
            right += (p >= 0.5) == labels[i]
            w0[rows[i]] += rate * error * w1
            w1 += rate * error * hidden
        history.append(right / len(rows))
    return w0, w1, history


def accuracy(rows: Sequence[np.ndarray], labels: np.ndarray, w0: np.ndarray, w1: np.ndarray) -> float:
    """Return the share of reviews on the right side."""
    return float(np.mean([(w0[row].sum(axis=0) @ w1 >= 0) == y for row, y in zip(rows, labels, strict=True)]))


def write(page: Page) -> None:
    """Measure and write the page."""
    _words(page)
    _by_hand(page)
    _in_keras(page)
    _attention(page)


def _words(page: Page) -> None:
    from sklearn.decomposition import PCA

    page.heading("Vectors of words")
    page.text(
        """The shipped weights of `word2vec` were trained on all texts of the zoo. Two words that occur among the same
        neighbours get similar vectors. The figure shows six families of words in the two directions of largest variance
        (PCA); the table, the word nearest to b - a + c."""
    )
    words, unit = unit_vectors()
    place = {word: i for i, word in enumerate(words)}
    shown = [word for family in FAMILIES.values() for word in family]
    points = PCA(2, random_state=0).fit_transform(unit[[place[word] for word in shown]])
    figure, (axes,) = axes_row(1, width=7.5, height=5)
    for i, (name, family) in enumerate(FAMILIES.items()):
        chosen = points[[shown.index(word) for word in family]]
        axes.scatter(*chosen.T, s=14, color=f"C{i}", label=name)
        for j, (word, (x, y)) in enumerate(zip(family, chosen, strict=True)):
            place_of = {"xytext": ((4, 4), (4, -9), (-24, 8), (-26, -9), (10, -2), (-30, 0))[j]}
            axes.annotate(word, (x, y), **place_of, textcoords="offset points", fontsize=7, color=f"C{i}")
    axes.margins(0.12)
    axes.set(xticks=[], yticks=[], title=f"word2vec, {len(words):,} words, 100 dimensions")
    axes.legend(fontsize=8, loc="best")
    page.figure(figure, "words", "Vectors of words in two dimensions", "the texts of the zoo", seeds="Seed 0")
    rows, right = [], 0
    for a, b, c, d in ANALOGIES:
        found = nearest(words, unit, unit[place[b]] - unit[place[a]] + unit[place[c]], (a, b, c), 1)[0]
        rows.append((f"{b} - {a} + {c}", found, d))
        right += found == d
    page.table(["vector", "nearest word", "expected"], rows)
    page.code(nearest)
    page.command("python -m zoo.train word2vec --seed 0", "python -m zoo.predict word2vec king")
    cosines = unit[[place[w] for w in shown]] @ unit[[place[w] for w in shown]].T
    family = np.repeat(np.arange(len(FAMILIES)), [len(f) for f in FAMILIES.values()])
    same = family[:, None] == family[None]
    inside, outside = cosines[same & ~np.eye(len(shown), dtype=bool)].mean(), cosines[~same].mean()
    page.claim(
        inside > outside + 0.2,
        f"The mean cosine of two words of one family is {inside:.2f}, of two families {outside:.2f} (0.2 "
        f"apart or more).",
    )
    page.claim(right >= len(ANALOGIES) - 1, f"{right} of the {len(ANALOGIES)} analogies give the expected word.")


def _reviews(page: Page) -> Mapping[str, tuple[list[str], np.ndarray]]:
    dataset = page.dataset(page.plan("sentiment"))
    splits = {}
    for name in ("train", "test"):
        examples = list(dataset[name].as_numpy_iterator())
        splits[name] = [e["text"].decode() for e in examples], np.array([int(e["label"]) for e in examples])
    return splits


def _by_hand(page: Page) -> None:
    page.heading("Sentiment by hand")
    page.text(
        """A review becomes the list of its words; the network has one row of weights for each word, adds the rows of
        the words that occur, and ends in a sigmoid. It is trained in NumPy. Most words do not help: words that occur
        seldom cannot be learnt, and words that occur as often in bad reviews as in good ones (`the`, `and`) say
        nothing. Without them a review is a third as long, and so is an epoch; what that costs in accuracy the table
        says."""
    )
    page.code(vocabulary, train_by_hand)
    splits = _reviews(page)
    (texts, labels), (other_texts, other_labels) = splits["train"], splits["test"]
    choices = {"all words": (1, 0.0), "at least 5 times": (5, 0.0), "at least 5 times, polar": (5, 0.5)}
    if page.small:
        choices = {"all words": (1, 0.0), "at least 5 times, polar": (1, 0.1)}
    results, table = {}, []
    for name, (least, polarity) in choices.items():
        index = vocabulary(texts, labels, least, polarity)
        rows, others = (
            [np.array(sorted({index[w] for w in tokens(t) if w in index}), int) for t in part]
            for part in (texts, other_texts)
        )
        trained = [train_by_hand(rows, labels, len(index), seed, page.choose(6, 2)) for seed in page.seeds]
        results[name] = [accuracy(others, other_labels, w0, w1) for w0, w1, _ in trained]
        touched = float(np.mean([len(row) for row in rows]))
        table.append((name, len(index), touched, float(np.mean(results[name])), np.array([t[2] for t in trained])))
    figure, (axes,) = axes_row(1, width=6, height=3.2)
    for i, (name, _, _, _, history) in enumerate(table):
        band(axes, history, f"{name}: training", f"C{i}")
        axes.axhline(np.mean(results[name]), color=f"C{i}", linestyle=":")
    axes.set(xlabel="epoch", ylabel="accuracy", title="lines: training; dotted: test, after the last epoch")
    axes.legend(fontsize=7)
    page.figure(
        figure, "sentiment", "Accuracy of a network in NumPy by its vocabulary", "movie reviews, one sentence each"
    )
    page.table(["words", "vocabulary", "words of a review", "test accuracy"], [row[:4] for row in table])
    majority = max(np.mean(other_labels), 1 - np.mean(other_labels))
    if not page.small:  # a hundred speeches teach nothing
        lowest = min(min(values) for values in results.values())
        page.claim(
            lowest > majority + 0.1,
            f"With every vocabulary and seed the test accuracy is {lowest:.3f} or more; the more frequent class has "
            f"{majority:.3f}.",
        )
        page.claim(
            table[-1][2] < 0.5 * table[0][2] and min(results[list(choices)[-1]]) > max(results["all words"]) - 0.04,
            "Polar words alone are less than half of the words of a review, and lose less than 0.04 of the accuracy.",
        )
    page.claim(all(row[4][:, -1].min() > majority - 0.2 for row in table), "Every training fits its reviews.")


def _in_keras(page: Page) -> None:
    import zoo

    page.heading("Sentiment in Keras")
    page.text(
        """`sentiment` has a recurrent form (`--recipe recurrent`), an LSTM. On nine thousand short reviews it is [not
        more accurate](../models/sentiment.md#measured) than a linear model of words, word pairs and parts of words,
        whose weights are shipped:"""
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
    page.figure(figure, "attention", "Attention map of a date", "generated dates", seeds="Seed 0")
    page.output(f"{text} -> {prediction.rows[0]['output']}")
    page.command(f'python -m zoo.predict attention "{text}"')
    page.claim(prediction.rows[0]["output"] == "2001-03-03", f'"{text}" becomes 2001-03-03.')
    page.text(
        """A Transformer with an encoder and a decoder, trained on a dictionary, `grapheme_to_phoneme`, spells how an
        English word is spoken, also a word that is in no dictionary."""
    )
    words = ["tensor", "keras", "perceptron"]
    sounds = [prediction.rows[0]["output"] for prediction in zoo.load("grapheme_to_phoneme").predict(words)]
    page.output("\n".join(f"{word} -> {sound}" for word, sound in zip(words, sounds, strict=True)))
    page.command(f"python -m zoo.predict grapheme_to_phoneme {' '.join(words)}")
    page.claim(sounds[0] == "T EH N S ER", "The word tensor is spelled as it is spoken.")
