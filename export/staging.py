"""What else goes into a staged bundle, and what is taken out of it before it is published."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from export.certificate import UNSUPPORTED, Certificate
from export.contract import Contract
from export.errors import ExportError
from export.formats import Artifact


def write_assets(folder: Path, contract: Contract, assets: Mapping[str, Any]) -> None:
    """Write the labels of a contract and what else the caller wants in the bundle, {name: bytes or path}.

    Raises:
        ExportError: If a name leaves the bundle, or is taken.
    """
    if contract.labels is not None:
        (folder / "labels.txt").write_text("".join(f"{label}\n" for label in contract.labels))
    for name, content in assets.items():
        path = (folder / name).resolve()
        if folder.resolve() not in path.parents or path.exists():
            raise ExportError(f"asset {name!r} would leave the bundle or replace one of its files; choose another name")
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            shutil.copyfile(content, path)


def withhold(folder: Path, artifacts: Sequence[Artifact], certificate: Certificate) -> None:
    """Remove what turned out not to come back, and remember why."""
    for row in (row for row in certificate.artifacts if not row.extra):
        for artifact in artifacts:
            if row.state == UNSUPPORTED and row.artifact == artifact.path and artifact.state is None:
                artifact.state, artifact.reason = row.state, row.reason
                (folder / artifact.path).unlink()
