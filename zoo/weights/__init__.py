"""Where trained weights come from, and how they get into a model.

`zoo.build(name, weights=...)` and `--init` take "default" (package data, by its spec), a run folder, a bundle, or a
`.weights.h5` file. Weights of one API of a model fit its other APIs: they are moved in the order of the layers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.sources.storage import sha256
from zoo.core.errors import MissingError, UsageError, ZooError, unknown

if TYPE_CHECKING:
    import keras

FILES = Path(__file__).parent / "files"


def build_with_weights(name: str, weights: str, arguments: Mapping[str, Any]) -> keras.Model:
    """Build a model and load weights; what the weights were trained with is the default for arguments left out.

    Raises:
        UsageError: The weights are unknown.
        ZooError: They do not fit the arguments.
    """
    from zoo.core import registry

    file, trained = locate(name, weights)
    model = registry.get_builder(name)(**{**trained, **arguments})
    _load(model, name, file, trained)
    return model


def description(name: str, weights: str = "default") -> dict[str, Any]:
    """Return what lies beside shipped weights of a model: builder arguments, data info, command, versions."""
    from zoo.core import registry

    file = FILES / registry.get_spec(name).weights[weights].source
    return json.loads(file.with_name(file.name.replace(".weights.h5", ".json")).read_text(encoding="utf-8"))


def load_into(model: keras.Model, name: str, weights: str) -> None:
    """Load weights into a model of entry `name` that is built already.

    Raises:
        UsageError: The weights are unknown.
        ZooError: They do not fit.
    """
    _load(model, name, *locate(name, weights))


def locate(name: str, weights: str) -> tuple[Path, dict[str, Any]]:
    """Return the file of weights, and the builder arguments that they were trained with ({} if that is unknown).

    Raises:
        UsageError: Neither the name of weights nor a run, a bundle or a weights file.
        ZooError: A shipped file is damaged.
    """
    from zoo.core import registry

    spec = registry.get_spec(name)
    if weights in spec.weights:
        told = spec.weights[weights]
        if told.fetch is not None:
            return told.fetch(), dict(told.model)
        file = FILES / told.source
        if not file.is_file():
            raise MissingError(f"the weights {weights!r} of {name} are not installed: {file} is missing")
        if sha256(file) != told.sha256:
            raise ZooError(f"{file} is damaged: its sha256 is not the one in the spec of {name}; install again")
        return file, dict(told.model or description(name, weights)["arguments"])
    path = Path(weights)
    if (path / "config.json").is_file():
        from zoo.core.run_folder import Run

        run = Run.open(path)
        return run.weights, _own(name, path, run.read("config.json"))
    if (path / "manifest.json").is_file():
        from zoo.core.plan import read_bundle

        plan, info = read_bundle(path)
        config = {"model": plan.model, "arguments": plan.arguments(info)}
        return path / "model.weights.h5", _own(name, path, config)
    if path.is_file() and path.name.endswith(".weights.h5"):
        return path, {}
    if path.exists():
        raise UsageError(f"{path} is neither a run, a bundle nor a .weights.h5 file")
    raise unknown(f"weights of {name}", weights, spec.weights)


def _own(name: str, path: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    if config["model"] != name:
        raise UsageError(f"{path} holds weights of {config['model']}, not of {name}")
    return dict(config["arguments"])


def _load(model: keras.Model, name: str, file: Path, trained: Mapping[str, Any]) -> None:
    from zoo.core import registry

    donor = registry.get_builder(name)(**trained) if trained else model
    try:
        donor.load_weights(file)
    except (OSError, ValueError, KeyError) as e:
        raise ZooError(f"the weights {file} do not fit {name}: {str(e).strip().splitlines()[0]}") from e
    if donor is model:
        return
    theirs, ours = donor.get_weights(), model.get_weights()
    odd = [f"{a.shape} and {b.shape}" for a, b in zip(theirs, ours, strict=False) if a.shape != b.shape]
    if (len(theirs) != len(ours) or odd) and not _all_but_the_head(donor, model):
        what = odd[0] if odd else f"{len(theirs)} and {len(ours)} arrays"
        raise ZooError(f"the weights {file} were trained in another shape of {name} ({what}): check the arguments")
    if len(theirs) == len(ours) and not odd:
        model.set_weights(theirs)


def _all_but_the_head(donor: keras.Model, model: keras.Model) -> bool:
    """Copy everything but the layer "logits", for other classes or none; False, and nothing copied, if more differs."""
    held = {v.path: v for v in donor.weights}
    odd = [v.path for v in model.weights if v.path not in held or held[v.path].shape != v.shape]
    if any(path.split("/")[0] != "logits" for path in odd) or len(odd) == len(model.weights):
        return False
    for variable in model.weights:
        if variable.path not in odd:
            variable.assign(held[variable.path])
    return True
