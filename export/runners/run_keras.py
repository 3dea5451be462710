"""Run .keras, .h5 and .weights.h5 files in a fresh Keras."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

if __package__:
    from export.protocol import calls, layers, runner
else:
    import calls
    import layers
    import runner


def open_artifact(artifact: dict[str, Any], examples: dict[str, Any]) -> runner.Opened:
    """Load a model file and return, for each endpoint, its own call: "main" eager, "graph" compiled."""
    model = load_model(artifact, examples)
    for layer in filter(layers.loops, layers.layers_of(model)):
        object.__setattr__(layer, "call", layers.compiled(layer))  # as in the reference
    return {endpoint["name"]: functions_of(model, endpoint) for endpoint in artifact["endpoints"]}


def load_model(artifact: dict[str, Any], examples: dict[str, Any]) -> Any:
    """Return the model of a file."""
    import keras

    path = Path(artifact["path"])
    if artifact["format"] == "weights":
        config = json.loads((path.parent / "model.config.json").read_text())
        model = keras.saving.deserialize_keras_object(config, safe_mode=True)
        if not model.built or not model.variables:  # a subclassed model has no variables before its first call
            endpoint = artifact["endpoints"][0]
            functions_of(model, endpoint)["main"](examples[endpoint["name"]])
        model.load_weights(path)
        return model
    registered = keras.saving.get_custom_objects()
    by_name = {getattr(value, "__name__", key): value for key, value in registered.items()}  # HDF5 omits the package
    model = keras.saving.load_model(path, by_name, compile=False, safe_mode=True)
    if artifact["format"] == "keras" and not model.variables and _holds_weights(path):
        raise ValueError(
            f"the file has weights and {type(model).__name__} comes back without any: it calls self.build() in "
            f"__init__, but has no build() that builds its layers; write one, or call the model there instead"
        )
    return model


def _holds_weights(path: Path) -> bool:
    """Return whether a .keras file holds any array that is not an optimizer's."""
    import h5py

    names: list[str] = []
    with zipfile.ZipFile(path) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    return any(not name.startswith("optimizer") for name in names)


def functions_of(model: Any, endpoint: dict[str, Any]) -> dict[str, runner.Function]:
    """Return the model's own call as an endpoint: "main" eager, "graph" compiled."""
    import tensorflow as tf

    dtypes = {t["name"]: t["dtype"] for t in endpoint["inputs"]}
    shapes = {t["name"]: [endpoint["batch"], *t["shape"][1:]] for t in endpoint["inputs"]}

    def call(values: dict[str, Any]) -> dict[str, Any]:
        result = model(calls.arrange(endpoint, values), training=False)
        return calls.name_outputs(endpoint, result)

    graph = tf.function(
        call, input_signature=[{k: tf.TensorSpec(shapes[k], dtypes[k], name=k) for k in dtypes}], autograph=False
    )

    def eager(inputs: runner.Arrays) -> runner.Arrays:
        values = {k: tf.constant(v, dtypes[k]) for k, v in inputs.items()}
        return {k: tf.convert_to_tensor(v).numpy() for k, v in call(values).items()}

    def traced(inputs: runner.Arrays) -> runner.Arrays:
        values = {k: tf.constant(v, dtypes[k]) for k, v in inputs.items()}
        return {k: v.numpy() for k, v in graph(values).items()}

    eager.model = model
    return {"main": eager, "graph": traced}


def constants(artifact: dict[str, Any], opened: runner.Opened) -> Any:
    """Return (path, array) of the weights of the loaded model."""
    model = next(iter(opened.values()))["main"].model
    return ((weight.path, np.asarray(weight.value)) for weight in model.weights)


def versions() -> dict[str, str]:
    """Return the versions of the runtime."""
    import keras
    import tensorflow as tf

    return {"keras": keras.__version__, "tensorflow": tf.__version__}


RUNTIME = runner.Runtime(
    "keras",
    __file__,
    distribution="keras",
    module="keras",
    formats=("keras", "hdf5", "weights"),
    open=open_artifact,
    versions=versions,
    required=True,
    install="pip install keras tensorflow",
    process=runner.Process(imports=("keras", "tensorflow"), imports_code=True, forked_from="keras"),
    capabilities=runner.Capabilities(measures_noise=("keras",), constants=constants),
)

if __name__ == "__main__":
    runner.main(RUNTIME)
