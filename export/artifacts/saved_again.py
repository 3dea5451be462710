"""Write the SavedModel of a bundle again from its Keras file, and compare the two field by field.

Endpoints that the Keras file does not carry cannot be traced again. Their functions may compute anything, but change no
variable; what leads to them is compared.
"""

import dataclasses
import functools
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from export.artifacts.whole_saved_model import SavedModel, checkpoint_differences
from export.contract import Endpoint
from export.formats import saved_model
from export.formats.format import NATIVE


class Incomparable(Exception):
    """Why a SavedModel cannot be compared."""


class _Placeholders:
    """Functions that take, capture and return what endpoints of a SavedModel do, and compute nothing."""

    def __init__(self, model: Any, theirs: SavedModel, carried: Mapping[str, Endpoint]) -> None:
        self._model, self._theirs, self._carried = model, theirs, carried
        self._uses: dict[int, Callable[[], Any]] = {}  # by object, which several may capture

    def function(self, name: str) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
        (function,) = self._theirs.functions_of(name)
        concrete = self._theirs.concrete[function]
        captured = [self._use(index) for index in concrete.bound_inputs]

        def call(values: Mapping[str, Any]) -> dict[str, Any]:
            for use in captured:
                use()
            if self._theirs.is_stateful(function):
                tf.raw_ops.RandomUniform(shape=[1], dtype=tf.float32)
            specs = {key: field.tensor_spec_value for key, field in concrete.output_signature.dict_value.fields.items()}
            return {k: tf.raw_ops.Placeholder(dtype=s.dtype, shape=tf.TensorShape(s.shape)) for k, s in specs.items()}

        return call

    def _use(self, index: int) -> Callable[[], Any]:
        """Return a function that uses what an object of the SavedModel is in the model."""
        if index not in self._uses:
            self._uses[index] = self._new_use(index)
        return self._uses[index]

    def _new_use(self, index: int) -> Callable[[], Any]:
        item, listed = self._theirs.objects[index], self._theirs.listed("variables")
        if index in listed:
            return self._model.variables[listed.index(index)].value.read_value
        if item.WhichOneof("kind") == "variable":  # no variable of the model: it stands for itself
            value = self._theirs.reader.get_tensor(self._theirs.key(index))
            return tf.Variable(value, item.variable.trainable, name=item.variable.name).read_value
        if (tensor := self._shared.get(index)) is None:
            if item.WhichOneof("kind") != "constant":
                raise Incomparable("an endpoint uses a table that no function of the Keras file uses")
            tensor = tf.constant(tf.make_ndarray(self._theirs.node(item.constant.operation).attr["value"].tensor))
        table = tensor.dtype == tf.resource
        return lambda: tf.raw_ops.LookupTableSizeV2(table_handle=tensor) if table else tf.identity(tensor)

    @functools.cached_property
    def _shared(self) -> dict[int, Any]:
        """What the functions of the model capture, by the objects that those of the SavedModel do."""
        shared = {}
        for name, endpoint in self._carried.items():
            shapes = {t.name: (endpoint.batch, *t.shape[1:]) for t in endpoint.inputs}
            specs = {t.name: tf.TensorSpec(shapes[t.name], t.dtype) for t in endpoint.inputs}
            traced = tf.function(endpoint.call, autograph=False).get_concrete_function(specs)
            for function in self._theirs.functions_of(name):
                shared |= dict(zip(self._theirs.concrete[function].bound_inputs, traced.captured_inputs, strict=False))
        return shared


def differences(model: Any, native: Path, folder: Path, endpoints: Sequence[Endpoint], again: Path) -> list[str]:
    """Return clauses about what differs; raise Incomparable."""
    # `native` is the Keras file, `folder` the SavedModel, written to `again`; what `native` lacks is not called.
    import keras

    not_carried = [endpoint.name for endpoint in endpoints if not endpoint.is_carried_by(NATIVE)]
    theirs = SavedModel(folder, not_carried)
    with zipfile.ZipFile(native) as archive:
        written = {"Keras": json.loads(archive.read("metadata.json"))["keras_version"]}
    written["TensorFlow"] = theirs.meta.meta_info_def.tensorflow_version
    for name, installed in {"Keras": keras.__version__, "TensorFlow": tf.__version__}.items():
        if written[name] != installed:
            raise Incomparable(f"it was written by {name} {written[name]}, and {installed} is installed")
    if any(getattr(layer, "quantization_mode", None) == "float8" for layer in model._flatten_layers()):
        raise Incomparable("Keras orders the variables of float8 layers otherwise when it loads them")
    placeholders = _Placeholders(model, theirs, {e.name: e for e in endpoints if e.name not in not_carried})
    replaced = [
        dataclasses.replace(e, call=placeholders.function(e.name)) if e.name in not_carried else e for e in endpoints
    ]
    saved_model.save(model, replaced, again, reusable=True)
    ours = SavedModel(again, not_carried)
    return [*ours.differences(theirs), *checkpoint_differences(ours, theirs, model), *theirs.writes()]
