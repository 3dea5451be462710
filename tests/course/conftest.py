"""Pages of the course in their smallest form, written once per session from small real data."""

import pytest

from docs.course.__main__ import write
from tests.zoo.conftest import DATA, cache, own_cache  # noqa: F401 - two are fixtures


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
