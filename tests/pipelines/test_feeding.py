"""Feeds: order, resuming, shares, memory, caches of killed processes, and stateless random numbers."""

import hashlib
import os
import time
from dataclasses import replace
from types import SimpleNamespace

import keras
import numpy as np
import psutil
import pytest
import tensorflow as tf

import pipelines
from pipelines import augment, feeding, stateless_random
from pipelines.sources import storage
from tests import commands
from tests.pipelines.conftest import FIXTURES
from tests.plugins.tiers import first


def digest(batches):
    total = hashlib.sha256()
    for batch in batches.as_numpy_iterator():
        for leaf in tf.nest.flatten(batch):
            total.update(np.ascontiguousarray(leaf).tobytes())
    return total.hexdigest()


def labels(batches):
    return np.concatenate([batch[1] for batch in batches.as_numpy_iterator()])


@pytest.fixture
def plain(fashion, decode):
    return pipelines.feed(fashion.train, decode=decode)


@pytest.mark.parametrize("location", first(["memory", "disk", "none", "auto"], 2))
def test_one_pass_is_in_order(fashion, decode, location, tmp_path, monkeypatch):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    feed = pipelines.feed(fashion.train, decode=decode, cache=location)
    expected = [example["label"] for example in fashion.train.as_numpy_iterator()]
    assert labels(feed.batches(64)).tolist() == expected
    assert feed.count == 550
    assert int(feed.batches(64).cardinality()) == feed.steps(64) == 9
    assert feed.steps(64, drop_remainder=True) == 8


@pytest.mark.parametrize("location", first(["memory", "none"]))
def test_each_iteration_of_train_is_an_epoch(fashion, decode, location):
    feed = pipelines.feed(fashion.train, decode=decode, cache=location, augment=augment.policy("flip,shift"))
    training = feed.train(64, seed=3)
    assert int(training.cardinality()) == 9
    first, second = labels(training), labels(training)
    assert sorted(first) == sorted(second) == sorted(labels(feed.batches(64)))
    assert (first != second).any()
    again, other = feed.train(64, seed=3), feed.train(64, seed=4)
    assert [labels(again).tolist() for _ in range(2)] == [first.tolist(), second.tolist()]
    assert (labels(other) != first).any()
    assert digest(feed.train(64, seed=3)) == digest(feed.train(64, seed=3))


def test_train_in_fit(fashion, decode):
    """`fit` shuffles anew in each epoch, and sees every example once."""
    seen = []

    class Remember(keras.Model):
        def train_step(self, data):
            seen.append(data[1].numpy())
            return {"loss": 0.0}

    model = Remember()
    model.compile("sgd", "mse", run_eagerly=True)
    model.fit(pipelines.feed(fashion.train, decode=decode).train(275), epochs=2, verbose=0)
    epochs = np.concatenate(seen).reshape(2, 550)
    assert (np.sort(epochs[0]) == np.sort(epochs[1])).all()
    assert (epochs[0] != epochs[1]).any()


@pytest.mark.parametrize("location", first(["memory", "disk", "none"]))
def test_epochs_are_different_permutations_and_can_be_resumed(fashion, decode, location, tmp_path, monkeypatch):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    feed = pipelines.feed(fashion.train, decode=decode, cache=location)
    three = labels(feed.epochs(100, seed=1, stop=3)).reshape(3, -1)
    whole = np.sort(labels(feed.batches(100)))
    assert all((np.sort(epoch) == whole).all() for epoch in three)
    assert not (three[0] == three[1]).all()
    assert (labels(feed.epochs(100, seed=1, start=2, stop=3)) == three[2]).all()
    assert not (labels(feed.epochs(100, seed=2, stop=1)) == three[0]).all()


def test_drop_remainder_gives_static_batches(plain):
    batches = plain.epochs(100, seed=0, stop=2, drop_remainder=True)
    assert [x.shape[0] for x, _ in batches] == [100] * 10
    assert int(batches.cardinality()) == 10
    assert batches.element_spec[0].shape[0] == 100


def test_take_is_the_head_and_shares_the_cache(plain):
    head = plain.take(70)
    assert head.store is plain.store
    assert (labels(head.batches(32)) == labels(plain.batches(32))[:70]).all()
    assert head.steps(32) == 3
    assert plain.take(10**6).count == 550


@pytest.mark.extended
def test_output_depends_on_the_seed_and_not_on_the_parallelism(plain, monkeypatch):
    feed = replace(
        plain, augment=augment.on_images(augment.flip_horizontal, augment.shift, augment.cutout, augment.gaussian_noise)
    )
    digests = set()
    for threads, calls in ((1, 1), (2, 2), (8, 7), (3, tf.data.AUTOTUNE), (8, tf.data.AUTOTUNE)):
        monkeypatch.setattr(tf.data, "AUTOTUNE", calls)
        options = tf.data.Options()
        options.threading.private_threadpool_size = threads
        digests.add(digest(feed.epochs(64, seed=3, stop=3).with_options(options)))
    assert len(digests) == 1


@pytest.mark.extended
def test_output_is_the_same_in_another_process(cache, fashion):
    code = f"""
import hashlib, sys, tensorflow as tf
tf.config.threading.set_intra_op_parallelism_threads(int(sys.argv[1]))
tf.config.threading.set_inter_op_parallelism_threads(int(sys.argv[1]))
import pipelines
data = pipelines.load("fashion_mnist", data_dir={str(FIXTURES / "fashion_mnist")!r})
feed = pipelines.feed(data.train, decode=lambda e: (tf.io.decode_png(e["image"], channels=1), e["label"]),
                      augment=pipelines.augment.policy("flip,shift,cutout"))
total = hashlib.sha256()
for x, y in feed.epochs(100, seed=5, stop=2).as_numpy_iterator():
    total.update(x.tobytes() + y.tobytes())
print(total.hexdigest())
"""
    digests = {
        commands.run("-c", code, threads, env=os.environ | {"ZOO_CACHE": str(cache)}).stdout for threads in ("1", "4")
    }
    assert len(digests) == 1
    assert len(digests.pop()) == 64 + len("\n")


def test_augmentation_is_fresh_each_epoch_and_depends_on_the_example(plain):
    feed = replace(plain, augment=lambda batch, keys: (keys, batch[1]))
    keys = np.concatenate([batch[0] for batch in feed.epochs(100, seed=9, start=4, stop=6).as_numpy_iterator()])
    assert (keys[:, 0] == 9).all()
    assert (keys[:, 1] == np.repeat([4, 5], 550)).all()
    assert (np.sort(keys[:550, 2]) == np.arange(550)).all()
    order = labels(plain.batches(550))
    shuffled = labels(plain.epochs(100, seed=9, start=4, stop=5))
    assert (order[keys[:550, 2]] == shuffled).all()


@pytest.mark.extended
@pytest.mark.parametrize(("parts", "batch_size"), [(2, 100), (3, 60), (4, 92)])
def test_the_shares_of_a_batch_are_the_batch(plain, parts, batch_size):
    """550 examples: the last batch has 50, 10 and 90, of which 2, 3 and 4 parts take 25, 3 or 4, and 22 or 23."""
    feed = replace(plain, augment=lambda batch, keys: keys)
    whole = feed.epochs(batch_size, seed=3, stop=2).as_numpy_iterator()
    shares = [feed.share(parts, range(part, part + 1)).epochs(batch_size, seed=3, stop=2) for part in range(parts)]
    for batch, *each in zip(whole, *(share.as_numpy_iterator() for share in shares), strict=True):
        assert {len(share) for share in each} <= {len(batch) // parts, -(-len(batch) // parts)}
        assert (np.concatenate(each) == batch).all()
    together = feed.share(parts, range(parts)).batches(batch_size)
    assert len(together) == parts * feed.steps(batch_size)
    assert (np.concatenate([*together.as_numpy_iterator()])[:, 2] == np.arange(550)).all()


def test_a_last_batch_with_fewer_examples_than_parts_is_dropped(plain):
    share = plain.share(4, range(1, 2))
    assert share.steps(137) == 4  # 550 = 4 * 137 + 2
    assert len([*share.epochs(137, seed=0, stop=3)]) == len(share.epochs(137, seed=0, stop=3)) == 12


def test_validation_noise_has_the_keys_of_epoch_zero(plain):
    keys = next(iter(replace(plain, augment=lambda batch, keys: keys).batches(4)))
    assert keys.numpy().tolist() == [[0, 0, 0], [0, 0, 1], [0, 0, 2], [0, 0, 3]]


def test_unbatchable_or_empty_datasets_are_refused(fashion):
    with pytest.raises(pipelines.DataError, match="empty"):
        pipelines.feed(fashion.train.take(0))
    with pytest.raises(pipelines.DataError, match="infinite"):
        pipelines.feed(fashion.train.repeat())
    with pytest.raises(pipelines.DataError, match="count is 9, but the dataset has 10 examples"):
        next(iter(pipelines.feed(tf.data.Dataset.range(10), count=9).batches(2)))
    with pytest.raises(pipelines.DataError, match='cache "ram"'):
        pipelines.feed(fashion.train, cache="ram")


def test_unknown_cardinality_is_counted():
    odd = tf.data.Dataset.range(10).filter(lambda n: n % 2 == 1)
    assert pipelines.feed(odd).count == 5


def test_auto_goes_to_disk_beyond_the_budget(tmp_path, monkeypatch):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    feed = pipelines.feed(tf.data.Dataset.range(1000))
    monkeypatch.setattr(feeding, "MEMORY", 7999)
    assert feed.store.location == "disk"
    assert np.concatenate(list(feed.batches(300).as_numpy_iterator())).tolist() == list(range(1000))
    monkeypatch.setattr(feeding, "MEMORY", 8000)
    assert pipelines.feed(tf.data.Dataset.range(1000)).store.location == "memory"


def test_disk_caches_are_removed_with_their_feed_and_after_a_kill(tmp_path, monkeypatch):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    killed = tmp_path / "feeds" / "killed"
    killed.mkdir(parents=True)
    (killed / "half").write_text("written")
    feed = pipelines.feed(tf.data.Dataset.range(10), cache="disk")
    list(feed.batches(5))
    assert not killed.exists()
    assert len(list((tmp_path / "feeds").glob("*/"))) == 1
    del feed
    assert not list((tmp_path / "feeds").glob("*/"))


def test_the_hash_is_splitmix64():
    # One column of zeros, stream 0: absorbed once, then the stream of SplitMix64 from that state.
    def mix(z):
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
        return z ^ (z >> 31)

    gamma = 0x9E3779B97F4A7C15
    state = mix((mix(gamma) + gamma) % 2**64)
    expected = [mix((state + step * gamma) % 2**64) for step in (1, 2, 3)]
    assert stateless_random.bits(tf.zeros([1, 1], tf.int64), 0, 3).numpy()[0].tolist() == expected


def test_random_numbers_are_uniform_normal_and_independent():
    keys = stateless_random.example_keys(0, 0, tf.range(20000, dtype=tf.int64))
    uniform = stateless_random.uniform(keys, 1, 2).numpy()
    assert uniform.min() >= 0
    assert uniform.max() < 1
    assert np.histogram(uniform, 10, (0, 1))[0] == pytest.approx(4000, rel=0.06)
    assert abs(np.corrcoef(uniform.T)[0, 1]) < 0.03
    normal = stateless_random.normal(keys, 1, 5).numpy()
    assert normal.shape == (20000, 5)
    assert normal.mean() == pytest.approx(0, abs=0.01)
    assert normal.std() == pytest.approx(1, abs=0.01)
    assert abs(np.corrcoef(stateless_random.uniform(keys, 2, 1).numpy()[:, 0], uniform[:, 0])[0, 1]) < 0.03
    whole = stateless_random.integers(keys, 3, 1, -2, 2).numpy()
    assert np.unique(whole).tolist() == [-2, -1, 0, 1, 2]


LOCATIONS = ["memory", "disk", "none"]


@pytest.fixture(autouse=True)
def scratch(tmp_path, monkeypatch):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    return tmp_path / "feeds"


def pixels(batches):
    return np.concatenate([x for x, *_ in batches.as_numpy_iterator()])


@pytest.mark.parametrize("location", ["memory", "disk"])
def test_the_source_is_read_once(location):
    reads = []

    def source():
        for number in range(50):
            reads.append(number)
            yield number

    examples = tf.data.Dataset.from_generator(source, output_signature=tf.TensorSpec([], tf.int64))
    feed = pipelines.feed(examples, count=50, cache=location)
    passes = [list(feed.epochs(8, seed=0, stop=3).as_numpy_iterator()), list(feed.batches(8).as_numpy_iterator())]
    assert reads == list(range(50))
    assert sum(len(batch) for batch in passes[0]) == 150


@pytest.mark.extended
@pytest.mark.parametrize("location", first(LOCATIONS))
def test_an_augmented_epoch_is_the_same_after_a_resume(fashion, decode, location):
    feed = pipelines.feed(fashion.train, decode=decode, cache=location, augment=augment.policy("flip,shift,cutout"))
    whole = pixels(feed.epochs(64, seed=3, stop=4)).reshape(4, 550, 28, 28, 1)
    assert (pixels(feed.epochs(64, seed=3, start=2, stop=4)) == whole[2:].reshape(-1, 28, 28, 1)).all()


@pytest.mark.extended
def test_batch_composition_does_not_change_an_example(fashion, decode):
    feed = pipelines.feed(fashion.train, decode=decode, augment=augment.policy("flip,shift,cutout"))
    assert (pixels(feed.epochs(7, seed=3, stop=1)) == pixels(feed.epochs(550, seed=3, stop=1))).all()


def test_augmentation_follows_the_cache_and_is_optional(fashion, decode):
    plain = pipelines.feed(fashion.validation, decode=decode)
    changed = replace(plain, augment=augment.policy("noise"))
    raw = np.stack([image for image, _ in fashion.validation.map(decode).as_numpy_iterator()])
    fresh = replace(plain, augment=lambda batch, keys: (augment.gaussian_noise(batch[0], keys), keys))
    epochs = list(fresh.epochs(50, seed=0, stop=2).as_numpy_iterator())
    (first, one), (second, two) = [(x[np.argsort(keys[:, 2])], keys) for x, keys in epochs]
    assert not (first == second).all(axis=(1, 2, 3)).any()  # a frozen augmentation would be equal
    assert not (one[:, 2] == two[:, 2]).all()
    assert not (pixels(changed.batches(16)) == raw).all()
    assert (pixels(plain.batches(16)) == raw).all()
    assert (np.sort(pixels(plain.epochs(16, seed=0, stop=1)), axis=0) == np.sort(raw, axis=0)).all()


@pytest.mark.timeout(60)  # a regression would hang: inside a trace a dataset never ends
@pytest.mark.parametrize("location", first([*LOCATIONS, "auto"]))
def test_the_first_use_may_be_inside_a_trace(fashion, decode, location):
    feed = pipelines.feed(fashion.train, decode=decode, cache=location)
    nested = tf.data.Dataset.range(1).flat_map(lambda _: feed.epochs(275, seed=0, stop=1))
    assert [x.shape[0] for x, _ in nested] == [275, 275]


def test_location_and_order_do_not_depend_on_free_memory(monkeypatch):
    def order() -> list[int]:
        feed = pipelines.feed(tf.data.Dataset.range(1000), cache="auto")
        assert feed.store.location == "memory"
        return np.concatenate(list(feed.epochs(10, seed=0, stop=1).as_numpy_iterator())).tolist()

    expected = order()
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=1000, free=1000, total=2000))
    assert order() == expected  # a run that is resumed on a smaller machine must get the same batches


def test_a_small_shuffle_window_still_gives_every_example(monkeypatch):
    monkeypatch.setattr(feeding, "_WINDOW", 40 * (8 + 2 * feeding._TENSOR))  # an index and an int64 per row
    feed = pipelines.feed(tf.data.Dataset.range(1000), cache="none")
    order = np.concatenate(list(feed.epochs(10, seed=0, stop=1).as_numpy_iterator()))
    assert sorted(order) == list(range(1000))
    assert (order <= np.arange(1000) + 40).all()


@pytest.mark.extended
def test_memory_is_flat_over_epochs(fashion, decode):
    feed = pipelines.feed(fashion.train.repeat(20), decode=decode, augment=augment.policy("flip,shift"))
    batches = iter(feed.epochs(250, seed=0, stop=18))
    memory = []
    for _ in range(18):
        for _ in range(feed.steps(250)):
            next(batches)
        memory.append(psutil.Process().memory_info().rss)
    assert memory[-1] - memory[2] < 50 * 2**20  # one copy of the table per epoch would be 130 MB


SLOW = """
import time, tensorflow as tf, pipelines
def source():
    for number in range(10):
        print(number, flush=True)
        yield number
        time.sleep(60 if number == 5 else 0)
feed = pipelines.feed(tf.data.Dataset.from_generator(source, output_signature=tf.TensorSpec([], tf.int64)),
                      count=10, cache="disk")
list(feed.batches(5))
"""


def test_a_partial_cache_is_removed_and_that_of_a_running_process_is_kept(scratch):
    child = commands.Command("-c", SLOW)
    try:
        child.wait_for(lambda: child.stdout.endswith("5\n"))
        (partial,) = scratch.iterdir()
        running = pipelines.feed(tf.data.Dataset.range(3), cache="disk")
        assert len(list(running.batches(3))) == 1
        assert partial.exists()
    finally:
        child.kill()
        child.wait()
    time.sleep(0.1)
    later = pipelines.feed(tf.data.Dataset.range(10), cache="disk")
    assert np.concatenate(list(later.batches(5).as_numpy_iterator())).tolist() == list(range(10))
    assert not partial.exists()
    assert len(list(running.batches(3))) == 1


def test_a_prepared_folder_appears_by_one_rename(tmp_path):
    with storage.staged(tmp_path / "prepared") as stage:
        (stage / "file").write_text("whole")
        assert not (tmp_path / "prepared").exists()
        inode = stage.stat().st_ino
    assert (tmp_path / "prepared").stat().st_ino == inode
    with pytest.raises(RuntimeError), storage.staged(tmp_path / "prepared") as stage:
        raise RuntimeError("the preparation failed")
    assert (tmp_path / "prepared" / "file").read_text() == "whole"
    assert [path.name for path in tmp_path.iterdir()] == ["prepared"]


def test_a_global_seed_of_zero_does_not_break_the_shuffle_on_disk():
    tf.random.set_seed(0)  # as `zoo.train --seed 0` does
    try:
        feed = pipelines.feed(tf.data.Dataset.range(50), cache="disk")
        values = np.concatenate([b.numpy() for b in feed.epochs(10, seed=0, stop=1)])
    finally:
        tf.random.set_seed(None)
    assert sorted(values) == list(range(50))


def test_batches_by_length_hold_every_example_once_and_little_padding():
    lengths = np.random.default_rng(0).integers(1, 30, 103)
    feed = pipelines.feed(tf.data.Dataset.from_tensor_slices(lengths), length=lambda examples: examples)
    first, again = (list(feed.epochs(8, seed=1, start=0, stop=1).as_numpy_iterator()) for _ in range(2))
    second = list(feed.epochs(8, seed=1, start=1, stop=2).as_numpy_iterator())
    for batches in (first, second):
        assert [len(batch) for batch in batches] == [8] * 12 + [7]
        assert sorted(np.concatenate(batches)) == sorted(lengths)
        assert max(np.ptp(batch) for batch in batches[:-1]) <= 6
        assert [batch.max() for batch in batches] != sorted(batch.max() for batch in batches)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert list(next(feed.batches(8).as_numpy_iterator())) == list(lengths[:8])
