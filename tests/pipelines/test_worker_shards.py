"""Workers read files of their own: together they have each example once, with the keys that it has alone."""

import numpy as np
import pytest

import pipelines
from pipelines import worker_shards


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("shards") / "digits"
    pipelines.write_shards(pipelines.load("digits"), path, shards=5)
    return str(path)


def feeds(folder, workers, devices=1, cache="auto", split=None):
    """Return the feed of each worker, whose batches are (keys, images)."""
    train = pipelines.load("shards", folder).train
    feed = pipelines.feed(
        train, decode=lambda example: example["image"], cache=cache, augment=lambda batch, keys: (keys, batch)
    )
    parts = workers * devices
    return [
        worker_shards.share(feed, split or train, folder, i, workers).share(
            parts, range(i * devices, (i + 1) * devices)
        )
        for i in range(workers)
    ]


@pytest.mark.parametrize("cache", ["memory", "none"])
@pytest.mark.parametrize(("workers", "devices", "size"), [(2, 1, 64), (3, 1, 100), (2, 2, 30)])
def test_each_example_is_read_by_one_worker(workers, devices, size, cache, folder):
    images = [example["image"] for example in pipelines.load("digits").train.as_numpy_iterator()]
    found = []
    epochs = [
        [*feed.epochs(size, seed=3, stop=1).as_numpy_iterator()] for feed in feeds(folder, workers, devices, cache)
    ]
    steps = {len(batches) // devices for batches in epochs}
    assert steps == {feeds(folder, workers, devices)[0].steps(size)}  # of all workers alike
    for batches in zip(*epochs, strict=True):
        assert abs(sum(len(keys) for keys, _ in batches) * devices - size) <= devices
        for keys, batch in batches:
            found += keys[:, 2].tolist()
            assert (keys[:, 0] == 3).all()
            assert all(np.array_equal(image, images[index]) for (_, _, index), image in zip(keys, batch, strict=True))
    assert len(found) == len(set(found))
    assert len(found) > len(images) - workers * (size + max(len(images) // 5, 1))


def test_the_order_is_another_in_each_epoch_and_is_resumed_within_one(folder):
    feed = feeds(folder, 2)[1]
    keys = [keys for keys, _ in feed.epochs(50, seed=1, stop=2).as_numpy_iterator()]
    steps = feed.steps(50)
    assert (np.sort(np.concatenate(keys[:steps])[:, 2]) != np.concatenate(keys[:steps])[:, 2]).any()
    assert (np.concatenate(keys[:steps])[:, 2] != np.concatenate(keys[steps:])[:, 2]).any()
    rest = [keys for keys, _ in feed.epochs(50, seed=1, start=1, stop=2, skip=4).as_numpy_iterator()]
    assert np.array_equal(rest, keys[steps + 4 :])


def test_fewer_files_than_workers_is_one_sentence(folder):
    with pytest.raises(pipelines.DataError, match="has 5 files of training examples, fewer than 6 workers"):
        feeds(folder, 6)


def test_a_feed_of_something_else_is_left_as_it_is(folder):
    feed = feeds(folder, 2, split=pipelines.load("digits").train)[0]
    assert not isinstance(feed, worker_shards.ShardsFeed)
