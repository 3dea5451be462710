"""Faults of Keras files: what a training or another reader takes from them, and no golden input shows."""

import json
import shutil
import zipfile

import h5py
import numpy as np


def _layer(config, kind):
    return next(layer for layer in config["config"]["layers"] if layer["class_name"] == kind)["config"]


def _set(kind, **values):
    return lambda config: _layer(config, kind).update(values)


def _registered(config):
    config["registered_name"] = "evil>Model"


def _shared(config):
    """Give two objects one number: Keras makes one of them, the first."""
    for kind, name in (("BatchNormalization", "float32"), ("Dense", "float16")):
        policy = {"module": "keras", "class_name": "DTypePolicy", "config": {"name": name}, "registered_name": None}
        _layer(config, kind)["dtype"] = policy | {"shared_object_id": 7}


CONFIGS = {
    "ReLU clipped at 1000": _set("ReLU", max_value=1000.0),
    "momentum of zero": _set("BatchNormalization", momentum=0.0),
    "a dropout of 1e-6": _set("Dropout", rate=1e-6),
    "a frozen layer": _set("Dense", trainable=False),
    "a regularizer": _set("Dense", kernel_regularizer={"class_name": "L2", "config": {"l2": 9.0}}),
    "another registered name": _registered,
    "two objects of one number": _shared,
}


def change_member(path, name, change):
    """Write a member of a .keras file again, changed."""
    other = path.with_name("other.keras")
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(other, "w") as target:
        for member in archive.namelist():
            content = archive.read(member)
            target.writestr(member, change(content) if member == name else content)
    shutil.move(other, path)


def _add(name, content=b"#!/bin/sh\n"):
    def change(path):
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(name, content)

    return change


def _metadata(path):
    change_member(path, "metadata.json", lambda text: json.dumps(json.loads(text) | {"keras_version": "4.0.0"}))


def _in_hdf5(change):
    def apply(path):
        with h5py.File(path, "a") as file:
            change(file)

    return apply


def _kernel(file):
    name = next(n for n in ("model_weights/logits/logits/kernel", "layers/dense/vars/0") if n in file)
    file[name][0, 0] = np.nextafter(file[name][0, 0], np.float32(9))


HDF5 = {
    "a further dataset": _in_hdf5(lambda file: file.create_dataset("payload", data=np.zeros(9))),
    "a further group": _in_hdf5(lambda file: file.create_group("evil")),
    "a further attribute": _in_hdf5(lambda file: file.attrs.update(author="another")),
    "a configuration of training": _in_hdf5(lambda file: file.attrs.update(training_config='{"loss": "evil"}')),
    "another version of Keras": _in_hdf5(lambda file: file.attrs.update(keras_version="2.1.0")),
    "a weight off by one rounding": _in_hdf5(_kernel),
}
KERAS = {
    "a script among the assets": _add("assets/evil.sh"),
    "a second config.json": _add("config.json", b"{}"),
    "a further member": _add("model.py"),
    "another version of Keras": _metadata,
}


def change_config(path, change):
    """Change the configuration in a Keras file, or beside its weights."""

    def changed(text):
        config = json.loads(text)
        change(config)
        return json.dumps(config)

    if path.name == "model.keras":
        change_member(path, "config.json", changed)
    elif path.name == "model.h5":
        with h5py.File(path, "a") as file:
            file.attrs["model_config"] = changed(file.attrs["model_config"])
    else:
        config = path.with_name("model.config.json")
        config.write_text(changed(config.read_text()))
