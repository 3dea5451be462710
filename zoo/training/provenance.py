"""How a model was trained, as provenance of SLSA v1: settings, seed, commit, data, packages, machine, and the result.

It lies in the manifest of a bundle and in its attestation; `python -m zoo.train --from` repeats a training by it.
Reference: https://slsa.dev/spec/v1.1/provenance.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import math
import shlex
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from export.attestation.envelope import statements_in
from export.attestation.statement import PROVENANCE
from export.bundle.layout import read_manifest
from zoo import weights
from zoo.core.plan import Plan, damaged
from zoo.core.settings import from_config
from zoobase import finite
from zoobase.errors import KnownError, UsageError
from zoobase.files import sha256, without_folders

if TYPE_CHECKING:
    import keras

    from pipelines.dataset import Info

BUILD = "https://keras-proof-zoo.invalid/train/v1"
LISTED = 16  # files of the user's own data that are named one by one
WEIGHTS, METRICS = "weights", "metrics"  # names of byproducts


def weights_digest(model: keras.Model) -> str:
    """Return the SHA-256 of dtype, shape and bytes of every weight, in order."""
    digest = hashlib.sha256()
    for weight in model.weights:
        value = weight.numpy()
        digest.update(f"{value.dtype} {value.shape}\n".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()


def describe(
    plan: Plan, info: Info, model: keras.Model, config: Mapping[str, Any], metrics: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the predicate."""
    versions, git = config.get("versions") or {}, config.get("git")
    notes = {"role": "data", "licence": info.licence}
    dependencies = [
        {"name": name, "digest": {"sha256": digest} if digest else {}, "annotations": notes}
        for name, digest in (info.sha256 or _digests(plan.data["data_dir"]) or {info.name: None}).items()
    ]
    dependencies += [_package(name, version) for name, version in versions.items()]
    if git:
        state = {"role": "source", "changed": git["changed"]}
        dependencies.append({"name": "source", "digest": {"gitCommit": git["revision"]}, "annotations": state})
    if plan.init is not None:
        digest = {}
        with contextlib.suppress(KnownError):  # it may be gone, for an export long after the training
            digest = {"sha256": sha256(weights.locate(plan.model, plan.init)[0])}
        dependencies.append({"name": plan.init, "digest": digest, "annotations": {"role": "initial weights"}})
    predicate = {
        "buildDefinition": {
            "buildType": BUILD,
            "externalParameters": {"command": shlex.join(config.get("command", ())), "settings": plan.to_json()},
            "internalParameters": {"machine": config.get("machine") or {}},
            "resolvedDependencies": dependencies,
        },
        "runDetails": {
            "builder": {"id": BUILD, "version": versions},
            "byproducts": [
                {"name": WEIGHTS, "digest": {"sha256": weights_digest(model)}},
                {"name": METRICS, "annotations": dict(metrics)},
            ],
        },
    }
    return without_folders(finite(json.loads(json.dumps(predicate))))


def _digests(data_dir: str | None) -> dict[str, str]:
    """Return {name: sha256} of the user's own files; of many files, one digest of their names and digests."""
    root = Path(data_dir) if data_dir else None
    if root is None or not root.exists():  # a URL, or data that has gone since
        return {}
    files = sorted(path for path in root.rglob("*") if path.is_file()) if root.is_dir() else [root]
    digests = {path.relative_to(root if root.is_dir() else root.parent).as_posix(): sha256(path) for path in files}
    if len(digests) <= LISTED:
        return digests
    sums = "".join(f"{digest}  {name}\n" for name, digest in digests.items())
    return {f"SHA256SUMS of {len(digests)} files": hashlib.sha256(sums.encode()).hexdigest()}


def _package(name: str, version: str) -> dict[str, Any]:
    """Return a package with the digest of the list of its installed files, which has the digest of each of them."""
    entry = {"name": name, "uri": f"pkg:pypi/{name}@{version}", "digest": {}}
    notes = {"role": "package", "version": version}
    try:
        installed = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return entry | {"annotations": notes}
    record = installed.read_text("RECORD")
    if installed.version != version or record is None:
        return entry | {"annotations": notes}
    digest = hashlib.sha256(record.encode()).hexdigest()
    return entry | {"digest": {"sha256": digest}, "annotations": notes | {"of": "RECORD"}}


@dataclass(frozen=True)
class Original:
    """A training to repeat."""

    settings: Mapping[str, Any]  # fields of `TrainSettings`
    digest: str  # that of its weights
    metrics: Mapping[str, float]  # its metrics on the test split
    with_data_dir: bool  # whether its data was in a folder of the user


def read(path: Path) -> Original:
    """Return the training in the provenance of a bundle, or of a file of envelopes."""
    if path.is_file():
        predicate = next((s["predicate"] for s in statements_in(path) if s.get("predicateType") == PROVENANCE), None)
    else:
        predicate = read_manifest(path).get("metadata", {}).get("provenance")
    if predicate is None or predicate.get("buildDefinition", {}).get("buildType") != BUILD:
        raise UsageError(f"{path} has no provenance of a training: give the bundle of a run, or its envelopes")
    with damaged(path):
        settings = dict(predicate["buildDefinition"]["externalParameters"]["settings"])
        products = {product["name"]: product for product in predicate["runDetails"]["byproducts"]}
        data = settings["data"]
        if data.get("given"):
            raise UsageError(f"the data of {path}, {data['name']}, was given to zoo.train.run: call it again")
        places = {"data_dir": None, "cache_dir": None}  # of another machine
        return Original(
            from_config({**settings, "data": {**data, **places}}),
            products[WEIGHTS]["digest"]["sha256"],
            products[METRICS]["annotations"],
            data["data_dir"] is not None,
        )


def spread(values: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % prediction interval of one more value.

    Example:
        >>> low, high = spread([0.90, 0.91, 0.92, 0.91])
        >>> 0.87 < low < 0.89 < 0.93 < high < 0.95
        True
    """
    from scipy import stats

    count, mean = len(values), statistics.mean(values)
    width = stats.t.ppf(0.975, count - 1) * statistics.stdev(values) * math.sqrt(1 + 1 / count)
    return mean - width, mean + width
