"""Prediction on many inputs by several workers: Ray Data gives each one parts of the inputs until all are done."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.core import environment
from zoo.core.plan import read_bundle
from zoo.distribution import ray_cluster
from zoo.prediction import predictor
from zoo.prediction.each import predict_each
from zoo.prediction.inputs import names_of
from zoo.prediction.tables import Parts
from zoobase.console import Console, StepProgress
from zoobase.errors import UsageError, ZooError

if TYPE_CHECKING:
    from zoo.prediction.predictor import Predictor

PART = 256  # inputs that are predicted again, at most, for each worker that is killed


def run(
    source: str | Path,
    inputs: Sequence[str],
    out: str | Path,
    *,
    workers: int = 1,
    ray: str = "local",
    runtime: str | None = None,
    top_k: int = 3,
    category_names: str | Path | None = None,
    direction: str | None = None,
    console: Console | None = None,
) -> dict[str, Any]:
    """Write the predictions for many inputs to a Parquet file, in the order of the inputs; return a JSON-able summary.

    Finished parts are kept in OUT.parquet.parts until all are there: the same call after an interruption predicts the
    rest only. The result does not depend on the number of workers: each computes on a single thread.

    Args:
        source: A bundle, or a run that has one.
        inputs: As for `zoo.predict.run`; also patterns, and objects in a store such as "s3://bucket/photos/*.jpg".
        out: The Parquet file. Inputs without a prediction are named in OUT.errors.csv, with the reason.
        workers: Number of processes.
        ray: A cluster that gives the processes: "local" for this machine, "auto", or HOST:PORT. All of its machines
            need the same Python environment, and the paths of inputs, bundle and `out`.
        runtime: "c_api" (default; the SavedModel in the loader of TF Serving), "tflite" or "saved_model".
        top_k: Number of ranked predictions per input.
        category_names: JSON file {class: display name}.
        direction: "a2b" or "b2a" for a model that translates in both directions.
        console: Receives progress; None prints nothing.
    """
    console = console or Console(quiet=True)
    if "://" in str(out) or Path(out).is_dir():
        raise UsageError(f"{out} is not a file of this machine: name one for the table, such as out.parquet")
    out = Path(out)
    ray_cluster.check(ray)
    bundle = predictor.find_bundle(source, direction)
    environment.prepare()
    plan, info = read_bundle(bundle)
    predictor.check_task(plan.task)
    if category_names is not None:
        predictor.category_names(info, Path(category_names))
    names = names_of(inputs, plan.task.accepts == "images")
    model = {
        "bundle": str(bundle.absolute()),
        "runtime": runtime or "c_api",
        "direction": direction,
        "category_names": None if category_names is None else str(Path(category_names).absolute()),
        "top_k": top_k,
    }
    parts, count = Parts(out.absolute()), -(-len(names) // PART)
    with parts.opened(_settings(model, names)):
        missing = parts.missing(count)
        if len(missing) < count:
            console.print(f"resuming {out}: {count - len(missing)} of {count} parts are finished")
        with StepProgress(console, "input", len(names)) as progress:
            done = len(names) - sum(len(_part(names, i)) for i in missing)
            begun = None
            for finished in _predict(parts, model, [(i, _part(names, i)) for i in missing], workers, ray):
                done += finished
                begun = begun or (time.monotonic(), done)  # the workers take seconds to start
                rate = (done - begun[1]) / max(time.monotonic() - begun[0], 1e-9)
                progress(done, f"{rate:,.0f}/s")
        rows, problems = parts.merge(count)
    errors = str(out.with_suffix(".errors.csv")) if problems else None
    return {"out": str(out), "inputs": len(names), "rows": rows, "problems": problems, "errors": errors}


def _part(names: Sequence[str], number: int) -> Sequence[str]:
    return names[number * PART : (number + 1) * PART]


def _settings(model: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Return what a prediction is resumed with only: files by the digest of their content."""
    listing = hashlib.sha256()
    for name in names:
        listing.update(os.fsencode(name) + b"\0")
    settings = dict(model, inputs=f"{len(names)}, sha256 {listing.hexdigest()}", inputs_of_a_part=PART)
    for key, file in (("bundle", "manifest.json"), ("category_names", "")):  # a manifest has the digests of all files
        if settings[key] is not None:
            settings[key] = hashlib.sha256(Path(settings[key], file).read_bytes()).hexdigest()
    return settings


def _predict(
    parts: Parts, model: Mapping[str, Any], work: Sequence[tuple[int, Sequence[str]]], workers: int, address: str
) -> Iterator[int]:
    """Yield the number of inputs of each part that is finished."""
    if not work:
        return
    workers = min(workers, len(work))
    with ray_cluster.connected(address, workers):
        import ray

        ray.data.DataContext.get_current().enable_progress_bars = False
        items = [{"number": number, "names": [os.fsencode(name) for name in names]} for number, names in work]
        # as many blocks as parts: a worker that has finished one is given the next
        finished = ray.data.from_items(items, override_num_blocks=len(items)).map(
            Worker,
            fn_constructor_args=(parts.out, model, os.getcwd()),
            compute=ray.data.ActorPoolStrategy(size=workers),
            num_cpus=1,
        )
        with ray_cluster.errors():
            for row in finished.iter_rows():
                if row["error"]:
                    raise ZooError(row["error"], row["exit_code"])
                yield row["inputs"]


class Worker:
    """Predicts part after part in a process of its own."""

    def __init__(self, out: Path, model: Mapping[str, Any], folder: str) -> None:
        os.chdir(folder)  # names are relative to that of the command
        os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["TF_NUM_INTEROP_THREADS"] = "1"
        self.parts, self.model, self.opened = Parts(out), model, None

    def __call__(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """Predict one part; an error that is not one of an input is returned, because Ray would repeat the call."""
        names = [os.fsdecode(name) for name in item["names"]]
        try:
            self.opened = self.opened or _open(self.model)
            rows, problems = [], []
            for name, result in predict_each(self.opened, names, self.model["top_k"]):
                if isinstance(result, Exception):
                    problems.append((name, str(result)))
                else:
                    rows.extend(dict(row) for row in result.rows)
            self.parts.write(int(item["number"]), rows, problems)
        except Exception as error:
            if getattr(error, "exit_code", None) is None:
                raise
            return {"inputs": 0, "error": str(error), "exit_code": error.exit_code}
        return {"inputs": len(names), "error": "", "exit_code": 0}


def _open(model: Mapping[str, Any]) -> Predictor:
    with contextlib.redirect_stdout(None):
        opened = predictor.load(model["bundle"], model["runtime"], model["direction"])
    names = model["category_names"]
    return opened if names is None else opened.with_category_names(Path(names))
