"""Datasets as shards: the same batches whatever their number, shares of workers, resumed after a kill, named damage."""

import json
import os
import signal

import numpy as np
import pytest
import tensorflow as tf

import pipelines
from pipelines import DataError, worker_shards
from tests import commands, photographs
from tests.pipelines.conftest import FIXTURES

SPLITS = ("train", "validation", "test")


@pytest.fixture(scope="module")
def folder(fashion, tmp_path_factory):
    path = tmp_path_factory.mktemp("shards") / "garments"
    pipelines.write_shards(fashion, path, shards=7)
    return path


def equal(first, second):
    for split in SPLITS:
        rows = [list(dataset[split].as_numpy_iterator()) for dataset in (first, second)]
        assert len(rows[0]) == len(rows[1]) == first.info.counts[split] == int(second[split].cardinality())
        for a, b in zip(*rows, strict=True):
            assert a.keys() == b.keys()
            for name, value in a.items():
                assert type(value) is type(b[name])
                np.testing.assert_array_equal(value, b[name])
    facts = [json.loads(json.dumps(dataset.info.to_json())) | {"source": ""} for dataset in (first, second)]
    assert facts[0] == facts[1]
    assert first.train.element_spec == second.train.element_spec


@pytest.mark.extended
@pytest.mark.parametrize("location", ["memory", pytest.param("disk", marks=pytest.mark.proof)])
def test_batches_do_not_depend_on_the_number_of_shards(location, fashion, folder, decode, tmp_path):
    datasets = [fashion, pipelines.load("shards", folder)]
    for shards in (1, 3):
        manifest = pipelines.write_shards(fashion, tmp_path / str(shards), shards)
        assert len(manifest.shards["train"]) == shards
        datasets.append(pipelines.load("shards", tmp_path / str(shards)))
        equal(fashion, datasets[-1])
    augment = pipelines.augment.policy("rotation=10,cutout=0.2")
    feeds = [pipelines.feed(d.train, decode=decode, augment=augment, cache=location) for d in datasets]
    passes = [list(feed.epochs(64, seed=3, start=1, stop=3).as_numpy_iterator()) for feed in feeds]
    assert len(passes[0]) == 2 * 9
    for other in passes[1:]:
        for (images, labels), (other_images, other_labels) in zip(passes[0], other, strict=True):
            np.testing.assert_array_equal(images, other_images)
            np.testing.assert_array_equal(labels, other_labels)


@pytest.mark.extended
def test_features_of_every_kind_are_the_same(tmp_path):
    table = pipelines.load("bike_sharing", data_dir=FIXTURES / "bike_sharing.csv", cache_dir=tmp_path)
    columns = {
        "double": np.arange(20) / 3,
        "pixels": np.arange(80, dtype=np.uint8).reshape(20, 2, 2),
        "vector": np.arange(60, dtype=np.float32).reshape(20, 3),
        "text": ["ä\0"] * 20,
        "count": np.arange(20) % 3,
    }
    rows = tf.data.Dataset.from_tensor_slices(columns)
    rows = rows.map(lambda row: row | {"words": tf.fill([row.pop("count")], "word")})  # of unknown length, also 0
    info = pipelines.Info("kinds", "made", "none", "", dict.fromkeys(rows.element_spec, ""), dict.fromkeys(SPLITS, 20))
    kinds = pipelines.Dataset(rows, rows, rows, info)
    for number, dataset in enumerate((table, kinds)):
        pipelines.write_shards(dataset, tmp_path / str(number), shards=2)
        equal(dataset, pipelines.load("shards", tmp_path / str(number)))


def test_images_remain_encoded(tmp_path):
    photographs.write(tmp_path / "photos", 4, classes=3)
    dataset = pipelines.load("image_folder", tmp_path / "photos", tmp_path)
    pipelines.write_shards(dataset, tmp_path / "shards", shards=2)
    equal(dataset, pipelines.load("shards", tmp_path / "shards"))
    for row in pipelines.load("shards", tmp_path / "shards").train.as_numpy_iterator():
        assert row["image"] == (tmp_path / "photos" / row["file"].decode()).read_bytes()


def test_records_are_read_by_what_reads_tf_examples(fashion, folder):
    record = next(tf.data.TFRecordDataset(str(folder / "test-00000-of-00007.tfrecord")).as_numpy_iterator())
    features = tf.train.Example.FromString(record).features.feature
    first = next(fashion.test.as_numpy_iterator())
    assert features["image"].bytes_list.value[:] == [first["image"]]
    assert features["label"].int64_list.value[:] == [first["label"]]


@pytest.mark.extended
def test_other_file_systems_of_tensorflow(fashion, folder, tmp_path):
    """`ram://` is in TensorFlow, as gs:// is, and is read by the same calls."""
    for path in folder.glob("*.*"):
        tf.io.gfile.copy(str(path), f"ram://store/garments/{path.name}", overwrite=True)
    equal(fashion, pipelines.load("shards", "ram://store/garments/", tmp_path))
    name = "ram://store/garments/train-00000-of-00007.tfrecord"
    with tf.io.gfile.GFile(name, "rb") as file:
        content = file.read()
    with tf.io.gfile.GFile(name, "wb") as file:
        file.write(content[:-1])
    with pytest.raises(DataError, match=f"{name} is damaged: it has"):
        pipelines.load("shards", "ram://store/garments", tmp_path)
    with pytest.raises(DataError, match=r"s3://bucket/x/manifest.json cannot be read: Install s3fs"):
        pipelines.load("shards", "s3://bucket/x")


@pytest.mark.extended
def test_a_killed_run_is_finished_and_does_not_write_again(fashion, tmp_path):
    words = ["shard", "digits", "-o", tmp_path / "digits", "--shards", "250"]
    process = start(words)
    unfinished = tmp_path / "digits" / "unfinished.json"
    process.wait_for(lambda: unfinished.exists() and len(json.loads(unfinished.read_text())["shards"]["train"]) >= 3)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "digits").glob("train*")}
    recorded = [shard["file"] for shard in json.loads(unfinished.read_text())["shards"]["train"]]
    assert 3 <= len(recorded) < 250
    with pytest.raises(DataError, match="are not complete: write them again with the same command"):
        pipelines.load("shards", tmp_path / "digits")

    printed = start(words).finish()
    for name in recorded:
        assert f"complete: {name}" in printed
        assert (tmp_path / "digits" / name).stat().st_mtime_ns == before[name]
    equal(pipelines.load("digits"), pipelines.load("shards", tmp_path / "digits"))
    names = sorted(path.name for path in (tmp_path / "digits").iterdir())
    assert names == sorted([".lock", "manifest.json", *(n for n in names if n.endswith(".tfrecord"))])


def start(words):
    return commands.Command("-m", "pipelines", *words, merged=True)


def test_other_settings_and_other_folders_are_refused(fashion, folder, tmp_path):
    with pytest.raises(
        DataError, match="holds shards of own_fashion_mnist that differ in --shards: choose another folder"
    ):
        pipelines.write_shards(fashion, folder, shards=6)
    with pytest.raises(DataError, match=r"holds shards of own_fashion_mnist that differ in .*name, licence"):
        pipelines.write_shards(pipelines.load("digits"), folder, shards=7)
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(DataError, match="is not empty and holds no shards"):
        pipelines.write_shards(fashion, tmp_path)
    with pytest.raises(DataError, match="not to gs://bucket/x; copy the folder"):
        pipelines.write_shards(fashion, "gs://bucket/x")
    with pytest.raises(DataError, match=r"there is no .*manifest.json: --data-dir is a folder that"):
        pipelines.load("shards", tmp_path)
    with pytest.raises(DataError, match="was written with the split official, not 60/20/20"):
        pipelines.load("shards", folder, split="60/20/20")
    with pytest.raises(DataError, match="set --data-dir FOLDER"):
        pipelines.load("shards")


def test_a_flipped_byte_is_refused_and_written_again(fashion, tmp_path):
    pipelines.write_shards(fashion, tmp_path / "x", shards=3)
    pipelines.load("shards", tmp_path / "x", tmp_path)  # the digests are in the cache
    file = tmp_path / "x" / "train-00001-of-00003.tfrecord"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(DataError, match=f"{file} is damaged: its SHA-256 is not that of the manifest"):
        pipelines.load("shards", tmp_path / "x", tmp_path)
    written = []
    pipelines.write_shards(fashion, tmp_path / "x", 3, lambda shard, new: written.append(shard.file) if new else None)
    assert written == ["train-00001-of-00003.tfrecord", "train-00002-of-00003.tfrecord"]
    equal(fashion, pipelines.load("shards", tmp_path / "x", tmp_path))
    file.unlink()
    with pytest.raises(DataError, match=f"{file} is missing"):
        pipelines.load("shards", tmp_path / "x", tmp_path)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda m: m["shards"]["train"][0].update(file="../../etc/passwd"), "is not the name of a shard"),
        (lambda m: m.pop("features"), "is damaged: it has no 'features'"),
        (lambda m: m.update(format=9), "has the format 9"),
        (lambda m: m["shards"]["test"].pop(), "its shards of test do not have 200 examples"),
    ],
)
def test_a_damaged_manifest_is_one_sentence(change, sentence, folder, tmp_path):
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest)
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DataError, match=sentence):
        pipelines.load("shards", tmp_path)


@pytest.fixture
def stored(tmp_path):
    """Return the URL of a folder of shards in a store that TensorFlow cannot read."""
    import fsspec

    pipelines.write_shards(pipelines.load("digits"), tmp_path / "shards", shards=3)
    store = fsspec.filesystem("memory")
    store.put(str(tmp_path / "shards"), "/stored/shards", recursive=True)
    yield "memory://stored/shards"
    store.rm("/stored", recursive=True)


@pytest.mark.extended
def test_shards_in_a_store_are_copied_when_they_are_read(stored, tmp_path):
    loaded = pipelines.load("shards", stored, tmp_path / "cache")
    assert list((tmp_path / "cache").rglob("*.tfrecord")) == []
    first = next(loaded.train.as_numpy_iterator())
    copies = [path.name for path in (tmp_path / "cache").rglob("*.tfrecord")]
    assert [name.partition("-")[2] for name in copies] == ["train-00000-of-00003.tfrecord"]
    assert np.array_equal(first["image"], next(pipelines.load("digits").train.as_numpy_iterator())["image"])


@pytest.mark.extended
def test_a_damaged_shard_in_a_store_is_named(stored, tmp_path):
    import fsspec

    store = fsspec.filesystem("memory")
    path = "/stored/shards/train-00000-of-00003.tfrecord"
    content = bytearray(store.cat_file(path))
    content[100] ^= 1
    store.pipe_file(path, bytes(content))
    with pytest.raises(tf.errors.OpError, match=r"train-00000-of-00003\.tfrecord is damaged: its SHA-256"):
        next(pipelines.load("shards", stored, tmp_path / "cache").train.as_numpy_iterator())
    store.rm(path)
    with pytest.raises(DataError, match=r"train-00000-of-00003\.tfrecord is missing"):
        pipelines.load("shards", stored, tmp_path / "cache")


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    path = tmp_path_factory.mktemp("shards") / "digits"
    pipelines.write_shards(pipelines.load("digits"), path, shards=5)
    return str(path)


def feeds(digits, workers, devices=1, cache="auto", split=None):
    """Return the feed of each worker, whose batches are (keys, images)."""
    train = pipelines.load("shards", digits).train
    feed = pipelines.feed(
        train, decode=lambda example: example["image"], cache=cache, augment=lambda batch, keys: (keys, batch)
    )
    parts = workers * devices
    return [
        worker_shards.share(feed, split or train, digits, i, workers).share(
            parts, range(i * devices, (i + 1) * devices)
        )
        for i in range(workers)
    ]


@pytest.mark.extended
@pytest.mark.parametrize("cache", ["memory", "none"])
@pytest.mark.parametrize(("workers", "devices", "size"), [(2, 1, 64), (2, 2, 30)])
def test_each_example_is_read_by_one_worker(workers, devices, size, cache, digits):
    images = [example["image"] for example in pipelines.load("digits").train.as_numpy_iterator()]
    found = []
    epochs = [
        [*feed.epochs(size, seed=3, stop=1).as_numpy_iterator()] for feed in feeds(digits, workers, devices, cache)
    ]
    steps = {len(batches) // devices for batches in epochs}
    assert steps == {feeds(digits, workers, devices)[0].steps(size)}  # of all workers alike
    for batches in zip(*epochs, strict=True):
        assert abs(sum(len(keys) for keys, _ in batches) * devices - size) <= devices
        for keys, batch in batches:
            found += keys[:, 2].tolist()
            assert (keys[:, 0] == 3).all()
            assert all(np.array_equal(image, images[index]) for (_, _, index), image in zip(keys, batch, strict=True))
    assert len(found) == len(set(found))
    assert len(found) > len(images) - workers * (size + max(len(images) // 5, 1))


@pytest.mark.extended
def test_the_order_is_another_in_each_epoch_and_is_resumed_within_one(digits):
    feed = feeds(digits, 2)[1]
    keys = [keys for keys, _ in feed.epochs(50, seed=1, stop=2).as_numpy_iterator()]
    steps = feed.steps(50)
    assert (np.sort(np.concatenate(keys[:steps])[:, 2]) != np.concatenate(keys[:steps])[:, 2]).any()
    assert (np.concatenate(keys[:steps])[:, 2] != np.concatenate(keys[steps:])[:, 2]).any()
    rest = [keys for keys, _ in feed.epochs(50, seed=1, start=1, stop=2, skip=4).as_numpy_iterator()]
    assert np.array_equal(rest, keys[steps + 4 :])


def test_fewer_files_than_workers_is_one_sentence(digits):
    with pytest.raises(pipelines.DataError, match="has 5 files of training examples, fewer than 6 workers"):
        feeds(digits, 6)


def test_a_feed_of_something_else_is_left_as_it_is(digits):
    feed = feeds(digits, 2, split=pipelines.load("digits").train)[0]
    assert not isinstance(feed, worker_shards.ShardsFeed)
