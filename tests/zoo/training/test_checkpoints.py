"""Best weights and states: a full disk keeps the old ones, and a damaged one is never taken for a good one."""

import contextlib
import resource

import keras
import numpy as np
import pytest

from zoo.core.weight_files import check_file, load_file, save_file
from zoo.training import checkpoints
from zoobase.errors import ZooError


@contextlib.contextmanager
def full_disk(size=1000):
    """Let the system refuse to write more than `size` bytes to any file."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.fixture(scope="module")
def model():
    model = keras.Sequential([keras.Input((20,)), keras.layers.Dense(30), keras.layers.Dropout(0.5, seed=1)])
    model.compile("sgd", "mse")
    return model


def test_a_full_disk_keeps_the_best_weights(model, tmp_path):
    file = tmp_path / "best.weights.h5"
    save_file(model, file)
    content = file.read_bytes()
    with full_disk(), pytest.raises(OSError, match=r"best\.weights\.h5'?$") as error:
        save_file(model, file)
    assert "cannot be written: File too large" in str(error.value)
    assert file.read_bytes() == content
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.weights.h5", "best.weights.h5.sha256"]
    load_file(model, file)


def test_a_full_disk_keeps_the_states(model, tmp_path):
    checkpoints.save(tmp_path, 1, model, {})
    with full_disk(), pytest.raises(OSError, match="cannot be written"):
        checkpoints.save(tmp_path, 2, model, {})
    ((path, arrays),) = checkpoints.read(tmp_path)
    assert path.name == "state-00001.npz"
    assert arrays is not None


def test_every_flip_of_a_bit_in_a_state_is_found(model, tmp_path):
    for epoch in (1, 2):
        checkpoints.save(tmp_path, epoch, model, {"rows": []})
    newest = tmp_path / "state-00002.npz"
    content = newest.read_bytes()
    for position in np.random.default_rng(0).integers(0, len(content), 100):
        damaged = bytearray(content)
        damaged[position] ^= 1 << (position % 8)
        newest.write_bytes(damaged)
        (first, arrays), (second, previous) = checkpoints.read(tmp_path)
        assert (first, arrays, second.name) == (newest, None, "state-00001.npz")
        assert checkpoints.restore(model, previous, second)["epoch"] == 1


def test_only_states_that_are_kept_have_checksums(model, tmp_path):
    for epoch in range(1, 5):
        checkpoints.save(tmp_path, epoch, model, {})
    names = {f"state-0000{epoch}.npz" for epoch in (3, 4)}
    assert {path.name for path in tmp_path.iterdir()} == names | {f"{name}.sha256" for name in names}


def test_a_state_without_a_checksum_is_not_read(model, tmp_path):
    path = checkpoints.save(tmp_path, 1, model, {})
    assert next(checkpoints.read(tmp_path))[1] is not None
    path.with_name(path.name + ".sha256").unlink()
    assert next(checkpoints.read(tmp_path))[1] is None


def test_damaged_best_weights_are_one_sentence(model, tmp_path):
    file = tmp_path / "best.weights.h5"
    save_file(model, file)
    old = file.read_bytes()
    model.set_weights([value + 1 for value in model.get_weights()])
    save_file(model, file)
    new = file.read_bytes()
    file.write_bytes(old)  # the process was killed after it wrote the new checksum
    check_file(file)
    file.write_bytes(new[:-1] + bytes([new[-1] ^ 1]))
    with pytest.raises(ZooError, match=r"best\.weights\.h5 is damaged"):
        load_file(model, file)
