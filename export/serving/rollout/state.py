"""The state of a rollout: `FOLDER/rollout/` has rollout.json, split.conf for nginx and models.config for TF Serving.

All files change at once: a staged folder is exchanged with the old one in one rename.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from export.bundle import layout
from export.bundle.tf_serving import CONFIG, models_config
from export.formats.saved_model import served_versions
from export.serving.publisher import ROLLOUT, STAGING
from zoobase.errors import ExportError, Unavailable
from zoobase.files import locked, staging

STATE = "rollout.json"
SPLIT = "split.conf"
POLL_SECONDS = 5.0  # between two looks of a server at models.config, as docs and compose project start TF Serving


@dataclass(frozen=True)
class State:
    """Which versions are served, under which label.

    Attributes:
        stable: The version with the label `stable`.
        canary: The version that may become the stable one, or None. The label `canary` is then on the stable version:
            whoever asks it always gets an answer.
        share: The share of requests that a router should send to the canary, or None. TF Serving does not route.
        previous: The stable versions of before that `rollback` returns to, the latest last.
    """

    stable: int
    canary: int | None = None
    share: float | None = None
    previous: tuple[int, ...] = ()

    @property
    def labels(self) -> dict[str, int | None]:
        """The versions by their part."""
        return {"stable": self.stable, "canary": self.canary}

    @property
    def version_labels(self) -> dict[str, int]:
        """The versions by label, as in `models.config`."""
        return {"stable": self.stable, "canary": self.stable if self.canary is None else self.canary}

    @property
    def loaded(self) -> tuple[int, ...]:
        """The versions that a server loads: also the previous stable one, so that a rollback only moves a label.

        TF Serving refuses a configuration that moves a label to a version it has not loaded.
        """
        return tuple(sorted({self.stable, *self.previous[-1:], *([] if self.canary is None else [self.canary])}))


@contextlib.contextmanager
def changing(base: Path) -> Iterator[None]:
    """Lock a base path against other changes of its rollout.

    Raises:
        Unavailable: If it does not exist.
        ExportError: If its file system has no locks.
    """
    if not base.is_dir():
        raise Unavailable(f"there is no base path {base}; publish a bundle there first")
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked(base))
        except OSError as error:
            raise ExportError(f"{base} cannot be locked ({error.strerror}); use a local file system") from error
        yield


def read_state(base: Path) -> State:
    """Return the state; before the first canary, the newest version is stable.

    Raises:
        ExportError: If there is no version, the state is malformed, or its versions do not exist.
    """
    versions = served_versions(base)
    if not versions:
        raise ExportError(f"{base} holds no version; publish a bundle there first, without --canary")
    path = base / ROLLOUT / STATE
    if not path.parent.exists():
        return State(max(versions))
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        state = State(int(data["stable"]), data["canary"], data["share"], tuple(map(int, data["previous"])))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ExportError(f"{path} cannot be read ({error}); remove {path.parent} to begin anew") from error
    if lost := [version for version in state.loaded if version not in versions]:
        raise ExportError(
            f"{path} names version {lost[0]}, which is not in {base}; restore it, or remove {path.parent}"
        )
    return state


def write_state(base: Path, state: State, labels: Mapping[str, int] | None = None) -> None:
    """Replace the files of the state atomically; `labels` are those of the state, or those of before."""
    config = _config(base, state, labels or state.version_labels)
    with staging(base, STAGING) as folder:
        content = folder / ROLLOUT
        content.mkdir()
        layout.write_json(content / STATE, {"schema": 1} | asdict(state))
        (content / CONFIG).write_text(config)
        (content / SPLIT).write_text(_split(state))
        layout.publish_or_replace(content, base / ROLLOUT)


def write_canary(base: Path, state: State, poll_seconds: float) -> None:
    """Write a state with a new canary, in two steps where a server has the label already.

    TF Serving refuses to move a label to a version that it has not loaded: it reads the version first, for as long as
    two polls, then the label. A version that takes longer to load is no problem: the server tries again at each poll.
    """
    if (base / ROLLOUT).exists():
        write_state(base, state, {"stable": state.stable, "canary": state.stable})
        time.sleep(2 * poll_seconds)
    write_state(base, state)


def _split(state: State) -> str:
    """Return the directive of nginx that gives each request its label."""
    share = min(max(state.share or 0.0, 0.0001), 0.9999)  # nginx reads two decimals
    canary = "" if state.canary is None else f"{share:.2%} canary; "
    return f'split_clients "${{request_id}}" $label {{ {canary}* stable; }}\n'


def _config(base: Path, state: State, labels: Mapping[str, int]) -> str:
    """Return the configuration for TF Serving; the name and the base path in the existing one are kept."""
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2

    path = base / ROLLOUT / CONFIG
    text = path.read_text() if path.exists() else models_config(base.resolve().name)
    config: Any = model_server_config_pb2.ModelServerConfig()
    try:
        text_format.Parse(text, config)
        (entry,) = config.model_config_list.config
    except (text_format.ParseError, ValueError) as error:
        raise ExportError(f"{path} is not the configuration of one model ({error}); remove {path.parent}") from error
    entry.model_version_policy.Clear()
    entry.model_version_policy.specific.versions.extend(state.loaded)
    entry.version_labels.clear()
    entry.version_labels.update(labels)
    return text_format.MessageToString(config)
