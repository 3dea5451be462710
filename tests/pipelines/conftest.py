import os
import urllib.request
from pathlib import Path

import pytest

FIXTURES = Path(__file__).parent.parent / "fixtures"


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def fashion(cache):
    import pipelines

    return pipelines.load("fashion_mnist", data_dir=FIXTURES / "fashion_mnist", cache_dir=cache)


@pytest.fixture(scope="session")
def decode():
    import tensorflow as tf

    return lambda example: (tf.io.decode_png(example["image"], channels=1), example["label"])


@pytest.fixture
def offline(monkeypatch):
    """Make all network sources fail immediately: apt, pip and every proxy use a closed port."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
        monkeypatch.setenv(name.upper(), "http://127.0.0.1:9")
    monkeypatch.setattr(urllib.request, "_opener", None)  # urlopen keeps the proxies of its first call
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("PIP_RETRIES", "0")
