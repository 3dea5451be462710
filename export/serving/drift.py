"""Whether recorded requests differ from the training rows, with a bound on the rate of false alarms.

Each test has a p-value; the requests differ if the smallest one, times the number of tests (Bonferroni), is below the
rate, and the difference is not a small one. The tests allow for the training rows being a sample; as all requests are
compared with the same sample, which may be an unusual one, their rate is twice as strict (benchmarks/drift.py).
"""

import json
import os
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from export.bundle.gate import find_saved_model, read_proven
from export.bundle.loader import load
from export.contract.statistics import FILE, TAILS, Statistics, of_inputs, of_outputs, out_of_range
from export.protocol import rest
from zoobase.console import quiet_stderr
from zoobase.errors import ExportError, Unavailable
from zoobase.files import check_present

SMALL_DISTANCE = 0.1  # of two distribution functions, and a usual limit of the population stability index
BINS = 10  # of a population stability index
TAIL = 0.01  # the share of training rows in the tail
STRICTNESS = 2  # of the rate
SMALL_SHARE = 0.02  # of rows that are beyond the training rows
LEAST_ROWS = 50


@dataclass(frozen=True)
class Difference:
    """A difference between the requests and the training rows."""

    feature: str  # the feature, or input
    test: str  # "distribution", "new categories", "tail", "missing" or "range"
    p_value: float  # corrected for the number of tests
    size: float  # the distance of the distributions (Kolmogorov-Smirnov; of categories the stability index), or a share
    stability: float | None  # the population stability index, or None
    text: str  # a sentence


@dataclass(frozen=True)
class DriftReport:
    """The comparison of recorded requests with the training rows of a bundle."""

    requests: int  # how many requests were compared
    skipped: int  # how many lines are no requests that the model answers
    rows: int  # how many rows the requests have
    differences: tuple[Difference, ...]  # the significant differences, the clearest first

    @property
    def exit_code(self) -> int:
        """1 if the requests differ, else 0."""
        return int(bool(self.differences))

    def to_json(self) -> dict[str, Any]:
        """Return the form that --json prints."""
        return asdict(self) | {"drift": bool(self.differences)}


def check_drift(
    bundle: str | os.PathLike[str], requests: str | os.PathLike[str], *, rate: float = 0.01, trust: Collection[str] = ()
) -> DriftReport:
    """Compare recorded requests with the statistics of the training rows that a bundle holds.

    The requests run again in the SavedModel of the bundle, in the C++ loader of TF Serving.

    Args:
        bundle: A proven bundle, exported with `training` (`zoo` does so).
        requests: A file with a TF Serving REST body on each line.
        rate: The largest probability that requests like the training rows are reported.
        trust: Operators that may run although they are not on the list of inference operators.

    Raises:
        CheckFailed: If the bundle is damaged, its proof did not pass, or its SavedModel is not trusted.
        ExportError: If fewer than 50 rows can be compared.
        Unavailable: If there is no file of requests, no statistics in the bundle, or no C API of TensorFlow.

    Example:
        >>> report = check_drift("bundle", "requests.jsonl")  # doctest: +SKIP
        >>> report.exit_code, [difference.feature for difference in report.differences]  # doctest: +SKIP
        (1, ['image.mean'])
    """
    path = Path(requests)
    check_present(path)
    artifact = find_saved_model(read_proven(Path(bundle), "is compared"))
    file = Path(bundle) / artifact["path"] / FILE if artifact else None
    if file is None or not file.is_file():
        raise Unavailable(f"{bundle} holds no statistics of training rows; export_model(training=...) writes them")
    trained = Statistics.from_json(json.loads(file.read_text(encoding="utf-8")))
    with quiet_stderr():
        opened = load(bundle, "c_api", trust=trust)
    endpoint = opened.contract[trained.endpoint]
    dtypes = {t.name: t.dtype for t in endpoint.inputs}
    texts = {name.removesuffix(".length") for name in trained.numbers if name.endswith(".length")}
    columns: dict[str, list[np.ndarray]] = defaultdict(list)
    outside: dict[str, int] = defaultdict(int)
    count = skipped = rows = 0
    for line in filter(str.strip, path.read_text(encoding="utf-8", errors="replace").splitlines()):
        try:
            body = json.loads(line)
            if (body.get("signature_name") or "serving_default") != endpoint.name:
                raise rest.NotJson("another signature")
            inputs = rest.decode_request(body, dtypes, {t.name: t.shape for t in endpoint.inputs})
            outputs = opened[endpoint.name](**inputs)
        except Exception:  # a line may hold anything
            skipped += 1
            continue
        count, rows = count + 1, rows + len(next(iter(inputs.values())))
        features = of_inputs(endpoint.inputs, inputs, texts) | of_outputs(endpoint.outputs, outputs)
        for name, column in features.items():
            columns[name].append(column)
        for tensor in endpoint.inputs:
            outside[tensor.name] += int(out_of_range(tensor, inputs[tensor.name]).sum())
    if rows < LEAST_ROWS:
        raise ExportError(f"{path} has {rows} rows that {bundle} answers; give {LEAST_ROWS} or more")
    window = {name: np.concatenate(parts) for name, parts in columns.items()}
    found = differences(trained, window, {name: (n, rows) for name, n in outside.items()}, rate)
    return DriftReport(count, skipped, rows, tuple(found))


def differences(
    trained: Statistics, window: Mapping[str, np.ndarray], outside: Mapping[str, tuple[int, int]], rate: float
) -> list[Difference]:
    """Return the significant differences, the clearest first; `rate` is the largest rate of false alarms."""
    found = []
    for name, sample in trained.numbers.items():
        if (values := window.get(name, np.zeros(0))).size:
            present = values[np.isfinite(values)]
            found += _of_numbers(name, sample, present) if present.size else []
            count, before = len(values) - len(present), trained.missing.get(name, 0)
            text = f"{name}: {count} of {len(values)} values are missing"
            found.append(_excess(name, "missing", count, len(values), before, before + len(sample), text))
    for name, counts in trained.categories.items():
        if (values := window.get(name, np.zeros(0))).size:
            found += _of_categories(name, counts, values)
    for name, (count, rows) in outside.items():
        text = f"{name}: {count} of {rows} rows are outside the range of the contract"
        found.append(_excess(name, "range", count, rows, trained.outside.get(name, 0), trained.rows, text))
    tests = STRICTNESS * len(found)
    corrected = [replace(d, p_value=min(1.0, tests * d.p_value)) for d in found]
    least = {"distribution": SMALL_DISTANCE}
    significant = [d for d in corrected if d.p_value <= rate and d.size >= least.get(d.test, SMALL_SHARE)]
    return sorted(significant, key=lambda d: d.p_value)


def _of_numbers(name: str, sample: np.ndarray, values: np.ndarray) -> list[Difference]:
    test = stats.ks_2samp(sample, values, method="asymp")
    edges = np.unique(np.quantile(sample, np.linspace(0, 1, BINS + 1)[1:-1]))
    shares = (np.bincount(np.searchsorted(edges, v, "right"), minlength=len(edges) + 1) for v in (sample, values))
    index = stability(*shares)
    text = f"{name}: distributed other than in training (distance {test.statistic:.2f}, stability index {index:.2f})"
    found = [Difference(name, "distribution", float(test.pvalue), float(test.statistic), index, text)]
    if name.endswith(TAILS):
        rank = max(1, int(TAIL * len(sample)))
        count = int((values < sample[rank - 1]).sum())
        what = "unlike the training inputs" if name.endswith(".energy") else "blank, or almost"
        text = f"{name}: {count} of {len(values)} rows are {what} (less than the lowest {rank / len(sample):.0%})"
        found.append(_excess(name, "tail", count, len(values), rank - 1, len(sample), text))
    return found


def _of_categories(name: str, counts: Mapping[str, int], values: np.ndarray) -> list[Difference]:
    names = list(counts)
    seen = {value: int((values == value).sum()) for value in names}
    new = len(values) - sum(seen.values())
    table = np.array([[*counts.values()], [*seen.values()]], float)
    rare = table[0] < 5 * (1 + table[0].sum() / max(1.0, table[1].sum()))  # expected less than 5 in the window
    pooled = np.column_stack([table[:, ~rare], table[:, rare].sum(1)]) if rare.any() else table
    pooled = pooled[:, pooled.sum(0) > 0]
    p_value = 1.0
    if pooled.shape[1] > 1 and pooled[1].sum():
        p_value = float(stats.chi2_contingency(pooled).pvalue)
    index = stability(*pooled) if pooled[1].sum() else 0.0
    text = f"{name}: other shares of the categories than in training (stability index {index:.2f})"
    singles = sum(count == 1 for count in counts.values())  # about as many unseen as seen once (Good 1953)
    others = [str(value) for value in dict.fromkeys(values.tolist()) if value not in seen][:3]
    listed = f" ({', '.join(others)})" if others else ""
    beyond = f"{name}: {new} of {len(values)} rows have categories that the training did not have{listed}"
    return [
        Difference(name, "distribution", p_value, index, index, text),
        _excess(name, "new categories", new, len(values), singles, sum(counts.values()), beyond),
    ]


def _excess(name: str, test: str, count: int, rows: int, before: int, of: int, text: str) -> Difference:
    """Return the test of a share that was `before` of `of` in training."""
    # How many of `rows` more rows are below the order statistic of rank `before` + 1 of `of` rows is beta-binomial.
    p_value = float(stats.betabinom.sf(count - 1, rows, before + 1, max(1, of - before)))
    return Difference(name, test, p_value, count / max(1, rows), None, text)


def stability(expected: np.ndarray, actual: np.ndarray) -> float:
    """Return the population stability index of two histograms."""
    shares = [(counts + 0.5) / (counts.sum() + 0.5 * len(counts)) for counts in (expected, actual)]
    return float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum())
