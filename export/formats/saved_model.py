"""The SavedModel that TF Serving loads, with named inputs and outputs for every endpoint; numbers of versions."""

import os
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from export.contract import Artifact, Contract, Endpoint
from export.formats import graph_reader
from export.formats.format import NATIVE, Format
from export.protocol import calls
from export.runtime.backend import quiet_logger
from zoobase.errors import ExportError

LARGEST = 2**63 - 1  # number of a version


def write(model: Any, contract: Contract, folder: Path, version: int) -> Artifact:
    """Write `saved_model/<version>/`."""
    import tensorflow as tf

    path = f"saved_model/{version}"
    save(model, contract.carried_by(FORMAT.name), folder / path, reusable=True)
    return FORMAT.artifact(contract, path, producer={"tensorflow": tf.__version__})


def save(
    model: Any, endpoints: Sequence[Endpoint], path: Path, batch: int | None = None, reusable: bool = False
) -> None:
    """Write a SavedModel."""
    # `model.export()` would serve live augmentation and unnamed outputs; ExportArchive with our own functions does not.
    # A reusable one supports `hub.load(path)(x, training=True)`: no signature, so a request to a server cannot train.
    import keras
    import tensorflow as tf

    archive = keras.export.ExportArchive()
    holder = tf.Module()  # the model itself would store every weight twice
    holder.model = model
    # Keras also looks for tables in every function of what is tracked, which takes a tenth of an export's time.
    for trackable in tf.train.TrackableView(holder).descendants():
        if isinstance(trackable, tf.saved_model.experimental.TrackableResource):
            archive.track(trackable)
    for endpoint in endpoints:
        signature = _signature(endpoint, batch)
        archive.add_endpoint(endpoint.name, _positional(endpoint, signature), input_signature=signature)
        if reusable and endpoint.is_carried_by(NATIVE):
            _make_reusable(archive, model, endpoint)
    try:
        with quiet_logger():  # "Assets written to"
            try:
                archive.write_out(str(path), verbose=False)
            except AssertionError:  # an untracked resource, such as a table in a list that a layer holds
                archive.track(holder)
                archive.write_out(str(path), verbose=False)
    except AssertionError as error:
        raise ExportError(
            f"an endpoint uses a table or variable that the model does not hold; make it an attribute of the model "
            f"({' '.join(str(error).split())[:200]})"
        ) from error


def _make_reusable(archive: Any, model: Any, endpoint: Endpoint) -> None:
    """Add the interface of TF Hub's reusable SavedModels: a call with a training argument, and the variables."""
    # Source: https://www.tensorflow.org/hub/reusable_saved_models. A model that cannot be called in training as it is
    # called in serving, such as one with its own `train_step` on other inputs, does not get it.
    import tensorflow as tf

    description = endpoint.to_json()

    def call(inputs: Any, training: bool = False) -> Any:
        return model(inputs, training=training)

    specs = {t.name: tf.TensorSpec((endpoint.batch, *t.shape[1:]), t.dtype, name=t.name) for t in endpoint.inputs}
    function = tf.function(call, autograph=False)
    try:
        for training in (False, True):
            function.get_concrete_function(calls.arrange(description, specs), training=training)
    except Exception:  # errors in training mode do not prevent serving
        return
    archive._tf_trackable.__call__ = function
    for name in ("variables", "trainable_variables", "non_trainable_variables"):
        archive.add_variable_collection(name, [variable.value for variable in getattr(model, name)])


def _signature(endpoint: Endpoint, batch: int | None) -> list[Any]:
    import tensorflow as tf

    rows = endpoint.batch or batch
    return [tf.TensorSpec((rows, *t.shape[1:]), t.dtype, name=t.name) for t in endpoint.inputs]


def _positional(endpoint: Endpoint, signature: Sequence[Any]) -> Any:
    """Return the endpoint's call with positional tensors; the specs give each its name in the signature."""
    # It checks the shapes: TF_SessionRun, which TF Serving calls, does not, and a kernel of oneDNN would end the server
    # for a request whose tensor has another rank (measured with TensorFlow 2.21: CHECK failure of MklConvOp).
    import tensorflow as tf

    outputs = [t.name for t in endpoint.outputs]

    def function(*tensors: Any) -> dict[str, Any]:
        checked = [tf.ensure_shape(t, spec.shape) for t, spec in zip(tensors, signature, strict=True)]
        result = endpoint.call({spec.name: t for spec, t in zip(signature, checked, strict=True)})
        return {name: result[name] for name in outputs}

    return function


def matches(path: Path, head: bytes) -> bool:
    """Return whether a folder is a SavedModel."""
    return (path / "saved_model.pb").is_file()


FORMAT = Format(
    "saved_model",
    "",
    write,
    matches,
    graph_reader.describe,
    graph_reader.describe_graph,
    holds_code=True,
    holds_graph=True,
    is_drawn=False,
)


def served_version(name: str) -> int | None:
    """Return the number that TF Serving reads from a folder's name, or None if it ignores the folder."""
    # As `ParseVersionNumber` in file_system_storage_path_source.cc: absl::SimpleAtoi, which allows white space, a plus
    # sign and leading zeros; negative numbers are ignored.
    match = re.fullmatch(r"[ \t\n\v\f\r]*\+?([0-9]+)[ \t\n\v\f\r]*", name)
    return int(match[1]) if match and int(match[1]) <= LARGEST else None


def served_versions(base: Path) -> dict[int, list[str]]:
    """Return the folders that TF Serving would find in a base path, by version, the newest last."""
    folders: dict[int, list[str]] = {}
    with os.scandir(base) as entries:
        for entry in entries:
            if entry.is_dir() and (version := served_version(entry.name)) is not None:
                folders.setdefault(version, []).append(entry.name)
    return dict(sorted(folders.items()))


def check_base_path(path: Path) -> None:
    """Raise ExportError for a version itself in the place of the folder of versions."""
    if (path / "saved_model.pb").exists():
        raise ExportError(f"{path} is a version; give the folder of versions, {path.resolve().parent}")


def newest_version(base: Path) -> tuple[int, Path] | None:
    """Return the version that TF Serving serves by default and its folder, or None."""
    versions = served_versions(base)
    return (max(versions), base / versions[max(versions)][0]) if versions else None


def choose_version(requested: int | str, base: Path) -> int:
    """Return the version to write: a positive int64, "next" to the largest in `base`, or "time" (since 1970)."""
    names = os.listdir(base) if base.is_dir() else ()
    following = max((v for v in map(served_version, names) if v is not None), default=0) + 1
    if requested == "next":
        version = following
    elif requested == "time":  # after a clock that ran ahead, servers would not pick the time of now
        version = max(int(time.time()), following)
    elif re.fullmatch("[1-9][0-9]*", str(requested)):
        version = int(requested)
    else:
        raise ExportError(
            f"{requested} is not a valid version for TF Serving; give next, time, or a number from 1 without "
            f"leading zeros"
        )
    if version > LARGEST:
        raise ExportError(f"version {version} is larger than TF Serving can read ({LARGEST}); give a smaller number")
    return version
