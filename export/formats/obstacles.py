"""What of a model stands in the way of its export: classes that no other process can import, and names."""

import re
from collections.abc import Iterator
from typing import Any

from zoobase.errors import ExportError
from zoobase.plugins import loaded_module

STOCK = frozenset({"keras", "tensorflow", "builtins"})
MAIN, UNREGISTERED = "__main__", "?"


def code_dependency(model: Any) -> dict[str, Any] | None:
    """Return {"package": names, "modules": [...]} of the code that a Keras file of the model needs, or None."""
    # What is defined in a script or notebook is left out, for no other process can import it; see `unimportable`.
    names = {type(layer).__module__ for layer in model._flatten_layers()} | {name for name, _, _ in _objects(model)}
    modules = sorted(name for name in names if name not in (MAIN, UNREGISTERED) and name.partition(".")[0] not in STOCK)
    if not modules:
        return None
    return {"package": ", ".join(sorted({name.partition(".")[0] for name in modules})), "modules": modules}


def unimportable(model: Any) -> str | None:
    """Return why another process cannot import a class or function of the model's config, or None."""
    # Keras files name their classes; SavedModel and TFLite hold the graph, and need none.
    for module, name, registered in _objects(model):
        if module.partition(".")[0] in STOCK:
            continue
        qualname = getattr(registered, "__qualname__", name)
        scope = vars(loaded) if (loaded := loaded_module(module)) else {}
        is_found = any(value is registered for value in scope.values()) if registered else name in scope
        if module == MAIN:
            place = "is defined in __main__, where no other process can import it"
        elif module == UNREGISTERED:
            place = "is a function that is not registered (keras.saving.register_keras_serializable)"
        elif not is_found and (registered is None or "<locals>" in qualname):
            place = f"is defined inside a function or class of {module}, where no other process can import it"
        else:
            continue
        return f"needs custom code: {name} {place}; move it to the top level of a module"
    return None


def _objects(model: Any) -> Iterator[tuple[str, str, Any]]:
    """Yield (module, name, registered object or None) of the model and of all objects in its config."""
    import keras

    try:
        config = keras.saving.serialize_keras_object(model)
    except NotImplementedError:  # no config: the formats that need one report it
        return
    yield from _named(config)


def _named(config: Any) -> Iterator[tuple[str, str, Any]]:
    """Yield the objects of a config: layers, activations, initializers, nested layers."""
    import keras

    if isinstance(config, dict):
        name, module = config.get("class_name"), config.get("module")
        if registered := keras.saving.get_registered_object(config.get("registered_name") or ""):
            yield registered.__module__, getattr(registered, "__name__", str(name)), registered
        elif name == "function" and isinstance(config.get("config"), str):
            yield UNREGISTERED, config["config"], None
        elif isinstance(name, str) and "module" in config:  # Keras writes None for a class of a script
            yield module or MAIN, name, None
        for key, value in config.items():
            if key != "compile_config":  # not used for serving
                yield from _named(value)
    elif isinstance(config, (list, tuple)):
        for value in config:
            yield from _named(value)


SCOPE = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.\\/>-]*")  # of tf.Graph.name_scope


def check_graph_names(model: Any) -> None:
    """Raise ExportError for a model or layer whose name no graph can have: `model.predict` raises, too."""
    for layer in model._flatten_layers():
        if type(layer).__name__ != "InputLayer" and not SCOPE.fullmatch(layer.name):
            what = "the model" if layer is model else f"a layer of class {type(layer).__name__}"
            plain = re.sub(r"[^A-Za-z0-9_.-]", "_", layer.name).lstrip("_-") or "layer"
            raise ExportError(
                f"{what} is named {layer.name!r}, which TensorFlow accepts in no graph (model.predict raises, too); "
                f"build it with another name, such as name={plain!r}"
            )
