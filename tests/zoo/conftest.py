"""Fixtures: every model of the zoo in a test size, trained once per session on small real data."""

from pathlib import Path

import numpy as np
import pytest

import zoo
from tests import photographs
from zoo.core import environment

FIXTURES = Path(__file__).parent.parent / "fixtures"
DATA = {  # and what `_data` writes
    "all_texts": FIXTURES / "shakespeare.txt",
    "bike_sharing": FIXTURES / "bike_sharing.csv",
    "edges_to_garments": FIXTURES / "fashion_mnist",
    "fashion_mnist": FIXTURES / "fashion_mnist",
    "garment_boxes": FIXTURES / "fashion_mnist",
    "garment_scenes": FIXTURES / "fashion_mnist",
    "mnist": FIXTURES / "fashion_mnist",  # four files of the same form
    "movie_reviews": FIXTURES / "speeches.csv",
    "shakespeare": FIXTURES / "shakespeare.txt",
    "sneakers_to_boots": FIXTURES / "fashion_mnist",
}


def data_dir(model: str) -> str | None:
    """Return the path of the small real data of a model; None if an installed package provides it."""
    path = DATA.get(zoo.get_spec(model).data)
    return path and str(path)


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    """Return the folder of a cache of its own."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="package", autouse=True)
def own_cache(cache):
    """Prepare TensorFlow, and use that cache in these tests only: others need what is installed in the user's."""
    environment.prepare()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOO_CACHE", str(cache))
        yield


@pytest.fixture(scope="session", autouse=True)
def _data(shared):
    """Write the data that is not in `tests/fixtures`."""
    DATA["cmudict"] = shared("pronunciations.tsv", _write_pronunciations)
    DATA["file_folder"] = shared("files", _write_files)
    DATA["dates"] = shared("dates.tsv", _write_dates)
    DATA["table"] = shared("table.csv", _write_table)
    DATA["spoken_numbers"] = shared("sounds", _write_sounds)
    images = shared("photographs", lambda path: photographs.write(path, 20, classes=6))
    DATA.update(image_folder=images, oxford_flowers102=images, wallpapers=images)


def _write_dates(path: Path):
    """Write some of the shortest pairs of `dates`: a proof decodes token by token, and traces a graph for each."""
    from pipelines.datasets import dates

    rows = [row for row in dates._generate()["test"] if len(row[0]) <= len("3 March 1987")][:500]
    path.write_text("source\ttarget\n" + "".join(f"{source}\t{target}\n" for source, target in rows))


def _write_files(path: Path):
    """Write files of three types, of a few bytes to some kilobytes, that begin and end like such files."""
    for i in range(40):
        row, middle = f"{i},{i * i},x{i}\n" * (i + 1), "  " * i
        content = {
            "csv": f"id,square,name\n{row}".encode(),
            "json": f'{middle}{{"id": {i}, "rows": {list(range(i * 20))}}}\n'.encode(),
            "png": b"\x89PNG\r\n\x1a\n" + bytes((i * k) % 256 for k in range(300 * i)) + b"IEND\xaeB`\x82",
        }
        for name, data in content.items():
            file = path / name / f"{i}.{name}"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)


def _write_pronunciations(path: Path):
    """Write the pronunciations of words of at most eight letters, for the same reason."""
    head, *rows = (FIXTURES / "pronunciations.tsv").read_text().splitlines(keepends=True)
    path.write_text(head + "".join(row for row in rows if len(row.split("\t")[0]) <= 8))


def _write_sounds(path: Path):
    """Write three "words" as Speech Commands has them: tones that rise, fall or stay, and noise of the background."""
    from tests.pipelines.sound.test_sound import write

    random = np.random.default_rng(0)
    time = np.arange(9600) / 16000
    for word, slope in (("up", 500), ("down", -500), ("stay", 0)):
        (path / word).mkdir(parents=True)
        for i in range(30):
            phase = 2 * np.pi * (random.uniform(600, 900) * time + slope * time**2 / 2)
            samples = random.uniform(0.2, 0.8) * np.sin(phase) * np.hanning(9600)
            write(path / word / f"{i // 2:08x}_nohash_{i % 2}.wav", samples + random.normal(0, 0.01, 9600), 16000)
    (path / "_background_noise_").mkdir()
    write(path / "_background_noise_" / "hum.wav", random.normal(0, 0.05, 160_000).clip(-1, 1), 16000)


def _write_table(path: Path):
    """Write some rows and columns of the bike rentals as a table of unknown columns."""
    rows = [line.split(",") for line in DATA["bike_sharing"].read_text().splitlines()[:400]]
    path.write_text("".join(f"{row[1]},{row[7]},{row[-1]}\n" for row in rows))


@pytest.fixture(scope="session")
def trained(shared):
    """Return a function: model name -> the folder of a finished test-sized run, with its bundle; it is not changed."""

    def get(name: str) -> Path:
        from zoo import train

        settings = zoo.get_spec(name).tiny_settings() | {"recipe.epochs": 2, "recipe.batch_size": 50}
        options = {"settings": settings, "data_dir": data_dir(name), "precision": "float32"}
        return shared(name, lambda path: train.run(name, out=str(path), **options))

    return get
