"""The prediction for each input, or why there is none, computed in batches."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from zoo.prediction.inputs import local_file

if TYPE_CHECKING:
    import numpy as np

    from zoo.core.task import Prediction
    from zoo.prediction.predictor import Predictor

BATCH = 32  # images
LARGEST_BATCH = 64_000_000  # bytes


def predict_each(opened: Predictor, names: Sequence[str], top_k: int) -> Iterator[tuple[str, Prediction | Exception]]:
    """Yield each input with its prediction, or with the error that names what is wrong with it, in order."""
    # The batches depend on the inputs only: the same inputs give the same bits.
    are_images = opened.task.accepts == "images"
    waiting: list[tuple[str, Mapping[str, np.ndarray] | Exception]] = []
    size = 0
    for name in names:
        try:
            with local_file(name) if are_images else contextlib.nullcontext(name) as argument:
                inputs = opened.parse(argument)
            size += sum(value.nbytes for value in inputs.values())
        except Exception as error:
            waiting.append((name, _of_input(error)))
        else:
            waiting.append((name, inputs))
        if not are_images or len(waiting) == BATCH or size > LARGEST_BATCH:  # a text may take several calls
            yield from _predict(opened, waiting, top_k)
            waiting, size = [], 0
    yield from _predict(opened, waiting, top_k)


def _predict(
    opened: Predictor, waiting: Sequence[tuple[str, Mapping[str, np.ndarray] | Exception]], top_k: int
) -> Iterator[tuple[str, Prediction | Exception]]:
    batch = [(name, value) for name, value in waiting if not isinstance(value, Exception)]
    try:
        predictions = iter(list(opened.explain(batch, top_k)) if batch else ())
    except Exception as error:
        if len(batch) > 1:
            for one in waiting:
                yield from _predict(opened, [one], top_k)
        else:
            yield batch[0][0], _of_input(error)
        return
    for name, value in waiting:
        yield name, value if isinstance(value, Exception) else next(predictions)


def _of_input(error: Exception) -> Exception:
    """Return an error that names what is wrong with an input; others are raised."""
    if getattr(error, "exit_code", None) is None:
        raise error
    return error
