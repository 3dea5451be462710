"""Watch a served version: its inputs in windows, its errors and times beside those of the version before."""

from __future__ import annotations

import json
from collections import defaultdict, deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from export.contract import Endpoint
from export.contract.statistics import FILE, Statistics, of_inputs, of_outputs, out_of_range
from export.serving.publisher import ROLLOUT
from export.serving.rollout.state import STATE, State, read_state
from export.serving.rollout.update_check import OpenVersion, open_version
from export.serving.rollout.verbs import folder_of, rollback
from export.serving.watch.drift import differences
from export.serving.watch.log_reader import Entry, LogReader
from export.wire import rest
from export.wire.calls import in_batches
from zoobase.errors import ExportError

KINDS = ("errors", "latency", "inputs")
LEAST_ANSWERS = 200  # of each version, new ones each time, before errors and times are compared
MOST_ANSWERS = 5000  # the latest ones of each version
MORE_ERRORS = 0.01  # the least difference of the shares of errors
SLOWER = 1.5  # the least ratio of the median times


@dataclass(frozen=True)
class Limits:
    """When there is an alarm, and what follows.

    Attributes:
        window: Rows of requests that are compared with the training rows.
        rate: The largest rate of false alarms of a window.
        roll_back: The kinds of alarm, of `KINDS`, after which the version is taken back.
    """

    window: int = 500
    rate: float = 0.01
    roll_back: Collection[str] = ("errors", "latency")


@dataclass(frozen=True)
class Alarm:
    """Something that differs.

    Attributes:
        kind: Of `KINDS`.
        version: The version that is watched.
        text: What differs.
        rolled_back: The version that is stable since, or None.
    """

    kind: str
    version: int
    text: str
    rolled_back: int | None = None


@dataclass
class _Window:
    """Rows of requests to one version."""

    columns: dict[str, list[np.ndarray]] = field(default_factory=lambda: defaultdict(list))
    outside: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    rows: int = 0


class Watch:
    """Watches the canary of a base path, or without one the stable version.

    Attributes:
        windows: How many windows were compared.
        has_statistics: Whether the version that is watched has the statistics of its training inputs.
    """

    def __init__(self, base: Path, log: Path, limits: Limits | None = None, trust: Collection[str] = ()) -> None:
        self.windows, self.has_statistics = 0, False
        self._base, self._limits, self._trust = base.absolute(), limits or Limits(), trust
        if not log.is_dir():
            raise ExportError(f"there is no request log {log}; python -m export serve {base} --log {log} writes one")
        self._reader = LogReader(log)
        self._answers: dict[int, deque[Entry]] = defaultdict(lambda: deque(maxlen=MOST_ANSWERS))
        self._watched: int | None = None

    def step(self) -> list[Alarm]:
        """Read what was logged since the last call; return the alarms, after what follows from them."""
        state = read_state(self._base)
        version = state.stable if state.canary is None else state.canary
        if version != self._watched:
            self._begin(version)
        alarms: list[Alarm] = []
        for entry in self._reader.read():
            number = self._version_of(entry, state)
            if number is None:
                continue
            self._answers[number].append(entry)
            if number == version and entry.is_answered and entry.body:
                alarms += self._add(entry.body, version)
        alarms += self._compare(state, version)
        return [self._follow(alarm, state) for alarm in alarms]

    def _begin(self, version: int) -> None:
        """Watch another version."""
        self._watched, self._window = version, _Window()
        folder = folder_of(self._base, version)
        self._opened: OpenVersion = open_version(folder, self._trust)
        file = folder / FILE
        self._trained = Statistics.from_json(json.loads(file.read_text())) if file.is_file() else None
        self.has_statistics = self._trained is not None

    def _version_of(self, entry: Entry, state: State) -> int | None:
        """Return the version that answered; nginx knows the label only, which means it since the last change."""
        if entry.version is not None:
            return entry.version
        path = self._base / ROLLOUT / STATE
        if entry.label is None or not path.is_file() or entry.time < path.stat().st_mtime:
            return None
        return state.version_labels.get(entry.label)

    def _add(self, body: str, version: int) -> list[Alarm]:
        """Add the rows of a request to the window; return the alarms of a window that is full."""
        try:
            request = json.loads(body)
            endpoint = self._opened.endpoints[request.get("signature_name") or "serving_default"]
            inputs = rest.decode_request(request, {t.name: t.dtype for t in endpoint.inputs})
            outputs = in_batches(lambda part: self._opened.call(endpoint.name, part), inputs, endpoint.batch)
        except Exception:  # a body may hold anything, and another version may have answered it
            return []
        self._extend(endpoint, inputs, outputs)
        if self._window.rows < self._limits.window:
            return []
        window, self._window = self._window, _Window()
        self.windows += 1
        if self._trained is None:
            return []
        columns = {name: np.concatenate(parts) for name, parts in window.columns.items()}
        outside = {name: (count, window.rows) for name, count in window.outside.items()}
        found = differences(self._trained, columns, outside, self._limits.rate)
        return [Alarm("inputs", version, difference.text) for difference in found]

    def _extend(self, endpoint: Endpoint, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> None:
        columns = of_outputs(endpoint.outputs, outputs)
        if self._trained is not None and endpoint.name == self._trained.endpoint:
            texts = {n.removesuffix(".length") for n in self._trained.numbers if n.endswith(".length")}
            columns |= of_inputs(endpoint.inputs, inputs, texts)
        for tensor in endpoint.inputs:
            self._window.outside[tensor.name] += int(out_of_range(tensor, inputs[tensor.name]).sum())
        for name, column in columns.items():
            self._window.columns[name].append(column)
        self._window.rows += len(next(iter(inputs.values())))

    def _compare(self, state: State, version: int) -> list[Alarm]:
        """Return the alarms of errors and times beside the version before."""
        before = state.stable if state.canary is not None else (state.previous[-1] if state.previous else None)
        if before is None:
            return []
        both = [list(self._answers[number]) for number in (before, version)]
        if min(map(len, both)) < LEAST_ANSWERS:
            return []
        at_once = state.canary is not None  # then the same clients ask both
        failed = [sum(not e.is_answered and (at_once or not e.is_refused) for e in entries) for entries in both]
        alarms = []
        table = [[failed[i], len(both[i]) - failed[i]] for i in (1, 0)]
        shares = [failed[i] / len(both[i]) for i in (0, 1)]
        rate = self._limits.rate / 2  # two tests
        p_value = stats.fisher_exact(table, alternative="greater").pvalue
        if p_value <= rate and shares[1] - shares[0] >= MORE_ERRORS:
            alarms.append(Alarm("errors", version, f"errors: {shares[1]:.1%} of requests, {shares[0]:.1%} of {before}"))
        times = [np.array([entry.seconds for entry in entries if entry.is_answered]) for entries in both]
        if min(map(len, times)) >= LEAST_ANSWERS:
            ratio = float(np.median(times[1]) / max(np.median(times[0]), 1e-9))
            p_value = stats.mannwhitneyu(times[1], times[0], alternative="greater").pvalue
            if p_value <= rate and ratio >= SLOWER:
                text = f"latency: the median is {ratio:.1f} times that of version {before}"
                alarms.append(Alarm("latency", version, text))
        for number in (before, version) if at_once else (version,):
            self._answers[number].clear()  # to look at the same answers again would raise the rate of false alarms
        return alarms

    def _follow(self, alarm: Alarm, state: State) -> Alarm:
        """Take the version back, if the alarm says so and there is one to go back to."""
        if alarm.kind not in self._limits.roll_back or read_state(self._base) != state:
            return alarm
        if state.canary is None and not state.previous:
            return alarm
        return Alarm(alarm.kind, alarm.version, alarm.text, rollback(self._base).stable)


def describe(alarms: Sequence[Alarm]) -> list[str]:
    """Return a line for each alarm."""
    ends = [f"; taken back, version {a.rolled_back} is stable" if a.rolled_back is not None else "" for a in alarms]
    return [f"version {a.version}: {a.text}{end}" for a, end in zip(alarms, ends, strict=True)]
