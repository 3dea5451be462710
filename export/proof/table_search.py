"""Draw golden inputs until every row of every table was read where it changes an output.

A row that is read need not change an output: a recurrent network may forget it, a maximum may pass it over. The
gradient of the outputs tells which rows had an effect. The others are drawn again, fewer in one golden row, and at last
alone.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from export.contract import Contract, Endpoint, Tensor
from export.contract.sampling import WORDS, fill, sample_values, shape_of
from export.parity.cases import GoldenCase
from export.parity.noise_floor import Policy
from export.proof.observer import Observer

NAME, LONGEST = "every_value", "longest"  # of the cases
CASE_ROWS = 256
TAPED_ROWS = 32  # that run at once: a gradient needs the values of every layer, and attention the square of the length
WIDTHS = (None, 8, 1)  # different values in a row: as many as it holds, then fewer
MAX_CHOICES = 50_000  # ids of a larger table are not all drawn
EFFECT = 1e-3  # smallest change of an output that counts, in units of the row: above the largest tolerance
MAX_LENGTH = 1024  # of a row that is drawn to reach every position of a table of positions


@dataclasses.dataclass
class _Values:
    """The values of one input that can be listed."""

    tensor: Tensor
    choices: np.ndarray  # all values, as numbers
    tables: list[int]  # tables whose ids depend on the input
    drawn: np.ndarray  # choices that some case holds
    # choices that were the only one of a row: more cannot be done
    alone: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, np.int64))

    def width(self, limit: int | None) -> int:
        """Return how many different choices one row is given."""
        return min(limit or capacity_of(self.tensor), capacity_of(self.tensor))


class TableSearch:
    """Which rows of the tables of a model were read with an effect, boolean (rows,) by table layer."""

    def __init__(self, model: Any, observer: Observer, policy: Policy) -> None:
        self.observer, self.policy = observer, policy
        self.effective = {key: np.zeros(count, bool) for key, count in observer.rows.items()}  # an output depends on it
        self.alone = {key: np.zeros(count, bool) for key, count in observer.rows.items()}  # the only value of a row
        self.fed: set[int] = set()  # tables whose ids depend on an input whose values can be listed
        tables = sum(int(np.prod(w.shape)) for key in observer.rows for w in observer.layers[key].weights)
        self.weights = max(1, model.count_params() - tables)

    def cases_for(self, contract: Contract, cases: Mapping[str, Sequence[GoldenCase]]) -> dict[str, list[GoldenCase]]:
        """Return additional cases by endpoint: each value that no case had with an effect, many in one row."""
        more = {}
        for endpoint in contract.endpoints:
            if any(choices_of(tensor) is not None for tensor in endpoint.inputs):
                more[endpoint.name] = list(self._search(endpoint, cases[endpoint.name]))
        return more

    def budget(self, endpoint: Endpoint) -> int:
        """Return how many rows may be drawn: `policy.extra_rows`, or those of `policy.extra_work` multiplications."""
        positions = max(capacity_of(t) for t in endpoint.inputs if choices_of(t) is not None)
        return int(min(self.policy.extra_rows, self.policy.extra_work // (self.weights * positions)))

    def _search(self, endpoint: Endpoint, cases: Sequence[GoldenCase]) -> Iterator[GoldenCase]:
        ordinary = [case for case in cases if case.compared and not case.chain and not case.may_raise]
        for case in ordinary:
            if not all(rows.all() for rows in self.effective.values()):
                self._run(endpoint, case.inputs)
        listed = [
            self._values(endpoint, tensor, ordinary) for tensor in endpoint.inputs if choices_of(tensor) is not None
        ]
        rng, left, size = np.random.default_rng(len(endpoint.name)), self.budget(endpoint), endpoint.batch or 1
        number = 0
        for limit in WIDTHS:
            queues = {v.tensor.name: rng.permutation(self._remaining(v)) for v in listed}
            needed = max(-(-len(queues[v.tensor.name]) // v.width(limit)) for v in listed)
            rows = min(-(-needed // size), left // size) * size
            left -= rows
            step = max(size, CASE_ROWS // size * size)
            for start in range(0, rows, step):
                count = min(step, rows - start)
                inputs = {t.name: sample_values(t, count, rng) for t in endpoint.inputs}
                for values in (v for v in listed if len(queues[v.tensor.name])):
                    queue, width = queues[values.tensor.name], values.width(limit)  # after its end it begins again
                    part = queue[np.arange(start * width, (start + count) * width).reshape(count, width) % len(queue)]
                    inputs[values.tensor.name] = packed_values(values.tensor, part)
                    self._note(values, part)
                if self._run(endpoint, inputs):
                    number += 1
                    yield GoldenCase(f"{NAME}_{number}", inputs)
        if (longest := self._longest(endpoint, rng)) is not None and self._run(endpoint, longest.inputs):
            yield longest

    def _values(self, endpoint: Endpoint, tensor: Tensor, cases: Sequence[GoldenCase]) -> _Values:
        drawn = [drawn_choices(tensor, case.inputs[tensor.name]) for case in cases]
        tables = self._tables_of(endpoint, tensor, cases)
        self.fed |= set(tables)
        return _Values(tensor, choices_of(tensor), tables, np.unique(np.concatenate([*drawn, np.zeros(0, np.int64)])))

    def _tables_of(self, endpoint: Endpoint, tensor: Tensor, cases: Sequence[GoldenCase]) -> list[int]:
        """Return the tables that receive other ids when only this input changes."""
        case = next((case for case in cases if len(case.inputs[tensor.name]) > 1), None)
        if case is None:
            return []
        value = case.inputs[tensor.name]
        other = np.roll(value, 1, axis=0)
        received = [self._ids(endpoint, case.inputs | {tensor.name: v}) for v in (value, other)]
        return [key for key, ids in received[0].items() if not np.array_equal(ids, received[1].get(key))]

    def _ids(self, endpoint: Endpoint, inputs: Mapping[str, np.ndarray]) -> dict[int, np.ndarray]:
        received: dict[int, list[np.ndarray]] = {}
        self.observer.on_table = lambda key, ids, output: received.setdefault(key, []).append(ids)
        try:
            for batch in _batches(endpoint, inputs):
                endpoint.call(_tensors(endpoint, batch))
        except Exception:  # the reference itself reports what it raises
            return {}
        finally:
            self.observer.on_table = None
        return {key: np.concatenate(ids) for key, ids in received.items()}

    def _remaining(self, values: _Values) -> np.ndarray:
        """Return the choices that no case had with an effect, or of which that is not known and no case had."""
        choices, mask, is_known = values.choices, np.zeros(len(values.choices), bool), False
        for key in values.tables:
            inside = values.drawn[values.drawn < self.observer.rows[key]]
            if not len(inside) or self.observer.read[key][inside].mean() > 0.5:  # an id is the number of its choice
                is_known, in_table = True, choices < self.observer.rows[key]
                mask[in_table] |= ~self.effective[key][choices[in_table]]
        mask = mask if is_known else ~np.isin(choices, values.drawn)
        return choices[mask & ~np.isin(choices, values.alone)]

    def _note(self, values: _Values, part: np.ndarray) -> None:
        values.drawn = np.union1d(values.drawn, part)
        if part.shape[1] == 1:
            values.alone = np.union1d(values.alone, part)
            for key in values.tables:
                self.alone[key][part[part < self.observer.rows[key]]] = True

    def _longest(self, endpoint: Endpoint, rng: np.random.Generator) -> GoldenCase | None:
        """Return a case long enough to reach every row of the tables of positions, or None if it is not needed."""
        unread = [
            n for key, n in self.observer.rows.items() if key not in self.fed and not self.observer.read[key].all()
        ]
        open_ended = [t for t in endpoint.inputs if t.meaning == "token" and None in t.shape[1:]]
        length = max(unread, default=0)
        if not open_ended or not 0 < length <= MAX_LENGTH or self.weights * length > self.policy.extra_work:
            return None
        fixed = [dataclasses.replace(t, shape=(None, *(d or length for d in t.shape[1:]))) for t in endpoint.inputs]
        return GoldenCase(LONGEST, {t.name: sample_values(t, endpoint.batch or 1, rng) for t in fixed})

    def _run(self, endpoint: Endpoint, inputs: Mapping[str, np.ndarray]) -> bool:
        """Run the live model, and note which rows of its tables have an effect; return whether it did not raise."""
        try:
            for batch in _batches(endpoint, inputs):
                self._run_batch(endpoint, batch)
        except Exception:  # the reference itself reports what it raises
            return False
        return True

    def _run_batch(self, endpoint: Endpoint, inputs: Mapping[str, np.ndarray]) -> None:
        import tensorflow as tf

        looked_up: list[tuple[int, np.ndarray, Any]] = []
        with tf.GradientTape(watch_accessed_variables=False) as tape:

            def watch(key: int, ids: np.ndarray, output: Any) -> None:
                tape.watch(output)
                looked_up.append((key, ids, output))

            self.observer.on_table = watch
            try:
                outputs = endpoint.call(_tensors(endpoint, inputs))
            finally:
                self.observer.on_table = None
            reals = [tf.cast(y, tf.float32) for y in map(tf.convert_to_tensor, outputs.values()) if y.dtype.is_floating]
            rng = np.random.default_rng(0)
            signs = [rng.choice(np.float32([-1, 1]), y.shape[1:]) for y in reals]
            objective = tf.add_n([tf.reduce_sum(y * s) for y, s in zip(reals, signs, strict=True)]) if reals else None
        gradients = [None] * len(looked_up)
        if objective is not None and looked_up:
            gradients = tape.gradient(objective, [output for _, _, output in looked_up])
        scales = _row_scales(reals, len(next(iter(inputs.values()))))
        for (key, ids, output), gradient in zip(looked_up, gradients, strict=True):
            self.effective[key][ids[_has_effect(output, gradient, scales)]] = True


def _has_effect(output: Any, gradient: Any, scales: np.ndarray) -> np.ndarray:
    """Return for each looked-up vector whether the outputs depend on it; all of them if there is no gradient."""
    import tensorflow as tf

    vectors = output.numpy().astype(np.float32)
    vectors = vectors.reshape(-1, vectors.shape[-1])
    if gradient is None:
        return np.ones(len(vectors), bool)
    slopes = np.linalg.norm(tf.convert_to_tensor(gradient).numpy().astype(np.float32).reshape(vectors.shape), axis=1)
    size = float(np.sqrt(np.mean(np.sum(vectors**2, axis=1))))
    per_row = len(vectors) // len(scales) if len(vectors) % len(scales) == 0 and len(output) == len(scales) else 0
    return slopes * size >= EFFECT * (np.repeat(scales, per_row) if per_row else scales.max())


def _row_scales(outputs: Sequence[Any], rows: int) -> np.ndarray:
    """Return the largest value of each row over the outputs, at least one, (rows,)."""
    scales = np.ones(rows)
    for value in (y.numpy() for y in outputs):
        if value.ndim and len(value) == rows and value.size:
            scales = np.maximum(scales, np.abs(value.reshape(rows, -1)).max(axis=1))
    return scales


def _batches(endpoint: Endpoint, inputs: Mapping[str, np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
    rows = len(next(iter(inputs.values())))
    size = endpoint.batch or TAPED_ROWS
    for start in range(0, rows, size):
        yield {name: value[start : start + size] for name, value in inputs.items()}


def _tensors(endpoint: Endpoint, inputs: Mapping[str, np.ndarray]) -> dict[str, Any]:
    import tensorflow as tf

    return {t.name: tf.constant(inputs[t.name], t.dtype) for t in endpoint.inputs}


def choices_of(tensor: Tensor) -> np.ndarray | None:
    """Return the values that an input may hold as numbers (n,) int64, or None if they cannot be listed."""
    # They are ids of a table, or positions in a vocabulary; of a text the positions of its words.
    if tensor.meaning == "token":
        return np.arange(int(np.min(tensor.low or 0)), int(np.max(tensor.high)) + 1)[:MAX_CHOICES]
    if tensor.vocabulary is None:
        return None
    words = [i for i, value in enumerate(tensor.vocabulary) if tensor.meaning != "text" or _is_word(value)]
    return np.asarray(words[:MAX_CHOICES], np.int64)


def capacity_of(tensor: Tensor) -> int:
    """Return how many different choices one row can hold."""
    if tensor.meaning == "text":
        return WORDS
    if isinstance(tensor.high, tuple):  # each position has a table of its own
        return 1
    return int(np.prod(shape_of(tensor, 1)[1:], dtype=int))


def packed_values(tensor: Tensor, choices: np.ndarray) -> np.ndarray:
    """Return one row for each row of choices (rows, at most `capacity_of(tensor)`); its positions repeat them."""
    shape = shape_of(tensor, len(choices))
    size = int(np.prod(shape[1:], dtype=int))
    if tensor.meaning == "text":
        words = np.asarray(tensor.vocabulary, object)[choices]
        texts = [" ".join(row[i % len(row)] for i in range(WORDS)).encode() for row in words]
        return fill([text for text in texts for _ in range(size)], shape)
    positions = choices[:, np.arange(size) % choices.shape[1]].reshape(shape)
    if tensor.vocabulary is None:
        if isinstance(tensor.high, tuple):
            low = np.broadcast_to(np.asarray(tensor.low or 0), len(tensor.high)).astype(np.int64)
            positions = low + (positions - low) % (np.asarray(tensor.high).astype(np.int64) + 1 - low)
        return positions.astype(tensor.dtype)
    if tensor.dtype != "string":
        return np.asarray(tensor.vocabulary)[positions].astype(tensor.dtype)
    return fill([tensor.vocabulary[i].encode() for i in positions.ravel()], shape)


def drawn_choices(tensor: Tensor, values: np.ndarray) -> np.ndarray:
    """Return the choices that occur in values of an input; of texts none are recognised."""
    if tensor.meaning == "token":
        return np.unique(values.astype(np.int64))
    if tensor.meaning == "text":
        return np.zeros(0, np.int64)
    known = [value.encode() if isinstance(value, str) else value for value in tensor.vocabulary]
    positions = {value: i for i, value in enumerate(known)}
    return np.asarray(sorted({positions[v] for v in values.ravel().tolist() if v in positions}), np.int64)


def _is_word(value: str | int) -> bool:
    return isinstance(value, str) and bool(value.strip()) and not value.startswith("[")
