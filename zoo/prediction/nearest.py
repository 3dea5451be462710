"""The texts of a file that are nearest to a text, by the vectors of a sentence encoder."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.sources import storage
from zoo.prediction.predictor import Predictor
from zoo.prediction.table_files import is_table
from zoobase.errors import MissingError, UsageError

BATCH = 32


def nearest(
    opened: Predictor, inputs: Sequence[str], file: str | Path, top_k: int
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield each text with its `top_k` nearest of a file: {"input", "rank", "text", "similarity"}."""
    # A .csv or .tsv with the column `text`, or a text a line. For many texts a library such as FAISS keeps an index.
    outputs = [tensor.name for tensor in opened.contract["serving_default"].outputs]
    if opened.task.accepts != "texts" or outputs != ["embedding"]:
        raise MissingError(
            f"{opened.source} does not return one vector for each text: --nearest is for models such as minilm"
        )
    texts = _texts(Path(file))
    vectors = _vectors(opened, texts)
    for text, vector in zip(inputs, _vectors(opened, inputs), strict=True):
        cosines = vectors @ vector
        best = np.argsort(-cosines, kind="stable")[:top_k]
        yield (
            text,
            [
                {"input": text, "rank": rank, "text": texts[i], "similarity": round(float(cosines[i]), 6)}
                for rank, i in enumerate(best, start=1)
            ],
        )


def _texts(path: Path) -> list[str]:
    """Return the texts of a file that are not empty, each once, in order."""
    if is_table(str(path)):
        from pipelines.text import labelled

        lines = [text for text, _ in labelled.read_table(path, ("text", "text"))]
    else:
        try:
            storage.check_size(path, storage.LARGEST_TEXT)
            lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
        except OSError as error:
            raise MissingError(f"cannot read {path}: {error.strerror}") from error
    texts = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if not texts:
        raise UsageError(f"{path} has no texts: give one a line, or a table with the column text")
    return texts


def _vectors(opened: Predictor, texts: Sequence[str]) -> np.ndarray:
    """Return the unit vectors of texts, float32 (N, D)."""
    parts = []
    for start in range(0, len(texts), BATCH):
        inputs = [opened.parse(text) for text in texts[start : start + BATCH]]
        batch = {name: np.stack([values[name] for values in inputs]) for name in inputs[0]}
        parts.append(np.asarray(opened.call("serving_default", batch)["embedding"], np.float32))
    vectors = np.concatenate(parts)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
