"""The report of a search: the best settings as a command line, the other trials, figures."""

import functools
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from zoo.search import study as studies
from zoo.search.definition import Search
from zoobase.errors import ZooError
from zoobase.files import write_atomic

LISTED = 10  # trials in the table


def write(folder: Path, study: optuna.Study, search: Search) -> dict[str, Any]:
    """Write report.md and figures/, and return the summary of a search."""
    trials = studies.counted(study)
    if not any(trial.state == TrialState.COMPLETE for trial in trials):
        reasons = [trial.user_attrs[studies.ERROR] for trial in trials if studies.ERROR in trial.user_attrs]
        raise ZooError(f"no trial of {folder} was trained to the end{f': {reasons[-1]}' if reasons else ''}")
    best = study.best_trial
    run = studies.run_of(folder, best.user_attrs).path
    states = {state.name.lower(): sum(trial.state == state for trial in trials) for state in TrialState}
    summary = {
        "search": str(folder),
        "model": search.model,
        "trials": len(trials),
        **{name: states[name] for name in ("complete", "pruned", "fail")},
        "metric": search.metric,
        "best": {"trial": best.number, "value": best.value, "parameters": best.params, "run": str(run)},
        "default": next((trial.value for trial in trials if studies.DEFAULT in trial.user_attrs), None),
        "command": search.command(best.params),
        "report": str(folder / "report.md"),
    }
    figures = [path.relative_to(folder) for path in _figures(folder / "figures", study, search.metric)]
    sign = 1 if search.direction == "minimize" else -1
    valued = [trial for trial in studies.finished(trials) if trial.value is not None]
    ranked = sorted(valued, key=lambda trial: (trial.state == TrialState.PRUNED, sign * trial.value))
    write_atomic(folder / "report.md", _markdown(summary, ranked, figures))
    return summary


def line(trial: FrozenTrial) -> str:
    """Return the line that is printed when a trial ends."""
    if studies.ERROR in trial.user_attrs:
        result = trial.user_attrs[studies.ERROR]
    elif trial.state == TrialState.FAIL:
        result = "interrupted"
    else:
        state = "pruned after " if trial.state == TrialState.PRUNED else ""
        result = f"{trial.value:.4f}, {state}{len(trial.intermediate_values)} epochs"
    return f"trial {trial.number}: {result}; {parameters(trial.params)}"


def parameters(values: Mapping[str, Any]) -> str:
    """Return the parameters of a trial as text."""
    return ", ".join(
        f"{key}={value:.3g}" if isinstance(value, float) else f"{key}={value}" for key, value in values.items()
    )


def _markdown(summary: Mapping[str, Any], ranked: list[FrozenTrial], figures: list[Path]) -> str:
    best, default = summary["best"], summary["default"]
    counts = f"{summary['complete']} trained to the end, {summary['pruned']} pruned, {summary['fail']} failed"
    lines = [
        f"# Search for hyperparameters of {summary['model']}",
        "",
        f"{summary['trials']} trials: {counts}. Best {summary['metric']}: {best['value']:.4f} (trial {best['trial']})"
        + ("." if default is None else f"; {default:.4f} with the settings of the recipe (trial 0)."),
        "The test split was not used. Train with the best settings, evaluate on the test split, export and verify:",
        "",
        f"    {summary['command']}",
        "",
        "Or evaluate the weights of the trial on the test split:",
        "",
        f"    python -m zoo.evaluate {best['run']}",
        "",
        f"| trial | {summary['metric']} | epochs | parameters |",
        "|---:|---:|---:|---|",
    ]
    for trial in ranked[:LISTED]:
        epochs = f"{len(trial.intermediate_values)}{' (pruned)' if trial.state == TrialState.PRUNED else ''}"
        lines.append(
            f"| {trial.number} | {trial.value:.4f} | {epochs} | `{parameters(trial.params)}` |".replace("\n", " ")
        )
    lines += ["", *(f"![{path.stem.replace('_', ' ')}]({path.as_posix()})" for path in figures)]
    return "\n".join(lines) + "\n"


def _figures(folder: Path, study: optuna.Study, metric: str) -> Iterator[Path]:
    """Write the figures of Optuna that the trials allow; yield their paths."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot
    from optuna.visualization import matplotlib as plots

    folder.mkdir(exist_ok=True)
    drawn = {
        "history": functools.partial(plots.plot_optimization_history, target_name=metric),
        "curves": plots.plot_intermediate_values,
        "parallel_coordinates": functools.partial(plots.plot_parallel_coordinate, target_name=metric),
        "importances": functools.partial(plots.plot_param_importances, target_name=metric),
    }
    for name, draw in drawn.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the functions are experimental; axes of one value
            try:
                axes = draw(study)
            except (RuntimeError, ValueError):  # no importance of parameters with fewer than two trials, or equal ones
                continue
        if name == "curves":
            axes.legend().remove()  # one entry for each trial
        path = folder / f"{name}.png"
        axes.figure.savefig(path, bbox_inches="tight")
        pyplot.close(axes.figure)
        yield path
