"""What a proof reached: share of table rows, of vocabulary, of units and of branches, over all golden cases."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from export.contract import Contract
from export.parity.cases import GoldenCase
from export.parity.noise_floor import Policy
from export.proof.observer import Observer
from export.proof.table_search import TableSearch

MAX_NAMES = 5  # of layers in one sentence


class Coverage:
    """Measures what golden inputs reach in the live model: all calls inside `observer.observing(contract)`."""

    def __init__(self, model: Any, policy: Policy | None = None) -> None:
        self.policy = policy or Policy()
        self.observer = Observer(model)
        self.tables = TableSearch(model, self.observer, self.policy)

    def search(self, contract: Contract, cases: Mapping[str, Sequence[GoldenCase]]) -> dict[str, list[GoldenCase]]:
        """Return additional cases by endpoint that read what the given ones did not; see `TableSearch`."""
        return self.tables.cases_for(contract, cases)

    def summary(self) -> dict[str, Any]:
        """Return the JSON form for the certificate."""
        tables, vocabulary, units = self._tables(), self._vocabulary(), self._units()
        traced, called = self.observer.traced, self.observer.called
        not_taken = sorted(self.observer.name(key) for key in traced - self.observer.opaque - called)
        branches = {"layers": len(traced - self.observer.opaque | called), "not_taken": not_taken}
        unreached = [
            *_unread(tables, "rows", self.policy.reached),
            *_unread(vocabulary, "values", self.policy.reached),
            *_inactive(units, self.policy.active),
            *([f"the branch of {_names(not_taken)} was never taken"] if not_taken else []),
        ]
        return {
            "shallow": bool(unreached),
            "unreached": unreached,
            "tables": tables,
            "vocabulary": vocabulary,
            "units": units,
            "branches": branches,
        }

    def _tables(self) -> dict[str, dict[str, int]]:
        found = {}
        for key, rows in self.observer.rows.items():
            read, effective, alone = self.observer.read[key], self.tables.effective[key], self.tables.alone[key]
            if key in self.observer.called:
                reached = effective | (alone & read) if key in self.tables.fed else read
                figures = {"rows": rows, "read": int(reached.sum())}
                without = int((alone & read & ~effective).sum())
                found[self.observer.name(key)] = figures | ({"without_effect": without} if without else {})
        return found

    def _vocabulary(self) -> dict[str, dict[str, int]]:
        found = {}
        for key, values in self.observer.values.items():
            known = {_plain(v) for v in self.observer.layers[key].get_vocabulary(include_special_tokens=False)}
            if known:
                found[self.observer.name(key)] = {"values": len(known), "read": len(known & set(map(_plain, values)))}
        return found

    def _units(self) -> dict[str, Any]:
        counts = {self.observer.name(k): (int(a.sum()), len(a)) for k, a in self.observer.active.items()}
        low = {name: list(c) for name, c in counts.items() if c[0] < self.policy.active * c[1]}
        return {
            "all": sum(count for _, count in counts.values()),
            "active": sum(active for active, _ in counts.values()),
            "layers": low,
        }


def _unread(figures: Mapping[str, Mapping[str, int]], kind: str, share: float) -> list[str]:
    return [
        f"{f[kind] - f['read']:,} of {f[kind]:,} {kind} of {name} were not read"
        for name, f in figures.items()
        if f["read"] < share * f[kind]
    ]


def _inactive(units: Mapping[str, Any], share: float) -> list[str]:
    silent = [name for name, (active, _) in units["layers"].items() if active == 0]
    sentences = [f"no unit of {_names(silent)} was ever active (not zero, not saturated)"] if silent else []
    if units["active"] < share * units["all"]:
        sentences.append(f"{units['all'] - units['active']:,} of {units['all']:,} units were always zero or saturated")
    return sentences


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_NAMES} more layers" if len(names) > MAX_NAMES else ""
    return f"{', '.join(names[:MAX_NAMES])}{more}"


def _plain(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else np.asarray(value).item()
