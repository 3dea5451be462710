"""How a model was trained, as provenance of SLSA v1: settings, seed, commit, data, packages, machine, and the result.

It lies in the manifest of a bundle and in its attestation.
Reference: https://slsa.dev/spec/v1.1/provenance.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo import weights
from zoo.core.plan import Plan
from zoobase import finite
from zoobase.errors import KnownError
from zoobase.files import sha256, without_folders

if TYPE_CHECKING:
    import keras

    from pipelines.dataset import Info

BUILD = "https://keras-proof-zoo.invalid/train/v1"
LISTED = 16  # files of the user's own data that are named one by one


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
            "internalParameters": {
                "machine": config.get("machine") or {},
                "data": {"name": info.name, "source": info.source, "split": info.split, "examples": dict(info.counts)},
            },
            "resolvedDependencies": dependencies,
        },
        "runDetails": {
            "builder": {"id": BUILD, "version": versions},
            "byproducts": [
                {"name": "weights", "digest": {"sha256": weights_digest(model)}},
                {"name": "metrics", "annotations": dict(metrics)},
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
