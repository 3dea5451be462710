"""The stages of a feed together: order, resuming, memory, and caches of killed processes."""

import os
import subprocess
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import tensorflow as tf

import pipelines
from pipelines import augment, feeding
from pipelines.sources import storage

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


@pytest.mark.parametrize("location", LOCATIONS)
def test_an_augmented_epoch_is_the_same_after_a_resume(fashion, decode, location):
    feed = pipelines.feed(fashion.train, decode=decode, cache=location, augment=augment.policy("flip,shift,cutout"))
    whole = pixels(feed.epochs(64, seed=3, stop=4)).reshape(4, 550, 28, 28, 1)
    assert (pixels(feed.epochs(64, seed=3, start=2, stop=4)) == whole[2:].reshape(-1, 28, 28, 1)).all()


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
@pytest.mark.parametrize("location", [*LOCATIONS, "auto"])
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
    child = subprocess.Popen([sys.executable, "-c", SLOW], stdout=subprocess.PIPE, text=True, env=dict(os.environ))
    try:
        while child.stdout.readline().strip() != "5":
            assert child.poll() is None
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
