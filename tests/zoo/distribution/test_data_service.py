"""A tf.data service in processes of its own: each example once an epoch with its augmentation; a training by it."""

import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow as tf

import pipelines
from pipelines import DataError, data_service
from tests.zoo.conftest import DATA
from zoo import train
from zoobase.errors import UsageError

pytestmark = pytest.mark.extended


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("shards") / "garments"
    pipelines.write_shards(pipelines.load("fashion_mnist", DATA["fashion_mnist"]), path, shards=5)
    return str(path)


@pytest.fixture(scope="module")
def address():
    """Start a dispatcher with a worker, and another worker."""
    processes = []

    def start(*words):
        process = subprocess.Popen(
            [sys.executable, "-m", "pipelines", "serve-data", *words], stdout=subprocess.PIPE, text=True
        )
        processes.append(process)
        line = process.stdout.readline()
        assert line.startswith("serving: "), line
        return line.split()[-1]

    dispatcher = start()
    assert start("--join", dispatcher) == dispatcher
    yield dispatcher
    for process in processes:
        process.kill()
        process.communicate()


def test_every_example_is_there_once_with_its_augmentation(folder, address):
    split = pipelines.load("shards", folder).train
    local = pipelines.feed(
        split,
        decode=lambda example: (tf.io.decode_png(example["image"], channels=1), example["label"]),
        augment=pipelines.augment.policy("rotation=10,cutout=0.2"),
    )
    served = data_service.served(local, split, folder, address)
    epochs = [list(feed.epochs(64, seed=1, start=1, stop=3).as_numpy_iterator()) for feed in (served, local)]
    sizes = [len(labels) for _, labels in epochs[0]]
    assert sizes == [len(labels) for _, labels in epochs[1]] == 2 * [*[64] * 8, 38]
    for epoch in range(2):
        rows, expected = (
            sorted(
                (image.tobytes(), label)
                for images, labels in batches[9 * epoch : 9 * epoch + 9]
                for image, label in zip(images, labels, strict=True)
            )
            for batches in epochs
        )
        assert rows == expected
    halves = served.share(2, range(2)).epochs(64, seed=1, stop=1)
    assert [len(labels) for _, labels in halves] == [32] * 16 + [19] * 2


def test_a_training_by_the_service_is_resumed(folder, address, tmp_path):
    settings = {
        "data": "shards",
        "recipe.epochs": 2,
        "model.filters": [4, 4],
        "model.units": 8,
        "recipe.batch_size": 50,
    }
    options = {"settings": settings, "data_dir": folder, "out": str(tmp_path / "run"), "data_service": address}
    options |= {"precision": "float32", "evaluate": False}
    train.run("mnist_cnn", **options)
    assert (tmp_path / "run" / "history.csv").read_text().count("\n") == 3
    (tmp_path / "run" / "summary.json").unlink()
    (tmp_path / "run" / "checkpoints" / "state-00002.npz").unlink()
    assert train.run("mnist_cnn", **options)["epochs"] == 2


@pytest.mark.parametrize(
    ("model", "settings", "sentence"),
    [
        ("mnist_cnn", {}, "is for data=shards without recipe.limit"),
        ("mnist_cnn", {"data": "shards", "recipe.limit": 100}, "is for data=shards without recipe.limit"),
        ("flowers", {"data": "shards", "model.backbone": "efficientnet_lite_tiny"}, "nor by a data service"),
        ("pix2pix", {"data": "shards"}, "needs examples with a, b"),
    ],
)
def test_what_the_service_cannot_feed_is_refused(model, settings, sentence, folder, address, tmp_path):
    with pytest.raises(UsageError, match=sentence):
        train.run(model, settings=settings, data_dir=folder, data_service=address, out=str(tmp_path / "run"))
    assert not (tmp_path / "run" / "config.json").exists()


def test_an_address_without_a_service_is_one_sentence(folder, tmp_path):
    for address, sentence in (
        ("127.0.0.1:1", "no data service answers at 127.0.0.1:1"),
        ("here", "is HOST:PORT, not 'here'"),
    ):
        with pytest.raises(DataError, match=sentence):
            train.run(
                "mnist_cnn", settings={"data": "shards"}, data_dir=folder, data_service=address, out=str(tmp_path)
            )


def test_a_feed_of_other_examples_or_with_an_order_is_refused(folder, address):
    split = pipelines.load("shards", folder).train
    for feed in (pipelines.feed(split.take(5)), pipelines.feed(split, ordered=True)):
        with pytest.raises(DataError, match="does not take the examples of its shards one by one"):
            data_service.served(feed, split, folder, address)


def test_several_workers_have_no_service(monkeypatch):
    config = '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 0}}'
    monkeypatch.setenv("TF_CONFIG", config)
    with pytest.raises(UsageError, match="--data-service is for one process"):
        train.run("mnist", settings={"data": "shards"}, data_service="127.0.0.1:1", out="nowhere")


def test_a_record_that_is_damaged_later_ends_the_training_by_name(folder, tmp_path):
    """As in a store, whose files are not read as a whole when they are loaded."""
    for path in Path(folder).glob("*.*"):
        tf.io.gfile.copy(str(path), f"ram://damaged/{path.name}")
    name = "ram://damaged/train-00001-of-00005.tfrecord"
    content = bytearray((Path(folder) / "train-00001-of-00005.tfrecord").read_bytes())
    content[len(content) // 2] ^= 1
    tf.io.gfile.remove(name)
    with tf.io.gfile.GFile(name, "wb") as file:
        file.write(bytes(content))
    with pytest.raises(DataError, match=f"^{name} is damaged: its SHA-256 is not that of the manifest"):
        train.run("mnist_cnn", settings={"data": "shards"}, data_dir="ram://damaged", out=str(tmp_path / "run"))
