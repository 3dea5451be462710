"""Which preprocessing the token ids of a text had: normalisation, splitting, special tokens, padding, truncation."""

import itertools
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from export.contract.preprocessing import TextPreprocessing
from zoobase.errors import ExportError

Stages = dict[str, str | float]
EXPLAINED = 0.98  # share of equal positions
CASES: dict[str, Callable[[str], str]] = {
    "as stated": str,
    "letters as they are": str,
    "lower case": str.lower,
    "upper case": str.upper,
}
FORMS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "accents removed": lambda text: "".join(
        c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c)
    ),
    "NFKC": lambda text: unicodedata.normalize("NFKC", text),
    "decoded as Latin-1": lambda text: text.encode().decode("latin-1"),
}
SPLITS: dict[str, Callable[[str], list[str]]] = {
    "at white space": str.split,
    "words without punctuation": lambda text: re.findall(r"\w+", text),
    "words and punctuation": lambda text: re.findall(r"\w+|[^\w\s]", text),
    "characters": list,
}
SPECIAL = (("[CLS]", "[SEP]"), ("<s>", "</s>"), ("[START]", "[END]"))
PADDINGS, TRUNCATIONS = ("after the text", "before the text"), ("the end", "the beginning")


def tokens_of(text: str, recipe: TextPreprocessing, index: dict[str, int]) -> list[str]:
    """Return the tokens of a text as a recipe states them."""
    if recipe.lowercase:
        text = re.sub("[A-Z]", lambda letter: letter[0].lower(), text)
    for pattern, replacement in recipe.replace:
        text = re.sub(pattern, re.sub(r"\$(\d)", r"\\\1", replacement), text)
    tokens = re.findall(recipe.token, text)
    return [part for t in tokens for part in ([t] if not recipe.parts or t in index else t)]


def tensor_of(text: str, recipe: TextPreprocessing, vocabulary: Sequence[str], length: int) -> np.ndarray:
    """Return the ids int32 (length,) that a recipe makes of a text.

    Example:
        >>> tensor_of("Good film", TextPreprocessing(lowercase=True), ("", "[UNK]", "film"), 4).tolist()
        [1, 2, 0, 0]
    """
    index = {word: i for i, word in enumerate(vocabulary)}
    ids = [index.get(token, recipe.unknown) for token in tokens_of(text, recipe, index)][:length]
    return np.array(ids + [recipe.fill] * (length - len(ids)), np.int32)


def explain(
    text: str, array: np.ndarray, recipe: TextPreprocessing, vocabulary: Sequence[str], length: int
) -> tuple[Stages, dict[str, tuple[str, ...]], float]:
    """Return the stages by which a text became ids, other values that fit as well, and the share of other ids.

    Raises:
        ExportError: The array does not hold whole numbers.
    """
    fed = np.asarray(array, np.float64).reshape(-1)
    if not np.isfinite(fed).all() or (fed != np.rint(fed)).any():
        raise ExportError("the tensor does not hold token ids: they are whole numbers")
    found = []
    for stages, ids in _hypotheses(text, recipe, vocabulary, length, fed):
        size = max(len(ids), len(fed))
        equal = sum(a == b for a, b in zip(ids, fed.astype(np.int64).tolist(), strict=False))
        found.append((1 - equal / size, _changes(stages), len(found), stages))
    residual, _, _, best = min(found, key=lambda item: item[:3])
    similar: dict[str, dict[str, None]] = {}
    for stages in (stages for other, _, _, stages in found if other == residual):
        for name in (name for name, value in stages.items() if value != best[name]):
            similar.setdefault(name, {})[str(stages[name])] = None
    return best, {name: tuple(values) for name, values in similar.items()}, residual


AS_STATED: Stages = {
    **{"letters": "as stated", "text": "as it is", "split": "as stated", "special tokens": "none"},
    **{"ids": "as stated", "unknown token": "as stated", "padding": PADDINGS[0], "padded with": "as stated"},
    **{"cut off": TRUNCATIONS[0], "length": "as stated"},
}


def _changes(stages: Stages) -> int:
    return sum(value != AS_STATED[name] for name, value in stages.items())


def _hypotheses(
    text: str, recipe: TextPreprocessing, vocabulary: Sequence[str], length: int, fed: np.ndarray
) -> Iterator[tuple[Stages, list[int]]]:
    index = {word: i for i, word in enumerate(vocabulary)}
    present = {*fed.astype(np.int64).tolist()}
    ends = [pair for pair in SPECIAL if {*pair} <= index.keys()]
    values = sorted({recipe.fill, 0, 1, int(fed[-1]), int(fed[0])} & (present | {recipe.fill}))
    for case, form, split in itertools.product(CASES, FORMS, ("as stated", *SPLITS)):
        if split == "as stated":
            stated = recipe if case == "as stated" else replace(recipe, lowercase=False)
            tokens = tokens_of(CASES[case](FORMS[form](text)), stated, index)
        elif case == "as stated":
            continue
        else:
            tokens = SPLITS[split](CASES[case](FORMS[form](text)))
        for special, unknown in itertools.product((None, *ends), ("as stated", "left out")):
            known = [index.get(t, recipe.unknown) for t in tokens if unknown == "as stated" or t in index]
            framed = [index[special[0]], *known, index[special[1]]] if special else known
            for shift, side, cut, fill in itertools.product((0, 1, -1), PADDINGS, TRUNCATIONS, values):
                size = len(fed)
                kept = (framed[:size] if cut == TRUNCATIONS[0] else framed[-size:]) if size else []
                ids, rest = [i + shift for i in kept], [fill] * (size - len(kept))
                stages = {
                    "letters": case,
                    "text": form,
                    "split": split,
                    "special tokens": " and ".join(special) if special else "none",
                    "ids": "as stated" if not shift else f"{shift:+d}",
                    "unknown token": unknown,
                    "padding": side,
                    "padded with": "as stated" if fill == recipe.fill else str(fill),
                    "cut off": cut,
                    "length": "as stated" if size == length else f"{size} ids",
                }
                yield stages, ids + rest if side == PADDINGS[0] else rest + ids
