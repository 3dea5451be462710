"""Zeros and clusters of kernels: chosen by magnitude, kept by every step, bitwise after a resume, small after gzip."""

import gzip
import re

import keras
import numpy as np
import pytest
from sklearn.cluster import KMeans

import zoo
from export import Quantization, export_model
from tests.zoo.conftest import fit
from zoo.compression import constraints
from zoo.compression.clustering import cluster
from zoo.compression.constraints import Compression, kernels_of
from zoo.compression.sparsity import choose, parse, polynomial
from zoo.core.plan import make_plan
from zoo.core.run_folder import RunFolder
from zoo.training import checkpoints, trainer
from zoo.training.session import Session
from zoobase.console import Console
from zoobase.errors import UsageError

RNG = np.random.default_rng(0)
SETTINGS = {
    "data": "digits",
    "model.units": [32],
    "recipe.epochs": 4,
    "recipe.batch_size": 20,
    "recipe.limit": 200,
    "recipe.ema": 0.9,
    "recipe.sparsity": "0.8",
    "recipe.clusters": 8,
}


def run(out, **changes):
    settings = {**SETTINGS, **{f"recipe.{name}": value for name, value in changes.items()}}
    return fit("mnist", out, settings, evaluate=False)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("sparse") / "run"
    run(out)
    return out


@pytest.mark.extended
def test_the_share_of_zeros_and_the_clusters_are_those_of_the_setting(whole):
    kernels = [np.asarray(kernel) for kernel in kernels_of(RunFolder(whole).model())]
    assert len(kernels) == 1
    for kernel in kernels:
        assert np.mean(kernel == 0) == pytest.approx(0.8, abs=1e-3)
        assert 6 <= len(np.unique(kernel)) <= 8, "a cluster may have no weight"
    small = [v for v in RunFolder(whole).model().trainable_variables if v.shape == (32, 10)]
    assert len(small) == 1
    assert np.all(np.asarray(small[0]) != 0)


@pytest.mark.extended
def test_exported_files_are_smaller_after_gzip(whole, tmp_path):
    """Against those of the same network before its training."""
    models = {"dense": RunFolder(whole).plan().build(RunFolder(whole).info()), "sparse": RunFolder(whole).model()}
    sizes = {}
    for name, model in models.items():
        bundle = export_model(
            model, tmp_path / name, formats=("tflite", "weights"), quantization=Quantization(("dynamic",))
        )
        files = [bundle.path / a["path"] for a in bundle.manifest["artifacts"]]
        sizes[name] = np.array([len(gzip.compress(file.read_bytes())) for file in files])
    assert len(sizes["dense"]) == 3
    assert np.all(sizes["sparse"] < 0.35 * sizes["dense"]), sizes


@pytest.mark.extended
def test_zeros_and_clusters_survive_a_resume_bitwise(whole, tmp_path, monkeypatch):
    """The state after the second of four epochs, from which another process continues."""

    class Stopped(Exception):
        pass

    save = checkpoints.save

    def stop(folder, epoch, *arguments):
        path = save(folder, epoch, *arguments)
        if epoch == 2:
            raise Stopped
        return path

    monkeypatch.setattr(checkpoints, "save", stop)
    with pytest.raises(Stopped):
        run(tmp_path / "run")
    monkeypatch.undo()
    run(tmp_path / "run")
    arrays = [dict(next(iter(checkpoints.read(out / "checkpoints")))[1]) for out in (whole, tmp_path / "run")]
    names = [name for name in arrays[0] if name.startswith("constraint/")]
    assert sorted(re.sub(r"\d+/\d+/.*/", "", name) for name in names) == ["constraint/kernel", "constraint/kernel"]
    assert all(np.array_equal(arrays[0][name], arrays[1][name]) for name in arrays[0] if name != "state.json")
    assert RunFolder(whole).weights.read_bytes() == RunFolder(tmp_path / "run").weights.read_bytes()


@pytest.mark.parametrize("text", ["0.8", "2:4", "0.75 block 1x16", "0.5 block 4x4"])
def test_patterns(text):
    pattern, kernel = parse(text), RNG.normal(size=(3, 3, 16, 24))
    kept = choose(kernel, pattern, pattern.sparsity)
    assert 1 - kept.mean() == pytest.approx(pattern.sparsity, abs=1e-3)
    matrix = kept.reshape(-1, 24).T  # (outputs, inputs)
    if text == "2:4":
        assert np.all(matrix.reshape(24, -1, 4).sum(-1) == 2)
    height, width = pattern.block
    blocks = matrix.reshape(24 // height, height, -1, width).mean((1, 3))
    assert set(np.unique(blocks)) == {0.0, 1.0}
    if pattern.block == (1, 1) and not pattern.group:
        assert np.abs(kernel[~kept]).max() <= np.abs(kernel[kept]).min()
    later = choose(kernel * choose(kernel, pattern, pattern.sparsity / 2), pattern, pattern.sparsity)
    assert np.array_equal(later, kept), "zeros that were chosen are chosen again"


def test_the_schedule_rises_to_its_end():
    shares = [polynomial(progress, 0.8) for progress in np.linspace(0, 2, 21)]
    assert shares[0] == 0
    assert shares[10:] == [0.8] * 11
    assert np.all(np.diff(np.diff(shares[:11])) < 0), "fast at first"


def test_clusters_are_those_of_k_means():
    four = np.concatenate([RNG.normal(center, 0.1, 50) for center in (-2, 0, 1, 3)])
    for values, clusters in ((four, 4), (RNG.normal(size=2000), 16)):
        labels = cluster(values, clusters)
        assert np.array_equal(np.unique(labels), np.arange(clusters)), "a cluster is empty"
        loss = sum(np.var(values[labels == i]) * np.sum(labels == i) for i in range(clusters))
        assert loss < 1.1 * KMeans(clusters, n_init=10, random_state=0).fit(values[:, None]).inertia_
    assert set(cluster(np.array([1.0, 1.0, 2.0]), 8)) <= set(range(8))


@pytest.mark.parametrize("value", ["1.5", "0.8 block 1", "4:2", "0.8 block 0x4", "dense", "4:4"])
def test_other_patterns_are_refused(value):
    with pytest.raises(UsageError, match=r"recipe.sparsity=.* must be a share such as"):
        zoo.core.recipe.Recipe(sparsity=value)


def test_what_cannot_be_compressed_is_refused(tmp_path):
    small = keras.Sequential([keras.Input((8,)), keras.layers.Dense(8)], name="small")
    small.compile("adam", "mse")
    with pytest.raises(UsageError, match=r"recipe.clusters has no effect on small: it has no kernel with 1,024 values"):
        Compression(small, zoo.core.recipe.Recipe(clusters=4), 10, Console(quiet=True))
    several = keras.Sequential([keras.Input((64,)), keras.layers.Dense(64)], name="several")
    with pytest.raises(UsageError, match=r"recipe.sparsity is for models with one optimizer, and several has several"):
        Compression(several, zoo.core.recipe.Recipe(sparsity="0.8"), 10, Console(quiet=True))


@pytest.mark.parametrize("setting", [("sparsity", "0.8"), ("clusters", 4), ("teacher", "mnist")])
def test_phases_are_refused(setting, tmp_path):
    plan = make_plan("flowers", settings={f"recipe.{setting[0]}": setting[1]})
    session = Session(plan, RunFolder(tmp_path), make_plan("mnist", settings={"data": "digits"}).load_data())
    with pytest.raises(
        UsageError, match=f"recipe.{setting[0]} is not possible with flowers, which is trained in phase"
    ):
        trainer.train(session)


@pytest.mark.extended
def test_without_the_constraint_zeros_do_not_stay(monkeypatch, tmp_path):
    """The test of the share of zeros can fail."""
    monkeypatch.setattr(constraints.Compressed, "__call__", lambda self, w: keras.ops.convert_to_tensor(w))
    run(tmp_path / "run", clusters=0, ema=0.0)
    (kernel,) = kernels_of(RunFolder(tmp_path / "run").model())
    assert np.mean(np.asarray(kernel) == 0) < 0.1


@pytest.mark.extended
def test_zeros_with_quantization_and_a_teacher(tmp_path):
    with pytest.raises(UsageError, match=r"recipe\.clusters is not possible with recipe\.qat"):
        run(tmp_path / "refused", qat="int8")
    run(tmp_path / "run", qat="int8", ema=0.0, teacher="mnist", clusters=0)
    (kernel,) = (np.asarray(kernel) for kernel in kernels_of(RunFolder(tmp_path / "run").model()))
    assert np.mean(kernel == 0) >= 0.8 - 1e-3
    steps = kernel / (np.abs(kernel).max(axis=0, keepdims=True) / 127)  # of the int8 weights of each output
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)
