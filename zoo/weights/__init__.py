"""Locating trained weights and loading them into models.

`zoo.build(name, weights=...)` and `--init` take "default" (package data, by its spec), a run folder, a bundle, or a
`.weights.h5` file. Weights of one API of a model also fit its other APIs: they are copied in the order of the layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.core import registry, weight_files
from zoo.core.weight_files import load_file, read_description
from zoobase.errors import MissingError, UsageError, ZooError, unknown
from zoobase.files import sha256

if TYPE_CHECKING:
    import keras

    from pipelines.dataset import Info
    from zoo.core.plan import Plan


def build_with_weights(name: str, weights: str, arguments: Mapping[str, Any]) -> keras.Model:
    """Build a model and load weights; omitted arguments are those with which the weights were trained."""
    file, trained = locate(name, weights)
    model = registry.get_builder(name)(**{**trained, **arguments})
    _load(model, name, file, trained if arguments else {})
    return model


def description(name: str, weights: str = "default") -> dict[str, Any]:
    """Return the metadata of trained weights: builder arguments, dataset info, command, versions."""
    entry = registry.get_spec(name).weights[weights]
    return read_description(weight_files.SHIPPED / entry.source if entry.shipped else entry.fetch())


def load_into(model: keras.Model, name: str, weights: str) -> None:
    """Load weights into a built model of entry `name`."""
    _load(model, name, *locate(name, weights))


def open_default(name: str) -> tuple[Plan, keras.Model, Info]:
    """Return a model with its default weights, its plan, and the info of the dataset that it was trained on."""
    from pipelines.dataset import Info
    from zoo.core.plan import make_plan

    return make_plan(name), build_with_weights(name, "default", {}), Info.from_json(description(name)["info"])


def shipped_models() -> list[str]:
    """Return the names of the models whose default weights are part of the package."""
    specs = {name: registry.get_spec(name) for name, entry in registry.entries().items() if entry.weights}
    return [name for name, spec in specs.items() if "default" in spec.weights and spec.weights["default"].shipped]


def locate(name: str, weights: str) -> tuple[Path, dict[str, Any]]:
    """Return the weights file, and the builder arguments with which it was trained ({} if unknown)."""
    spec = registry.get_spec(name)
    if weights in spec.weights:
        entry = spec.weights[weights]
        if not entry.shipped:
            return entry.fetch(), dict(entry.model)
        file = weight_files.SHIPPED / entry.source
        if not file.is_file():
            raise MissingError(f"the weights {weights!r} of {name} are not installed: {file} is missing")
        if sha256(file) != entry.sha256:
            raise ZooError(f"{file} is damaged: its sha256 is not the one in the spec of {name}; reinstall the package")
        return file, dict(entry.model or description(name, weights)["arguments"])
    path = Path(weights)
    if (path / "config.json").is_file():
        from zoo.core.plan import damaged
        from zoo.core.run_folder import RunFolder

        run = RunFolder.open(path)
        with damaged(path / "config.json"):
            return run.weights, _trained_arguments(name, path, run.read("config.json"))
    if (path / "manifest.json").is_file():
        from zoo.core.plan import read_bundle

        plan, info = read_bundle(path)
        config = {"model": plan.model, "arguments": plan.arguments(info), "selected": plan.selected}
        return path / "model.weights.h5", _trained_arguments(name, path, config)
    if path.is_file() and path.name.endswith(".weights.h5"):
        return path, {}
    if path.exists():
        raise UsageError(f"{path} is neither a run, a bundle nor a .weights.h5 file")
    if path.suffix or len(path.parts) > 1:
        raise MissingError(f"the weights {weights} do not exist: give a run, a bundle or a .weights.h5 file")
    raise unknown(f"weights of {name}", weights, spec.weights)


def _trained_arguments(name: str, path: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    if config["model"] != name:
        raise UsageError(f"{path} holds weights of {config['model']}, not of {name}")
    if selected := config.get("selected"):
        raise UsageError(f"{path} holds the candidate {selected} in place of {name}: zoo.load({str(path)!r}) opens it")
    return dict(config["arguments"])


def _load(model: keras.Model, name: str, file: Path, trained: Mapping[str, Any]) -> None:
    donor = registry.get_builder(name)(**trained) if trained else model
    try:
        load_file(donor, file)
    except (OSError, ValueError, KeyError) as e:
        raise ZooError(f"the weights {file} do not match {name}: {' '.join(str(e).split())}") from e
    if donor is model:
        return
    values, own = donor.get_weights(), model.get_weights()
    mismatches = [f"{a.shape} and {b.shape}" for a, b in zip(values, own, strict=False) if a.shape != b.shape]
    if (len(values) != len(own) or mismatches) and not _copy_all_but_head(donor, model):
        difference = mismatches[0] if mismatches else f"{len(values)} and {len(own)} arrays"
        raise ZooError(f"the weights {file} have other shapes than this {name} ({difference}): check the arguments")
    if len(values) == len(own) and not mismatches:
        model.set_weights(values)


def _copy_all_but_head(donor: keras.Model, model: keras.Model) -> bool:
    """Copy all weights but those of the layer "logits"; return False, and copy nothing, if others differ."""
    # Weights of the donor that the model has no place for are a difference, too: a model with fewer layers is another.
    weights = {v.path: v for v in donor.weights}
    mismatches = [v.path for v in model.weights if v.path not in weights or weights[v.path].shape != v.shape]
    unused = set(weights) - {v.path for v in model.weights}
    different = {path.split("/")[0] for path in (*mismatches, *unused)} - {"logits"}
    if different or len(mismatches) == len(model.weights):
        return False
    for variable in model.weights:
        if variable.path not in mismatches:
            variable.assign(weights[variable.path])
    return True
