"""The examples whose decision depends on the runtime, and the margin above which none does."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from export.artifacts import check_confined
from export.artifacts.calling import CPU
from export.bundle.gate import read_proven, refusal
from export.contract import Artifact, Contract
from export.proof.prove import absent, check_names
from export.runners import GROUPS, RUNTIMES, members
from export.versions.metric import answers
from zoobase.errors import ExportError, Unavailable

NAMES = {CPU: "litert", "wasm": "browser"}  # short names of runtimes


def flips(
    bundle: str | Path, data: Mapping[str, np.ndarray], across: Sequence[str], *, trust: Collection[str] = ()
) -> dict[str, Any]:
    """Run a classifier's files in some runtimes, and compare the classes that they choose.

    Args:
        bundle: A bundle whose proof passed; of each runtime its first file that is not quantized is run.
        data: Inputs (N, ...) by name; other arrays are ignored.
        across: Names of runtimes, the first of which is the reference; "cpu" is LiteRT, "gpu" the GPU
            kernels that are installed, "wasm" a browser.
        trust: As of `export.verify_bundle`.

    Returns:
        "reference"; "flips", the number of examples by runtime that have another class; "examples", which they are;
        "of", the number of all; "threshold", the largest margin between the two largest scores of the reference at
        which an example of a random half flips; "checked", how many of the other half are above it, and "flips_above".

    Raises:
        Unavailable: If a runtime is not installed.
        ExportError: If no file has a function of these inputs that returns scores of classes.

    Example:
        >>> flips("bundle", {"image": images}, ["cpu", "gpu"])["flips"]
        {'litert_gpu': 0, 'litert_gpu_half': 2}
    """
    folder = Path(bundle)
    manifest = read_proven(folder, "is compared")
    check_confined(folder, trust)
    held = [a for a in manifest["artifacts"] if not a["quantize"] and not a["state"] and not refusal(folder, a, trust)]
    names = [NAMES.get(name, name) for name in across]
    check_names(names, (*NAMES, *RUNTIMES, *GROUPS), "runtime")
    scores: dict[str, np.ndarray] = {}
    for name in dict.fromkeys(members(names, {artifact["format"] for artifact in held})):
        runtime = RUNTIMES.get(name)
        artifact = next((Artifact.from_json(a) for a in held if runtime and a["format"] in runtime.formats), None)
        if artifact is None:
            raise ExportError(f"{folder} holds no file that {name} runs")
        if runtime.version is None and name not in names:  # of a group, those that are installed
            continue
        if runtime.version is None:
            raise Unavailable(absent(runtime, None))
        scores[name] = _scores(folder, Contract.from_json(manifest["contract"]), artifact, name, data)
    if len(scores) < 2:
        raise ExportError("give two runtimes or more that are installed, such as cpu,gpu")
    first, *others = scores
    reference = scores[first].astype(np.float64)
    rows, flipped = len(reference), {}
    for name in others:
        flipped[name] = (reference.argmax(-1) != scores[name].argmax(-1)).reshape(rows, -1).any(axis=1)
    ordered = np.sort(reference, axis=-1)
    margins = (ordered[..., -1] - ordered[..., -2]).reshape(rows, -1).min(axis=1)
    either, half = np.any(list(flipped.values()), axis=0), np.random.default_rng(0).permutation(rows) % 2 == 0
    threshold = float(margins[half & either].max(initial=0.0))
    above = ~half & (margins > threshold)
    counts = {name: int(of_runtime.sum()) for name, of_runtime in flipped.items()}
    found = {"reference": first, "flips": counts, "examples": np.flatnonzero(either).tolist(), "of": rows}
    return found | {"threshold": threshold, "checked": int(above.sum()), "flips_above": int((above & either).sum())}


def _scores(
    folder: Path, contract: Contract, artifact: Artifact, name: str, data: Mapping[str, np.ndarray]
) -> np.ndarray:
    """Return the scores of classes (N, ..., classes) of the first endpoint that takes the data and has them."""
    for endpoint in (contract[e] for e in artifact.endpoints):
        scored = [t for t in endpoint.outputs if t.meaning in ("logits", "probabilities") and (t.shape[-1] or 0) > 1]
        if scored and {t.name for t in endpoint.inputs} <= {*data}:
            endpoint = dataclasses.replace(endpoint, batch=artifact.batch or endpoint.batch)
            return answers(folder / artifact.path, artifact.format, endpoint, data, RUNTIMES[name])[scored[0].name]
    raise ExportError(f"no function of {artifact.path} takes {', '.join(sorted(data))} and returns scores of classes")
