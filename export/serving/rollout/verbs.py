"""Publish a canary, promote it, take it back, and remove old versions; each atomic, one at a time in a base path.

Every reader sees each change at one rename. Servers with `rollout/models.config` see the exchange of that folder;
servers without it serve the highest number and see a new version folder.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from export.attestation.policy import admit, read_policy
from export.bundle import layout
from export.formats.saved_model import served_versions
from export.serving.publisher import STAGING, ProvenSavedModel, Published, proven_saved_model, republish
from export.serving.rollout.state import POLL_SECONDS, State, changing, read_state, write_canary, write_state
from export.serving.rollout.update_check import Requirements, UpdateCheck, check_update
from zoobase.errors import CheckFailed, ExportError
from zoobase.files import staging


@dataclass(frozen=True)
class Canary:
    """A published or promoted canary: its version, the state of the rollout, and the comparison with the stable one."""

    version: Published
    state: State
    check: UpdateCheck


def begin(saved_model: ProvenSavedModel, base: Path) -> None:
    """Publish the first version of a base path, stable from the start: a server can begin with its configuration."""
    published = saved_model.copy(base, "next")
    write_state(base, State(published.version))


def publish_canary(
    source: str | os.PathLike[str],
    base_path: str | os.PathLike[str],
    share: float,
    *,
    requirements: Requirements | None = None,
    version: int | str = "next",
    allow: Collection[str] = (),
    policy: str | os.PathLike[str] | None = None,
    poll_seconds: float = POLL_SECONDS,
) -> Canary:
    """Publish the SavedModel of a bundle as the canary beside the stable version, after a comparison of both.

    Args:
        source: A proven bundle.
        base_path: The folder of one model's versions, with at least one, which is stable.
        share: The share of requests that a router should send to the label `canary`, above 0 and below 1. It is written
            to `rollout/rollout.json` and, for nginx, `rollout/split.conf`: TF Serving itself does not route.
        requirements: What the new version must hold; it names the trusted operators, too.
        version: As of `export.publish`.
        allow: As of `export.publish`.
        policy: As of `export.publish`.
        poll_seconds: How often servers read `models.config`. Where they have the label `canary` already, they load
            the version first, and the label moves after two polls.

    Raises:
        CheckFailed: If the bundle may not be published, or does not hold the requirements.
        ExportError: If there is a canary already, no stable version, or the share is invalid.
        Unavailable: If there is no such base path.

    Example:
        >>> publish_canary("bundle", "served", 0.1).state
        State(stable=1, canary=2, share=0.1, previous=())
        >>> promote("served").state
        State(stable=2, canary=None, share=None, previous=(1,))
        >>> rollback("served")
        State(stable=1, canary=None, share=None, previous=())
    """
    if not 0 < share < 1:
        raise ExportError(f"the share of the canary is {share:g}; give a number between 0 and 1, such as 0.1")
    base, requirements = Path(base_path).absolute(), requirements or Requirements()
    saved_model = proven_saved_model(Path(source), requirements.trust, allow, policy)
    with changing(base):
        state = read_state(base)
        if state.canary is not None:
            raise ExportError(
                f"version {state.canary} of {base_path} is the canary; promote it, or roll it back, first"
            )
        check = check_update(folder_of(base, state.stable), saved_model.path, requirements)
        published = saved_model.copy(base, version)
        state = replace(state, canary=published.version, share=share)
        write_canary(base, state, poll_seconds)
    return Canary(published, state, check)


def promote(
    base_path: str | os.PathLike[str],
    *,
    requirements: Requirements | None = None,
    policy: str | os.PathLike[str] | None = None,
) -> Canary:
    """Make the canary the stable version, after another comparison of both.

    Args:
        base_path: As of `publish_canary`.
        requirements: As of `publish_canary`.
        policy: As of `export.publish`; it is checked against the attestation that was published with the canary.

    Raises:
        CheckFailed: If it does not hold the requirements, or the policy does not admit it.
        ExportError: If there is no canary.
        Unavailable: If there is no such base path.

    Example:
        See `publish_canary`.
    """
    base = Path(base_path).absolute()
    with changing(base):
        state = read_state(base)
        if state.canary is None:
            raise ExportError(f"{base_path} has no canary; publish one with --canary SHARE")
        folder = folder_of(base, state.canary)
        if policy is not None:
            admit(folder, read_policy(Path(policy)))
        check = check_update(folder_of(base, state.stable), folder, requirements or Requirements())
        promoted = State(state.canary, previous=(*state.previous, state.stable))
        write_state(base, promoted)
    return Canary(Published(folder, promoted.stable), promoted, check)


def rollback(base_path: str | os.PathLike[str]) -> State:
    """Take the canary back; without a canary, make the previous stable version stable again.

    It is published again under the next number, too, for servers that serve the highest number. The labels go to the
    version that servers still have loaded.

    Raises:
        CheckFailed: If there is no previous version, or it is damaged.
        Unavailable: If there is no such base path.

    Example:
        See `publish_canary`.
    """
    base = Path(base_path).absolute()
    with changing(base):
        state = read_state(base)
        if state.canary is not None:
            target = replace(state, canary=None, share=None)
        elif state.previous:
            target = State(state.previous[-1], previous=state.previous[:-1])
        else:
            raise CheckFailed(f"{base_path} has no canary and no previous stable version to go back to")
        republish(folder_of(base, target.stable), base)
        write_state(base, target)
    return target


def retire(base_path: str | os.PathLike[str], keep: int) -> list[int]:
    """Remove the oldest versions except `keep`, and return their numbers.

    The stable version and the canary are never removed, nor the previous stable one, which servers keep loaded for a
    rollback. Call it when the servers have read the last change.

    Raises:
        ExportError: If `keep` is less than 1.
        Unavailable: If there is no such base path.

    Example:
        >>> retire("served", keep=100)
        []
    """
    if keep < 1:
        raise ExportError(f"keep is {keep}; give the number of versions to keep, 1 or more")
    base = Path(base_path).absolute()
    with changing(base):
        state, versions = read_state(base), served_versions(base)
        removed = [v for v in list(versions)[:-keep] if v not in state.loaded]
        if set(removed) & set(state.previous):  # what a server may load is forgotten before it is removed
            write_state(base, replace(state, previous=tuple(v for v in state.previous if v not in removed)))
        with staging(base, STAGING) as folder:
            for version in removed:
                for name in versions[version]:
                    os.rename(base / name, folder / name)
            layout.flush(base, deep=False)
    return removed


def folder_of(base: Path, version: int) -> Path:
    """Return the folder of a version."""
    return base / served_versions(base)[version][0]
