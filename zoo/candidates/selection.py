"""Which candidate is exported: the cheapest of those that are not worse than the best on validation."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from export.parity.intervals import jackknife
from pipelines.dataset import Dataset, Info
from zoo.candidates import linear
from zoo.core.capabilities import Classifies, HasCandidates, HasLosses, Regresses
from zoo.core.plan import MEAN, NETWORK, Plan
from zoo.core.recipe import split
from zoo.core.run_folder import CANDIDATES, RunFolder
from zoo.core.task import BaseTask, SplitEvaluation
from zoo.evaluation import intervals, outputs
from zoobase.console import Console
from zoobase.errors import UsageError, unknown

CONSTANT = "constant"  # for comparison only: nothing can be proven of a file whose answer is always the same
GROUPS = ("all", "fast")  # of candidates: with the network, and without it
MOST = 2000  # training examples to which every evaluation fits its baselines; `Candidate.fast` ones to any number


def names_of(plan: Plan, info: Info) -> list[str]:
    """Return the names of the candidates of a plan, the cheapest first; UsageError for an unknown one."""
    ladder = [*plan.task.candidates(info), NETWORK]
    if ladder == [NETWORK]:
        raise UsageError(f"{plan.model} has no other candidates for {info.name}: omit --candidates")
    wanted = set(split(plan.candidates))
    for name in wanted - {*GROUPS, *ladder}:
        raise unknown("candidate", name, [*GROUPS, *ladder])
    wanted |= set(ladder) if "all" in wanted else set(ladder[:-1]) if "fast" in wanted else set()
    if wanted == {CONSTANT}:
        raise UsageError("the candidate constant is for comparison only: name another one as well")
    return [name for name in ladder if name in wanted]


def title_of(plan: Plan, info: Info) -> str:
    """Return what the model of a plan is: the title of the candidate, or of both of which it is the mean."""
    titles = {name: candidate.title for name, candidate in plan.task.candidates(info).items()} | {NETWORK: plan.title}
    first, *second = [titles[name] for name in (plan.selected or NETWORK).split(MEAN)]
    return f"mean of {first} and {second[0]}" if second else first


def plan_of(plan: Plan, name: str, info: Info) -> Plan:
    """Return the plan of a candidate alone; that of the named model for `NETWORK`."""
    plan = dataclasses.replace(plan, candidates="", selected="" if name == NETWORK else name)
    if name == NETWORK or not (own := plan.task.candidates(info)[name].task):
        return plan
    before = {field: getattr(plan.task, field) for field in own}
    return dataclasses.replace(plan, task=dataclasses.replace(plan.task, **own), replaced=before)


def dataset_of(plan: Plan, dataset: Dataset) -> Dataset:
    """Return a dataset as a plan needs it: prepared again where the task is another one."""
    return plan.prepare(dataset) if plan.replaced else dataset


def fitted(plan: Plan, dataset: Dataset) -> keras.Model:
    """Return the model of the selected candidate of a plan, fitted to a dataset that was prepared for it."""
    keras.utils.set_random_seed(plan.seed)
    model = plan.build(dataset.info)
    plan.task.candidates(dataset.info)[plan.selected].fit(model, plan, dataset)
    return model


@dataclass(frozen=True, eq=False)
class Trial:
    """A candidate on validation."""

    name: str
    title: str
    seconds: float
    metric: str  # the first one of the task
    value: float
    interval: Sequence[float] | None  # of 95 %
    losses: np.ndarray  # (N,): cross-entropies in nats, absolute errors, or `HasLosses.losses`
    groups: np.ndarray | None = None  # of the examples, (N,)

    def to_json(self) -> dict[str, Any]:
        """Return what `candidates.json` holds of it."""
        own = {key: getattr(self, key) for key in ("name", "title", "metric", "value", "interval", "seconds")}
        return own | {"loss": float(self.losses.mean())}


def trial(name: str, title: str, seconds: float, task: BaseTask, evaluation: SplitEvaluation) -> Trial:
    """Return what the outputs of a candidate for the validation split are worth."""
    metrics = task.metrics(evaluation.outputs, evaluation.truth, evaluation.info)
    measured = intervals.with_intervals(task, evaluation).metrics.get("intervals", {})
    metric = next(iter(metrics))
    interval = measured.get(metric)
    return Trial(name, title, seconds, metric, metrics[metric], interval, _losses(task, evaluation), evaluation.groups)


def _losses(task: BaseTask, evaluation: SplitEvaluation) -> np.ndarray:
    outputs, truth = evaluation.outputs, evaluation.truth
    if isinstance(task, HasLosses):
        return task.losses(outputs, truth)
    if isinstance(task, Classifies) and (probabilities := task.probabilities(outputs)) is not None:
        return linear.cross_entropy(np.log(np.maximum(probabilities, 1e-300)), truth.astype(int))
    if isinstance(task, Regresses) and (residuals := task.residuals(outputs, truth)) is not None:
        return np.abs(residuals).reshape(len(truth), -1).mean(axis=1)
    raise TypeError(f"{task.title}: neither classes nor numbers")


def select(trials: Sequence[Trial], blocks: bool = False, errors: float = 1.0) -> tuple[int, str]:
    """Return the place of the candidate to export, of some from the cheapest on, and one sentence that says why.

    The one-standard-error rule (Breiman, Friedman, Olshen, Stone 1984): the cheapest candidate whose mean loss is at
    most one standard error, or `errors`, of the paired difference above the lowest. `blocks`: neighbours depend on
    each other.
    """
    choices = [one for one in trials if one.name != CONSTANT]
    best = min(choices, key=lambda one: one.losses.mean())

    def is_close(one: Trial, other: Trial) -> bool:
        difference = one.losses - other.losses
        sample = {"groups": one.groups, "blocks": blocks}
        return bool(
            difference.mean()
            <= errors * float(jackknife(lambda kept: difference[kept].mean(), len(difference), **sample).error)
        )

    chosen = next(one for one in choices if one is best or is_close(one, best))
    if not errors:
        why = f"{chosen.title} has the lowest loss"
    elif chosen is not best:
        why = f"no candidate is better than {chosen.title} by more than a standard error: the cheapest of the best"
    elif chosen is choices[0]:
        why = f"no candidate is better than {chosen.title}, the cheapest"
    else:
        why = f"{chosen.title} is better than every cheaper candidate by more than a standard error"
    for one in trials:
        if one.name == CONSTANT and is_close(one, chosen):
            why += f"; it is not better than {one.title}, which has no file: what the inputs tell is in doubt"
    return trials.index(chosen), f"selected on {len(chosen.losses):,} validation examples: {why}"


def write(trials: Sequence[Trial], folder: RunFolder, console: Console, **options: Any) -> int:
    """Return the place that `select` does, and write and print it, with the candidates."""
    selected, why = select(trials, **options)
    columns = ["candidate", trials[0].metric, "95 % interval", "mean loss", "seconds", ""]
    console.table(f"candidates on {len(trials[0].losses):,} validation examples", columns, _rows(trials, selected))
    console.print(why)
    name = trials[selected].name
    folder.write(CANDIDATES, {"selected": name, "why": why, "candidates": [one.to_json() for one in trials]})
    return selected


def _rows(trials: Sequence[Trial], selected: int) -> list[tuple[str, ...]]:
    shown = []
    for i, one in enumerate(trials):
        ends = "" if one.interval is None else "{:.4f} to {:.4f}".format(*one.interval)
        numbers = (f"{one.value:.4f}", ends, f"{one.losses.mean():.4f}", f"{one.seconds:.1f}")
        shown.append((f"{one.name}: {one.title}", *numbers, "selected" if i == selected else ""))
    return shown


def baselines(plan: Plan, dataset: Dataset, split: str) -> dict[str, Mapping[str, np.ndarray]]:
    """Return the outputs of the candidates of a task for a split, by their titles, without the plan's own one."""
    if not isinstance(plan.task, HasCandidates):
        return {}
    found = {}
    for name, candidate in plan.task.candidates(dataset.info).items():
        if name != plan.selected and (candidate.fast or dataset.info.counts["train"] <= MOST):
            one = plan_of(plan, name, dataset.info)
            data = dataset_of(one, dataset)
            found[candidate.title] = outputs.of_split(one, fitted(one, data), data, split).outputs
    return found


def better(plan: Plan, metrics: Mapping[str, Any], info: Info) -> list[str]:
    """Return a sentence for each baseline that is better, with the command that trains and exports it."""
    gains, sentences = metrics.get("gains", {}), []
    for name, candidate in plan.task.candidates(info).items() if isinstance(plan.task, HasCandidates) else ():
        if gains.get(candidate.title, {}).get("verdict") == intervals.WORSE:
            command = dataclasses.replace(plan, candidates=name).command()
            sentences.append(f"{candidate.title} is better on these examples: {command} trains and exports it")
    return sentences
