"""Which preprocessing the token ids of a text had: normalisation, splitting, special tokens, padding, truncation."""

import itertools
import re
import string
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
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
PADDINGS = ("after the text", "before the text")
TRUNCATIONS = ("the end", "the beginning", "the end and the last special token")
WHOLE_WORDS = "words that are not divided into pieces"
LONGEST_WORD = 100  # characters: BERT's tokenizer has no pieces of longer ones
NORMALIZED = 0x30000  # characters from here on stay as they are
CHINESE = re.compile(
    "([\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002a6df\U0002a700-\U0002b73f\U0002b740-\U0002b81f"
    "\U0002b920-\U0002ceaf\U0002f800-\U0002fa1f])"
)


def tokens_of(text: str, recipe: TextPreprocessing, index: dict[str, int]) -> list[str]:
    """Return the tokens of a text as a recipe states them, without those before and after it."""
    if recipe.normalize:
        text = CHINESE.sub(r" \1 ", "".join(_normalized(c, recipe.lowercase) for c in text))
    elif recipe.lowercase:
        text = re.sub("[A-Z]", lambda letter: letter[0].lower(), text)
    for pattern, replacement in recipe.replace:
        text = re.sub(pattern, re.sub(r"\$(\d)", r"\\\1", replacement), text)
    tokens = re.findall(recipe.token, text)
    if recipe.pieces:
        return [piece for token in tokens for piece in _pieces(token, recipe.pieces, index)]
    return [part for t in tokens for part in ([t] if not recipe.parts or t in index else t)]


def _normalized(character: str, plain: bool) -> str:
    """Return what BERT's tokenizer makes of a character; `plain` without case and accents."""
    category = unicodedata.category(character)
    if character in "\t\n\r" or category[0] == "Z":
        return " "
    if category in ("Cc", "Cf", "Cs", "Co") or character == "\ufffd":
        return ""
    if category == "Cn" or ord(character) >= NORMALIZED:
        return character
    parts = unicodedata.normalize("NFD", character) if plain else character
    kept = [c.lower() if plain else c for c in parts if not plain or unicodedata.category(c) != "Mn"]
    return "".join(f" {c} " if c in string.punctuation or unicodedata.category(c)[0] == "P" else c for c in kept)


def _pieces(word: str, rest: str, index: Mapping[str, int]) -> list[str]:
    """Return the longest pieces of a word from its start on; the word, which is unknown, where there are none."""
    pieces: list[str] = []
    start = 0
    while start < len(word) <= LONGEST_WORD:
        prefix = rest if start else ""
        end = next((end for end in range(len(word), start, -1) if prefix + word[start:end] in index), None)
        if end is None:
            return [word]
        pieces.append(prefix + word[start:end])
        start = end
    return pieces or [word]


def tensor_of(text: str, recipe: TextPreprocessing, vocabulary: Sequence[str], length: int) -> np.ndarray:
    """Return the ids int32 (length,) that a recipe makes of a text.

    Example:
        >>> tensor_of("Good film", TextPreprocessing(lowercase=True), ("", "[UNK]", "film"), 4).tolist()
        [1, 2, 0, 0]
        >>> recipe = TextPreprocessing(True, "bert", pieces="##", start=3, end=4)
        >>> tensor_of("Films!", recipe, ("", "[UNK]", "film", "[CLS]", "[SEP]", "##s"), 6).tolist()
        [3, 2, 5, 1, 4, 0]
    """
    index = {word: i for i, word in enumerate(vocabulary)}
    first, last = _ends(recipe)
    ids = [index.get(token, recipe.unknown) for token in tokens_of(text, recipe, index)]
    ids = [*first, *ids[: length - len(first) - len(last)], *last]
    return np.array(ids + [recipe.fill] * (length - len(ids)), np.int32)


def _ends(recipe: TextPreprocessing) -> tuple[list[int], list[int]]:
    return [recipe.start][: recipe.start is not None], [recipe.end][: recipe.end is not None]


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
        changes = sum(value != AS_STATED[name] for name, value in stages.items())
        found.append((1 - equal / size, changes, len(found), stages))
    residual, _, _, best = min(found, key=lambda item: item[:3])
    similar: dict[str, dict[str, None]] = {}
    for stages in (stages for other, _, _, stages in found if other == residual):
        for name in (name for name, value in stages.items() if value != best[name]):
            similar.setdefault(name, {})[str(stages[name])] = None
    return best, {name: tuple(values) for name, values in similar.items()}, residual


AS_STATED: Stages = {
    **{"letters": "as stated", "text": "as it is", "split": "as stated", "special tokens": "as stated"},
    **{"ids": "as stated", "unknown token": "as stated", "padding": PADDINGS[0], "padded with": "as stated"},
    **{"cut off": TRUNCATIONS[0], "length": "as stated"},
}


def _hypotheses(
    text: str, recipe: TextPreprocessing, vocabulary: Sequence[str], length: int, fed: np.ndarray
) -> Iterator[tuple[Stages, list[int]]]:
    index, size = {word: i for i, word in enumerate(vocabulary)}, len(fed)
    present = {*fed.astype(np.int64).tolist()}
    ends: dict[str, tuple[list[int], list[int]]] = {"as stated": _ends(recipe)}
    if any(ends["as stated"]):
        ends["none"] = ([], [])
    for pair in SPECIAL:
        if {*pair} <= index.keys() and (found := ([index[pair[0]]], [index[pair[1]]])) != ends["as stated"]:
            ends[" and ".join(pair)] = found
    cuts = TRUNCATIONS[: 3 if any(ends["as stated"]) else 2]
    values = sorted({recipe.fill, 0, 1, *map(int, fed[:1]), *map(int, fed[-1:])} & (present | {recipe.fill}))
    splits = ("as stated", *([WHOLE_WORDS] if recipe.pieces else []), *SPLITS)
    for case, form, split in itertools.product(CASES, FORMS, splits):
        content = CASES[case](FORMS[form](text))
        if split in ("as stated", WHOLE_WORDS):
            stated = recipe if case == "as stated" else replace(recipe, lowercase=False)
            tokens = tokens_of(content, stated if split == "as stated" else replace(stated, pieces=""), index)
        elif case == "as stated":
            continue
        else:
            tokens = SPLITS[split](content)
            tokens = [p for t in tokens for p in (_pieces(t, recipe.pieces, index) if recipe.pieces else [t])]
        for special, unknown, cut in itertools.product(ends, ("as stated", "left out"), cuts):
            ids = [index.get(t, recipe.unknown) for t in tokens if unknown == "as stated" or t in index]
            first, last = ends[special]
            available = max(0, size - len(first) - len(last))
            if cut == TRUNCATIONS[0] or len(ids) <= available:
                ids = [*first, *ids[:available], *last]
            else:
                ids = [*first, *(ids if cut == TRUNCATIONS[2] else ids[len(ids) - available :]), *last]
            for shift, side, fill in itertools.product((0, 1, -1), PADDINGS, values):
                kept = [i + shift for i in ids[:size]]
                rest = [fill] * (size - len(kept))
                stages = {
                    "letters": case,
                    "text": form,
                    "split": split,
                    "special tokens": special,
                    "ids": "as stated" if not shift else f"{shift:+d}",
                    "unknown token": unknown,
                    "padding": side,
                    "padded with": "as stated" if fill == recipe.fill else str(fill),
                    "cut off": cut,
                    "length": "as stated" if size == length else f"{size} ids",
                }
                yield stages, kept + rest if side == PADDINGS[0] else rest + kept
