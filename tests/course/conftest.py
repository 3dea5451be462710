"""Pages of the course in their smallest form, written once per session from small real data."""

import pytest

from docs.course.__main__ import write
from tests.zoo.conftest import DATA
from zoo.core import environment


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    """Return the folder of a cache of its own."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="package", autouse=True)
def _own_cache(cache):
    """Prepare TensorFlow, and use that cache in these tests only."""
    environment.prepare()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOO_CACHE", str(cache))
        yield


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
