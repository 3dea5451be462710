"""Which versions of which models are loaded, and under which labels, by the rules of TF Serving's server_core.cc."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis.get_model_metadata_pb2 import SignatureDefMap
from tensorflow_serving.config.model_server_config_pb2 import ModelConfig, ModelServerConfig

from export.artifacts import check_trusted, describe
from export.formats.saved_model import served_versions
from export.serving.builtin.errors import ServingError
from export.wire import c_api


@dataclass
class Version:
    """A version of a model.

    Attributes:
        number: The number of its folder.
        folder: Its SavedModel.
        state: The name of its state in TF Serving's ModelVersionStatus.
        error: Why it was not loaded, or None.
        session: It, loaded, or None.
        signatures: Its signatures, as GetModelMetadata returns them.
        users: How many requests it answers now.
    """

    number: int
    folder: Path
    state: str = "START"
    error: ServingError | None = None
    session: c_api.Session | None = None
    signatures: Any = None
    users: int = 0


class Models:
    """The models of a configuration.

    A label may be given to a version that is not loaded yet only if the label is new, as with TF Serving's
    `--allow_version_labels_for_unavailable_models`; otherwise the whole configuration is refused.
    """

    def __init__(self, trust: Collection[str] = ()) -> None:
        self.config = ModelServerConfig()
        self._trust = trust
        self._versions: dict[str, dict[int, Version]] = {}
        self._labels: dict[str, dict[str, int]] = {}
        self._lock = threading.Lock()  # of the three above
        self._changing = threading.RLock()  # one change at a time; requests go on

    def reload(self, config: ModelServerConfig) -> None:
        """Serve what a configuration names, once it is loaded.

        Raises:
            ServingError: If it is refused; what is served stays as it is.
        """
        entries = config.model_config_list.config
        if config.WhichOneof("config") != "model_config_list":
            raise ServingError("INVALID_ARGUMENT", "Only a model_config_list is supported.")
        if len({entry.name for entry in entries}) < len(entries):
            raise ServingError("INVALID_ARGUMENT", "Illegal to list a model name multiple times in config list")
        if bad := [entry for entry in entries if not entry.name or not Path(entry.base_path).is_absolute()]:
            raise ServingError("INVALID_ARGUMENT", f"Expected model {bad[0].name} to have an absolute path")
        with self._changing:
            labels = {entry.name: self._allowed_labels(entry) for entry in entries}
            with self._lock:
                self.config, self._labels = config, labels
            self.refresh()

    def refresh(self) -> None:
        """Load versions that have appeared, then unload those that are not to be served any more."""
        with self._changing:
            wanted = {entry.name: _wanted(entry) for entry in self.config.model_config_list.config}
            for name, folders in wanted.items():
                loaded = self._versions.setdefault(name, {})
                for number, folder in folders.items():
                    if number not in loaded or (loaded[number].state == "END" and loaded[number].error is None):
                        self._load(loaded, Version(number, folder))
            for name, versions in self._versions.items():
                available = {number for number, version in versions.items() if version.state == "AVAILABLE"}
                kept = {*wanted.get(name, {})}
                if not kept or kept & available:  # else the old ones answer on, as by AvailabilityPreservingPolicy
                    for number in available - kept:
                        self._unload(versions[number])

    def status(self, name: str, number: int | None) -> list[Version]:
        """Return a version, or all versions, the newest first.

        Raises:
            ServingError: If there is none.
        """
        with self._lock:
            versions = dict(self._versions.get(name, {}))
        if number is None and versions:
            return sorted(versions.values(), key=lambda version: -version.number)
        if number in versions:
            return [versions[number]]
        what = "any versions" if number is None else f"version {number}"
        raise ServingError("NOT_FOUND", f"Could not find {what} of model {name}")

    @contextlib.contextmanager
    def using(self, name: str, number: int | None = None, label: str | None = None) -> Iterator[Version]:
        """Hold a version for a request: by its number, by a label, or the newest one.

        Raises:
            ServingError: If it is not available.
        """
        with self._lock:
            if not name:
                raise ServingError("INVALID_ARGUMENT", "ModelSpec has no name specified.")
            if label is not None:
                number = self._labels.get(name, {}).get(label)
                if number is None:
                    raise ServingError("INVALID_ARGUMENT", f"Unrecognized servable version label: {label}")
            available = {n: v for n, v in self._versions.get(name, {}).items() if v.state == "AVAILABLE"}
            version = available.get(max(available, default=-1) if number is None else number)
            if version is None:
                what = f"Latest({name})" if number is None else f"Specific({name}, {number})"
                raise ServingError("NOT_FOUND", f"Servable not found for request: {what}")
            version.users += 1
        try:
            yield version
        finally:
            with self._lock:
                version.users -= 1
                self._close_unused(version)

    def _allowed_labels(self, entry: ModelConfig) -> dict[str, int]:
        """Return the labels of a model; raise ServingError for one that would move to a version that is not loaded."""
        versions, before = self._versions.get(entry.name, {}), self._labels.get(entry.name, {})
        for label, number in entry.version_labels.items():
            is_available = number in versions and versions[number].state == "AVAILABLE"
            if not is_available and before.get(label, number) != number:
                raise ServingError(
                    "FAILED_PRECONDITION",
                    f"Request to assign label to version {number} of model {entry.name}, which is not currently "
                    f"available for inference",
                )
        return dict(entry.version_labels)

    def _load(self, versions: dict[int, Version], version: Version) -> None:
        version.state = "LOADING"
        with self._lock:
            versions[version.number] = version
        try:
            check_trusted(describe(version.folder, complete=False), self._trust)
            version.signatures = _signatures(version.folder)
            version.session = c_api.Session(version.folder)
            version.state = "AVAILABLE"
        except Exception as error:  # whatever the gate or the loader raises
            version.error = ServingError("FAILED_PRECONDITION", " ".join(str(error).split()))
            version.state = "END"

    def _unload(self, version: Version) -> None:
        with self._lock:
            version.state = "UNLOADING"
            self._close_unused(version)

    def _close_unused(self, version: Version) -> None:
        """Free a version that is to be unloaded once no request uses it."""
        if version.state == "UNLOADING" and not version.users:
            session, version.session, version.state = version.session, None, "END"
            session.close()


def _wanted(entry: ModelConfig) -> Mapping[int, Path]:
    """Return the folders of the versions that the policy of a model chooses; the newest one by default."""
    base, policy = Path(entry.base_path), entry.model_version_policy
    folders = {number: base / names[0] for number, names in served_versions(base).items()} if base.is_dir() else {}
    kind = policy.WhichOneof("policy_choice")
    if kind == "specific":
        return {number: folders[number] for number in policy.specific.versions if number in folders}
    count = len(folders) if kind == "all" else policy.latest.num_versions or 1
    return {number: folders[number] for number in sorted(folders)[-count:]}


def _signatures(folder: Path) -> SignatureDefMap:
    """Return the signatures of the graph that servers load."""
    saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    graph = next(graph for graph in saved.meta_graphs if set(graph.meta_info_def.tags) == {"serve"})
    return SignatureDefMap(signature_def=graph.signature_def)
