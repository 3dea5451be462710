"""A work's results as a picture: bars, or lines where something grows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.benchmark import NEVER

WIDE = 20  # how many times the least the largest may be before bars are drawn on a logarithmic axis
OURS, PEER = "C0", "C7"


def draw(result: Mapping[str, Any]) -> Figure:
    """Draw one work of results.json: its values, and each other number that one of its goals is of."""
    ran = {name: score for name, score in result["contenders"].items() if score["median"] is not None}
    kinds = list(dict.fromkeys(["", *(goal.get("of", "") for goal in result["goals"])]))
    growth = result.get("growth", "")
    height = 3.6 if growth else 1.1 + 0.34 * max(len(ran), 1)
    figure = Figure(figsize=(5.5 * len(kinds) + (0 if growth else 3), height), layout="constrained")
    for axes, kind in zip(figure.subplots(1, len(kinds), squeeze=False)[0], kinds, strict=True):
        found = {name: _figure(score, kind) for name, score in ran.items() if _figure(score, kind) is not None}
        if growth:
            _lines(axes, found, {name: ran[name]["beside"]["size"] for name in found}, growth)
        else:
            _bars(axes, found, {} if kind else ran, {goal["ours"] for goal in result["goals"]})
        better = "higher" if result["higher_is_better"] and not kind else "lower"
        axes.set_title(f"{kind or result['unit']} ({better} is better)", fontsize=9)
    here = result["machine"]
    figure.suptitle(f"{result['title']}\n{here['cores']} cores of {here['processor']}, {here['date']}", fontsize=8)
    return figure


def _figure(score: Mapping[str, Any], kind: str) -> float | None:
    """Return the number that is drawn, 0 for NEVER; None if there is none."""
    found = score["beside"].get(kind) if kind else score["median"]
    return 0 if found == NEVER else found if isinstance(found, int | float) else None


def _bars(axes: Axes, found: Mapping[str, float], spread: Mapping[str, Any], ours: set[str]) -> None:
    """Draw a bar for each contender, ours in another colour, with a line from its least to its largest value."""
    names, values = list(found), list(found.values())
    axes.barh(names, values, color=[OURS if name in ours else PEER for name in names])
    for place, name in enumerate(names):
        rounds = [v for v in spread[name]["values"] if v != NEVER] if name in spread else []
        if len(rounds) > 1:
            axes.plot([min(rounds), max(rounds)], [place, place], color="black", linewidth=1)
        label = f" {values[place]:,.4g}" if values[place] else f" {NEVER}"
        axes.annotate(label, (values[place], place), va="center", fontsize=8)
    if values and max(values) > WIDE * min(values) > 0:
        axes.set_xscale("log")
    axes.margins(x=0.2)
    axes.invert_yaxis()
    axes.tick_params(labelsize=8)


def _lines(axes: Axes, found: Mapping[str, float], sizes: Mapping[str, float], label: str) -> None:
    """Draw a line for each series: contenders are called `SERIES, SIZE`."""
    series: dict[str, list[tuple[float, float]]] = {}
    for name, value in found.items():
        series.setdefault(name.rpartition(", ")[0], []).append((sizes[name], value))
    for name, points in series.items():
        axes.plot(*zip(*sorted(points), strict=True), marker="o", label=name)
    axes.set(xlabel=label, xscale="log", yscale="log")
    axes.grid(alpha=0.3, which="both")
    axes.legend(fontsize=8)
