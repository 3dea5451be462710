"""Rows of a certificate before anything ran: what is required, what was asked for, what is not here."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from export.certificate import NOT_RUN, PASS, Row
from export.formats import Artifact
from export.runtimes import Runtime


def row_for(
    artifact: Artifact,
    runtime: Runtime,
    demanded: Collection[str],
    runtimes: Sequence[str] | None,
    require: Sequence[str],
) -> Row:
    """Return the row of an artifact in a runtime, before anything is known but who asked for it.

    Args:
        artifact: What is run.
        runtime: What runs it.
        demanded: Formats that were asked for by name when they were written.
        runtimes: Run only these; None for all.
        require: Runtimes and formats without which the certificate is incomplete.
    """
    named = not runtime.extra and artifact.format in {*demanded, *require}
    wanted = (runtime.required or named) and not (runtime.library and runtime.version is None)
    required = runtime.name in require or (wanted and (runtimes is None or runtime.name in runtimes))
    return Row(
        *(artifact.path, artifact.format, runtime.name, PASS),
        note=artifact.note,
        required=required,
        extra=runtime.extra and not required,
        demanded=named or bool(artifact.quantize and not runtime.extra),
    )


def absent(runtime: Runtime, runtimes: Sequence[str] | None) -> str:
    """Return why a runtime does not run here."""
    if runtimes is not None and runtime.name not in runtimes:
        return "not asked for"
    if runtime.library:
        return f"the installed {runtime.distribution} does not bring {runtime.library}"
    return f"{runtime.name} is not installed; pip install {runtime.distribution}"


def required_but_absent(rows: Sequence[Row], require: Sequence[str]) -> list[Row]:
    """Return a row for every required name that no row speaks of."""
    spoken = {row.runtime for row in rows} | {row.format for row in rows}
    return [
        Row(name, name, None, NOT_RUN, f"required, but nothing in this bundle is or runs on {name}", required=True)
        for name in require
        if name not in spoken
    ]
