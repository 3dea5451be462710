"""Pages of the course in their smallest form, written once per session from small real data."""

import os

import pytest

from docs.course.__main__ import write
from tests.zoo.conftest import DATA
from zoo.core import environment


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory):
    """Prepare TensorFlow and a cache of its own."""
    previous = os.environ.get("ZOO_CACHE")
    os.environ["ZOO_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    environment.prepare()
    yield
    os.environ.pop("ZOO_CACHE")
    if previous is not None:
        os.environ["ZOO_CACHE"] = previous


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    """Return a function: name of a lesson -> its page in the smallest form."""
    folder, pages = tmp_path_factory.mktemp("course"), {}

    def get(name):
        if name not in pages:
            data_dirs = {dataset: str(path) for dataset, path in DATA.items()}
            pages[name] = write(name, folder, small=True, data_dirs=data_dirs)
        return pages[name]

    return get
