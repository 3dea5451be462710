"""Training of all candidates of a plan, each in a run folder of its own, and the choice of one on validation."""

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.dataset import Dataset
from zoo.candidates import selection
from zoo.candidates.selection import NETWORK, Trial
from zoo.core.plan import MEAN, Plan
from zoo.core.replacements import mean_of
from zoo.core.run_folder import RunFolder
from zoo.core.weight_files import check_file, save_file
from zoo.evaluation import outputs
from zoo.training import calibration, trainer
from zoo.training.session import Session
from zoobase.errors import UsageError
from zoobase.files import write_with_checksum

RECORD = "trial.json"  # of a folder whose candidate is fitted


@dataclass(frozen=True)
class Fitted:
    """A candidate without epochs, with what `trainer.train_best` says of a training."""

    rows: list[dict[str, float]]
    best_epoch: int = 1
    stop_reason: str = ""


def train(session: Session) -> Any:
    """Train every candidate; the run folder gets the weights of the cheapest one that is not worse than the best."""
    plan, folder, info, console = session.plan, session.folder, session.info, session.console
    if session.replicas.count > 1:
        raise UsageError("--candidates is not possible on several replicas; omit it")
    if plan.selected:  # by an earlier call, which did not end
        return Fitted(folder.history())
    names, start, trials, results = selection.names_of(plan, info), time.monotonic(), [], []

    def add(inner: Session) -> None:
        result, seconds = _trained(inner)
        own = inner.folder.plan()
        evaluation = outputs.of_split(own, inner.folder.model(), inner.dataset, "validation")
        title = selection.title_of(own, inner.info)
        trials.append(selection.trial(own.selected or NETWORK, title, seconds, plan.task, evaluation))
        results.append((inner, result))

    for name in names:
        add(_session(session, name, start))
    if mean := _mean(session, trials, [inner for inner, _ in results]):
        add(mean)  # the most expensive
    i = selection.write(trials, folder, console, blocks=plan.task.sequential)
    inner, result = results[i]
    check_file(inner.folder.weights)
    write_with_checksum(folder.weights, inner.folder.weights.read_bytes())
    folder.write_history(result.rows)
    chosen = inner.folder.plan().to_json()
    folder.select(inner.info, **{key: chosen[key] for key in ("candidate", "selected", "task", "replaced")})
    return result


def _session(session: Session, name: str, start: float) -> Session:
    """Return the session of one candidate, in a run folder of its own; the network has what is left of the time."""
    plan = selection.plan_of(session.plan, name, session.info)
    if plan.recipe.minutes and name == NETWORK:
        left = max(plan.recipe.minutes - (time.monotonic() - start) / 60, 0.01)
        plan = dataclasses.replace(plan, recipe=dataclasses.replace(plan.recipe, minutes=left))
    return _inner(session, name, plan, selection.dataset_of(plan, session.dataset))


def _mean(session: Session, trials: Sequence[Trial], inner: Sequence[Session]) -> Session | None:
    """Return the session of the mean of the two best candidates; None where these have no mean."""
    choices = [i for i, one in enumerate(trials) if one.name != selection.CONSTANT]
    best = sorted(sorted(choices, key=lambda i: trials[i].losses.mean())[:2])
    plans = [inner[i].folder.plan() for i in best]
    if len(best) < 2 or plans[0].task != plans[1].task:  # of two tasks, the inputs differ
        return None
    served = plans[0].task.served(inner[best[0]].folder.model())[""]
    if len(plans[0].task.contract(served, inner[best[0]].info)["serving_default"].outputs) > 1:
        return None
    name = MEAN.join(trials[i].name for i in best)
    return _inner(session, name, dataclasses.replace(plans[1], selected=name), inner[best[1]].dataset)


def _inner(session: Session, name: str, plan: Plan, dataset: Dataset) -> Session:
    inner = dataclasses.replace(session.inner(f"candidates/{name}", plan), dataset=dataset)
    if not RunFolder.exists(inner.folder.path):
        inner.folder.save_config(plan, dataset.info, {"requested": plan.to_json()})
    return inner


def _trained(session: Session) -> tuple[Any, float]:
    """Train a candidate, or return what an earlier call did."""
    plan, folder = session.plan, session.folder
    session.console.print(f"candidate {plan.selected or NETWORK}")
    start = time.monotonic()
    if not plan.selected:
        result = trainer.train_best(session)
        calibration.calibrate_best(session)
        return result, round(sum(row["seconds"] for row in result.rows), 1)
    if not (folder.path / RECORD).is_file():
        members = {name: RunFolder(folder.path.parent / name).model() for name in plan.members}
        model = mean_of(members, plan.task, session.info) if members else selection.fitted(plan, session.dataset)
        save_file(model, folder.weights)
        folder.write(RECORD, {"epoch": 1.0, "seconds": round(time.monotonic() - start, 3)})
    row = folder.read(RECORD)
    return Fitted([row]), round(row["seconds"], 1)


def baselines(folder: RunFolder, plan: Plan, dataset: Any, split: str) -> dict[str, Any]:
    """Return the outputs of the candidates of a run that were not selected, by their titles."""
    found = {}
    titles = {name: candidate.title for name, candidate in plan.task.candidates(dataset.info).items()}
    for name, title in (titles | {NETWORK: f"{plan.model}, network"}).items():
        inner = RunFolder(folder.path / "candidates" / name)
        if name != (plan.selected or NETWORK) and inner.weights.is_file():
            found[title] = outputs.of_split(inner.plan(), inner.model(), inner.dataset(dataset), split).outputs
    return found
