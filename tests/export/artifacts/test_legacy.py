"""Files of Keras 2: what is in them, and what to do with one that Keras 3 cannot load."""

import json
import re
import shlex
import shutil
import subprocess
import sys

import h5py
import pytest

from export.artifacts import describe
from export.formats.keras import read_model
from zoobase.errors import ExportError

WRITE = """
import sys, tf_keras
from tf_keras import layers
image = layers.Input((8, 8, 2), name="image")
x = layers.GlobalAveragePooling2D()(layers.DepthwiseConv2D(3)(image))
tf_keras.Model(image, layers.Dense(3, name="logits")(x)).save(sys.argv[1])
"""


@pytest.fixture(scope="module")
def legacy(tmp_path_factory):
    path = tmp_path_factory.mktemp("legacy") / "m.h5"
    subprocess.run([sys.executable, "-c", WRITE, path], check=True, capture_output=True, timeout=300)
    return path


def rewritten(path, target, change):
    shutil.copyfile(path, target)
    with h5py.File(target, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        file.attrs["model_config"] = json.dumps(change(config))
    return target


@pytest.mark.extended
def test_layers_without_dtype(legacy, tmp_path):
    def change(config):
        for layer in config["config"]["layers"]:
            layer["config"].pop("dtype", None)
        return config

    kinds = {"InputLayer": 1, "DepthwiseConv2D": 1, "GlobalAveragePooling2D": 1, "Dense": 1}
    for path in (legacy, rewritten(legacy, tmp_path / "plain.h5", change)):
        description = describe(path)
        assert description.operations == dict(sorted(kinds.items()))
        (signature,) = description.signatures
        (image,) = signature.inputs
        assert (image.name, image.shape) == ("image", (None, 8, 8, 2))
        assert [port.name for port in signature.outputs] == ["logits"]


@pytest.mark.extended
def test_a_sequential_model_that_is_a_list(legacy, tmp_path):
    wrapped = {"class_name": "Bidirectional", "config": {"name": "b", "layer": {"class_name": "LSTM", "config": {}}}}
    first = {"class_name": "Dense", "config": {"name": "dense_1", "batch_input_shape": [None, 4], "units": 3}}
    sequential = {"class_name": "Sequential", "config": [first, wrapped]}
    description = describe(rewritten(legacy, tmp_path / "list.h5", lambda config: sequential))
    assert description.operations == {"Bidirectional": 1, "Dense": 1, "LSTM": 1}
    ((port,),) = (signature.inputs for signature in description.signatures)
    assert (port.name, port.dtype, port.shape) == ("dense_1_input", "float32", (None, 4))


@pytest.mark.extended
def test_the_way_through_tf_keras_works(legacy, tmp_path):
    with pytest.raises(
        ExportError, match=r"written by Keras 2\.\d+\.\d+, which `pip install tf_keras` still reads"
    ) as error:
        read_model(legacy)
    command = re.search(r"python -c (\".*\") writes", str(error.value))
    (code,) = shlex.split(command[1])
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True, timeout=300)
    (signature,) = (s for s in describe(tmp_path / "saved_model").signatures if s.name == "serving_default")
    assert [port.shape for port in signature.inputs] == [(None, 8, 8, 2)]
    (tmp_path / "none.h5").write_bytes(b"x")
    with pytest.raises(ExportError) as error:
        read_model(tmp_path / "none.h5")
    assert "pip install" not in str(error.value)
