"""Find the classes of a model that are not part of Keras, and the modules that define them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

STOCK = frozenset({"keras", "tensorflow", "builtins"})


def code_dependency(model: Any) -> dict[str, Any] | None:
    """Return {"package": names, "modules": [...]} of the code that a Keras file of the model needs, or None.

    Args:
        model: A built Keras model.
    """
    modules = sorted({name for name in _modules(model) if name.partition(".")[0] not in STOCK})
    if not modules:
        return None
    return {"package": ", ".join(sorted({name.partition(".")[0] for name in modules})), "modules": modules}


def _modules(model: Any) -> Iterator[str]:
    for layer in model._flatten_layers():
        yield type(layer).__module__
    try:
        import keras

        yield from _named(keras.saving.serialize_keras_object(model))
    except NotImplementedError:  # no config: the formats that need one report it
        return


def _named(config: Any) -> Iterator[str]:
    """Yield the modules of all objects in a config: activations, initializers, nested layers."""
    import keras

    if isinstance(config, dict):
        if registered := keras.saving.get_registered_object(config.get("registered_name") or ""):
            yield registered.__module__
        elif isinstance(config.get("module"), str) and "class_name" in config:
            yield config["module"]
        for key, value in config.items():
            if key != "compile_config":  # not used for serving
                yield from _named(value)
    elif isinstance(config, (list, tuple)):
        for value in config:
            yield from _named(value)
