"""Two logical processors of one process share each batch, as two GPUs would: equal to one; some models are refused."""

import json

import pytest

from tests import commands
from tests.zoo.conftest import data_dir
from zoo import train
from zoo.distribution.replicas import Replicas
from zoobase.errors import UsageError

CODE = """
import json, sys
from zoo.core import environment
environment.prepare()
import keras
import numpy as np
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from zoo import train
from zoobase.errors import UsageError
from zoo.core.run_folder import RunFolder

data, out = json.loads(sys.argv[1]), sys.argv[2]

def fit(model, settings, devices, name=None, **options):
    name = name or f"{model}-{devices}"
    train.run(model, settings=settings, data_dir=data[model], precision="float32", export=False, out=f"{out}/{name}",
              devices=devices, evaluate=False, **options)
    return RunFolder(f"{out}/{name}").model().get_weights()

tables = {"recipe.epochs": 2, "recipe.batch_size": 32, "recipe.limit": 300, "recipe.optimizer": "sgd",
          "recipe.learning_rate": 1e-6, "recipe.l2": 1e-3, "model.dropout": 0.0, "model.units": [8]}
for size in (32, 33):
    one, two = (fit("bike_sharing", tables | {"recipe.batch_size": size}, devices, f"{size}-{devices}")
                for devices in (None, "0,1"))
    print("difference", size, max(float(abs(a - b).max()) for a, b in zip(one, two)))

class Devices(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        print("replicas", self.model.distribute_strategy.num_replicas_in_sync)

fit("mnist", {"recipe.epochs": 1, "recipe.limit": 64, "model.units": [8], "recipe.optimizer": "muon"}, "auto",
    callbacks=[Devices()])
quick = {"recipe.epochs": 1, "recipe.limit": 64, "recipe.batch_size": 16}
for model, settings in (
    ("word2vec", {}), ("gan", {"recipe.ema": 0.0}), ("autoencoder", {}),
    ("text_rnn", {"recipe.clip_norm": 0, "task.carry": True}),
    ("text_rnn", {}), ("sentiment", {}), ("mnist", {"recipe.batch_size": 1}),
    ("flowers", {"model.backbone": "efficientnet_lite_tiny"}),
):
    try:
        fit(model, quick | settings, "0,1", name="refused")
        print("trained", model)
    except UsageError as error:
        print("refused", error)
"""
MODELS = ("bike_sharing", "mnist", "word2vec", "gan", "autoencoder", "text_rnn", "sentiment", "flowers")


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    data = json.dumps({model: data_dir(model) for model in MODELS})
    folder = tmp_path_factory.mktemp("devices")
    process = commands.run("-c", CODE, data, folder, timeout=400)
    assert process.returncode == 0, process.stderr
    assert not (folder / "refused").exists(), process.stdout
    return process.stdout.splitlines()


@pytest.mark.proof
@pytest.mark.parametrize("size", [32, 33])
def test_two_devices_equal_one(size, printed):
    """Dictionaries of strings and numbers, outputs (B,), a penalty; a last batch of 12 examples, or of 3: 1 and 2."""
    (line,) = (line for line in printed if line.startswith(f"difference {size}"))
    assert 0 < float(line.split()[2]) < 1e-5


@pytest.mark.extended
def test_auto_takes_every_device(printed):
    assert "replicas 2" in printed


@pytest.mark.extended
def test_what_replicas_cannot_share_is_refused_by_name(printed):
    assert [line for line in printed if line.startswith("trained")] == []
    refused = [line.removeprefix("refused ") for line in printed if line.startswith("refused")]
    expected = [
        "word2vec has a training step of its own",
        "gan has a training step of its own",
        "autoencoder has a training step of its own",
        "text_rnn has a training step of its own",
        "recipe.clip_norm is not possible with 2 replicas",
        "recipe.ema is not possible with 2 replicas",
        "recipe.batch_size=1 is too small for 2 replicas",
        "flowers is trained in phases",
    ]
    assert len(refused) == len(expected)
    for line, sentence in zip(refused, expected, strict=True):
        assert sentence in line


@pytest.mark.parametrize(
    ("devices", "sentence"),
    [("0,x", "auto or numbers"), ("7", "has only"), ("-1", "has only"), ("", "auto or numbers")],
)
def test_devices_that_are_not_there(devices, sentence):
    with pytest.raises(UsageError, match=sentence):
        train.run("mnist", settings={"data": "digits"}, devices=devices, out="nowhere")


@pytest.mark.parametrize(("count", "largest"), [(257, 256), (256, 256), (5, 256), (1001, 100), (513, 256)])
def test_no_replica_validates_an_empty_part(count, largest):
    class Two(Replicas):
        count = 2

    size = Two().validation_size(count, largest)
    assert 2 <= size <= largest
    assert count % size != 1
    with pytest.raises(UsageError, match="1 validation examples"):
        Two().validation_size(1, largest)
