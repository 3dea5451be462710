"""Fixtures: every model of the zoo in a test size, trained once per session on small real data."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

import zoo
from tests import photographs
from zoo.core import environment

FIXTURES = Path(__file__).parent.parent / "fixtures"
DATES = Path(tempfile.mkdtemp(prefix="dates-")) / "dates.tsv"  # written by `_dates`
PHOTOGRAPHS = Path(tempfile.mkdtemp(prefix="photographs-"))  # written by `_photographs`
DATA = {
    "all_texts": FIXTURES / "shakespeare.txt",
    "bike_sharing": FIXTURES / "bike_sharing.csv",
    "dates": DATES,
    "edges_to_garments": FIXTURES / "fashion_mnist",
    "fashion_mnist": FIXTURES / "fashion_mnist",
    "mnist": FIXTURES / "fashion_mnist",  # four files of the same form
    "movie_reviews": FIXTURES / "speeches.csv",
    "shakespeare": FIXTURES / "shakespeare.txt",
    "image_folder": PHOTOGRAPHS,
    "oxford_flowers102": PHOTOGRAPHS,
    "picture_folder": PHOTOGRAPHS,
    "sneakers_to_boots": FIXTURES / "fashion_mnist",
}


def data_dir(model: str) -> str | None:
    """Return the path of the small real data of a model; None if an installed package provides it."""
    path = DATA.get(zoo.get_spec(model).data)
    return path and str(path)


@pytest.fixture(scope="session", autouse=True)
def _tensorflow(tmp_path_factory):
    os.environ["ZOO_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    environment.prepare()


@pytest.fixture(scope="session", autouse=True)
def _photographs():
    """Write crops of real photographs: six classes of twenty images."""
    photographs.write(PHOTOGRAPHS, 20, classes=6)
    yield
    shutil.rmtree(PHOTOGRAPHS)


@pytest.fixture(scope="session", autouse=True)
def _dates():
    """Write a subset of the pairs of `dates`, which is too large for tests."""
    from pipelines.datasets import dates

    rows = dates._generate()["test"][:500]
    DATES.write_text("source\ttarget\n" + "".join(f"{source}\t{target}\n" for source, target in rows))
    yield
    shutil.rmtree(DATES.parent)


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """Return a function: model name -> the folder of a finished test-sized run, with its bundle."""
    runs = {}

    def get(name: str) -> Path:
        if name not in runs:
            from zoo import train

            out = tmp_path_factory.mktemp("runs") / name
            settings = zoo.get_spec(name).tiny_settings() | {"recipe.epochs": 2, "recipe.batch_size": 50}
            train.run(name, settings=settings, data_dir=data_dir(name), out=str(out))
            runs[name] = out
        return runs[name]

    return get
