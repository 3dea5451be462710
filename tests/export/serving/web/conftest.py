"""Sites of the shared bundles, and a page of Chromium."""

import json
import shutil

import pytest

from export.protocol import litert_js
from export.serving.web.site import write_site
from tests.export.conftest import reseal
from tests.export.formats.test_tflite_metadata import rewritten
from tests.plugins import needs

LABELS = [
    "<img src=x onerror=document.title='run'>",
    "</script><script>document.title='run'</script>",
    "cat & dog",
    "d",
]
TITLE = '<b>net</b> & "co" </title>'


@pytest.fixture(scope="session")
def litert():
    try:
        return litert_js.fetch()
    except OSError as error:
        pytest.skip(f"LiteRT.js cannot be downloaded: {error}")


@pytest.fixture(scope="session")
def browser():
    needs.require("chromium")


@pytest.fixture(scope="session")
def site(bundles, shared, litert):
    """Return a gallery: an image classifier whose labels are HTML, an autoencoder, and a model of two inputs."""

    def make(path):
        path.mkdir()
        hostile = shutil.copytree(bundles("functional_cnn").path, path / "cnn")
        contract = json.loads((hostile / "manifest.json").read_text())["contract"]
        lines = "".join(f"{label}\n" for label in LABELS)
        (hostile / "labels.txt").write_text(lines)
        # the page of a TFLite file shows those of its metadata
        rewritten(hostile / "tflite/float32.tflite", lambda graph: None, lambda files: {"labels.txt": lines.encode()})
        reseal(hostile, contract=contract | {"labels": LABELS})
        sources = [hostile, bundles("autoencoder").path, bundles("two_by_two").path]
        write_site(sources, path / "site", titles=[TITLE, "auto", "two"])

    return shared("web", make) / "site"


@pytest.fixture
def net(site):
    (folder,) = (p for p in site.iterdir() if p.is_dir() and p.name not in ("assets", "auto", "two"))
    return folder


@pytest.fixture
def changed_site(site, net, tmp_path):
    """Return a copy of the site that may be changed, and the image classifier's folder in it."""
    copy = shutil.copytree(site, tmp_path / "site")
    return copy, copy / net.name
