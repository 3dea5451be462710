"""Figures of results: bars, or lines over a growing quantity."""

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.benchmark import NEVER

LOG_RATIO = 20  # ratio of the largest to the smallest value from which the axis is logarithmic
OURS, PEER = "C0", "C7"


def draw(result: Mapping[str, Any]) -> Figure:
    """Plot one benchmark of results.json: its values, and each additional number that has a target."""
    ran = {name: score for name, score in result["contenders"].items() if score["median"] is not None}
    kinds = list(dict.fromkeys(["", *(goal.get("of", "") for goal in result["goals"])]))
    growth = result.get("growth", "")
    height = 3.6 if growth else 1.4 + 0.34 * max(len(ran), 1)
    figure = Figure(figsize=(5.5 * len(kinds) + (0 if growth else 3), height), layout="constrained")
    for axes, kind in zip(figure.subplots(1, len(kinds), squeeze=False)[0], kinds, strict=True):
        values = {name: _value(score, kind) for name, score in ran.items() if _value(score, kind) is not None}
        if growth:
            _lines(axes, values, {name: ran[name]["beside"]["size"] for name in values}, growth)
        else:
            _bars(axes, values, {} if kind else ran, {goal["ours"] for goal in result["goals"]})
        better = "higher" if result["higher_is_better"] and not kind else "lower"
        name = f"{kind or result['unit']} ({better} is better)"
        (axes.set_ylabel if growth else axes.set_xlabel)(name, fontsize=9)
    machine = result["machine"]
    subtitle = f"{machine['cores']} cores of {machine['processor']}, {machine['date']}"
    figure.suptitle(f"{result['title']}\n{subtitle}", fontsize=8)
    return figure


def _value(score: Mapping[str, Any], kind: str) -> float | None:
    """Return the plotted number, 0 for NEVER; None if there is none."""
    value = score["beside"].get(kind) if kind else score["median"]
    return 0 if value == NEVER else value if isinstance(value, int | float) else None


def _bars(axes: Axes, medians: Mapping[str, float], spread: Mapping[str, Any], ours: set[str]) -> None:
    """Plot each candidate, ours in another colour, with a line from its smallest to its largest value."""
    names, values = list(medians), list(medians.values())
    colours = [OURS if name in ours else PEER for name in names]
    logarithmic = bool(values) and max(values) > LOG_RATIO * min(values) > 0
    if logarithmic:  # points: a bar would begin at an arbitrary number
        axes.scatter(values, names, color=colours, s=36, zorder=3)
        axes.grid(axis="x", alpha=0.3)
        axes.set_xscale("log")
    else:
        axes.barh(names, values, color=colours)
    for position, name in enumerate(names):
        rounds = [v for v in spread[name]["values"] if v != NEVER] if name in spread else []
        if len(rounds) > 1:
            axes.plot([min(rounds), max(rounds)], [position, position], color="black", linewidth=1, zorder=4)
        label = f"{values[position]:,.4g}" if values[position] else "not reached"
        right = max([values[position], *rounds])
        axes.annotate(label, (right, position), xytext=(7, 0), textcoords="offset points", va="center", fontsize=8)
    axes.margins(x=0.25, y=0.25 if logarithmic else None)
    axes.invert_yaxis()
    axes.tick_params(labelsize=8)


def _lines(axes: Axes, medians: Mapping[str, float], sizes: Mapping[str, float], label: str) -> None:
    """Plot a line for each series: candidates have names `SERIES, SIZE`."""
    series: dict[str, list[tuple[float, float]]] = {}
    for name, value in medians.items():
        series.setdefault(name.rpartition(", ")[0], []).append((sizes[name], value))
    for name, points in series.items():
        axes.plot(*zip(*sorted(points), strict=True), marker="o", label=name)
    axes.set(xlabel=label, xscale="log", yscale="log")
    axes.grid(alpha=0.3, which="both")
    axes.legend(fontsize=8)
