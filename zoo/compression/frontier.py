"""The figure of what files cost in quality and give in size and speed."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from zoo.compression.search import Candidate


def frontier(candidates: Sequence[Candidate], chosen: Candidate, budget: float, metric: str) -> Figure:
    """Plot the drop of a metric with its 95 % interval against size and latency of each file, and the best of them."""
    figure = Figure(figsize=(13, 6), layout="constrained")
    measured = [c for c in candidates if c.drop is not None and c.problem is None and c.ms is not None]
    cells = figure.subplots(1, 2, sharey=True)
    for axes, values, label in (
        (cells[0], [c.gzip / 1e3 for c in measured], "kB after gzip"),
        (cells[1], [c.ms for c in measured], "ms a call, batch size 1"),
    ):
        best = np.inf
        frontier = []
        for i in sorted(range(len(measured)), key=lambda i: (values[i], measured[i].drop["drop"])):
            if measured[i].drop["drop"] < best:
                best = measured[i].drop["drop"]
                frontier.append(i)
        axes.step([values[i] for i in frontier], [measured[i].drop["drop"] for i in frontier], "k:", where="post")
        for x, c in zip(values, measured, strict=True):
            interval = [[c.drop["drop"] - c.drop["low"]], [c.drop["high"] - c.drop["drop"]]]
            color = "tab:green" if c.is_within(budget) else "tab:red"
            marker, size = ("*", 16) if c == chosen else ("o", 6)
            axes.errorbar([x], [c.drop["drop"]], yerr=interval, marker=marker, markersize=size, color=color, capsize=3)
            axes.annotate(c.label, (x, c.drop["drop"]), (4, 5), textcoords="offset points", fontsize=7, rotation=40)
        axes.axhline(budget, color="grey", linestyle="--", linewidth=1)
        axes.set(xscale="log", xlabel=label)
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.grid(alpha=0.3)
    cells[0].set(ylabel=f"drop of {metric.replace('_', ' ')}, validation examples, 95 % interval")
    handles = [Patch(color=color) for color in ("tab:green", "tab:red")]
    cells[1].legend(handles, ["whole interval within the budget", "not"], fontsize=8)
    return figure
