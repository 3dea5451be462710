"""What a training writes beside its weights: its provenance, throughput and waiting time."""

import hashlib
import shutil
import subprocess
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from export.attestation import bom, envelope, statement
from export.bundle.layout import read_manifest
from tests.export.attestation.mutations import write_keys
from tests.zoo.conftest import FIXTURES
from zoo import train
from zoo.core.run_folder import RunFolder
from zoo.training.callbacks import Throughput
from zoo.training.provenance import _digests as digests_of_data
from zoo.training.provenance import weights_digest
from zoobase.files import sha256


@pytest.fixture
def bundle(trained, tmp_path):
    return shutil.copytree(trained("fashion_mnist") / "bundle", tmp_path / "bundle")


def test_the_provenance_has_what_a_training_used(trained, bundle):
    run = RunFolder.open(trained("fashion_mnist"))
    config, provenance = run.read("config.json"), read_manifest(bundle)["metadata"]["provenance"]
    definition = provenance["buildDefinition"]
    settings = definition["externalParameters"]["settings"]
    assert (settings["seed"], settings["recipe"]["epochs"]) == (config["seed"], 2)
    assert definition["internalParameters"]["machine"]["cpus"] == config["machine"]["cpus"]
    roles = {}
    for entry in definition["resolvedDependencies"]:
        roles.setdefault(entry["annotations"]["role"], {})[entry["name"]] = entry
    files = {path.name: sha256(path) for path in (FIXTURES / "fashion_mnist").iterdir()}
    assert {name: e["digest"]["sha256"] for name, e in roles["data"].items()} == files
    assert {name: e["annotations"]["version"] for name, e in roles["package"].items()} == config["versions"]
    assert len(roles["package"]["tensorflow"]["digest"]["sha256"]) == 64
    revision = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip()
    assert roles["source"]["source"]["digest"]["gitCommit"] == revision
    assert roles["source"]["source"]["annotations"]["changed"] in (True, False)
    weights, metrics = provenance["runDetails"]["byproducts"]
    assert weights["digest"]["sha256"] == weights_digest(run.model())
    assert metrics["annotations"] == run.metrics()


def test_many_files_have_one_digest(tmp_path):
    for number in range(17):
        (tmp_path / f"{number}.png").write_bytes(bytes([number]))
    ((name, digest),) = digests_of_data(str(tmp_path)).items()
    assert name == "SHA256SUMS of 17 files"
    sums = subprocess.run("sha256sum $(ls | LC_ALL=C sort)", shell=True, cwd=tmp_path, capture_output=True).stdout
    assert digest == hashlib.sha256(sums).hexdigest()
    assert digests_of_data("https://example.com/data.zip") == digests_of_data(None) == {}


@pytest.mark.needs("attestation")
def test_it_is_a_statement_and_in_the_bill_of_materials(bundle, tmp_path):
    private, public, *_ = write_keys(tmp_path)
    envelope.sign(bundle, statement.statements_of(bundle), private)
    attestation = envelope.check(bundle, [public])
    manifest = read_manifest(bundle)
    assert attestation.predicates[statement.PROVENANCE] == manifest["metadata"]["provenance"]
    assert attestation.predicates[statement.CERTIFICATE]["data"][0]["digest"]["sha256"]
    content = bom.to_json("bundle", manifest)
    assert {"keras", "t10k-images-idx3-ubyte.gz", "source"} <= {c["name"] for c in content["components"]}


RATE, WAITING = "worker/examples per second", "worker/share of time waiting for input"


def numbers(folder):
    """Return {name: {epoch: value}} of a folder of TensorBoard."""
    events = EventAccumulator(str(folder))
    events.Reload()
    return {
        name: {event.step: float(tf.make_ndarray(event.tensor_proto)) for event in events.Tensors(name)}
        for name in (RATE, WAITING)
    }


def test_every_training_writes_both(tmp_path):
    settings = {"data": "digits", "recipe.epochs": 2, "model.units": [8]}
    train.run("mnist", settings=settings, out=str(tmp_path / "run"), evaluate=False, precision="float32")
    found = numbers(tmp_path / "run" / "logs" / "worker-0")
    assert found[RATE].keys() == found[WAITING].keys() == {0, 1}
    assert all(rate > 0 for rate in found[RATE].values())
    assert all(0 <= share < 1 for share in found[WAITING].values())


def fit(folder, seconds):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")

    def wait(x):
        time.sleep(seconds)
        return x

    rows = tf.data.Dataset.from_tensor_slices(np.ones((8, 2, 4), np.float32))
    rows = rows.map(lambda x: (tf.ensure_shape(tf.numpy_function(wait, [x], tf.float32), (2, 4)), tf.ones([2, 1])))
    throughput = Throughput(folder, 2)
    throughput.watch(model)
    model.fit(rows, epochs=1, verbose=0, callbacks=[throughput])
    assert throughput.steps == 7  # all but the one that was traced
    return throughput


def test_a_slow_input_is_waited_for(tmp_path):
    slow, fast = fit(tmp_path / "slow", 0.2), fit(tmp_path / "fast", 0.0)
    assert slow.waiting > 0.2  # of 1.4 s in which the input slept, some while the model computed
    assert slow.waiting / slow.seconds > fast.waiting / fast.seconds
    assert numbers(tmp_path / "slow")[RATE][0] == pytest.approx(14 / slow.seconds, rel=1e-5)
