"""Pages that ask a server, in a real Chromium; the example for docker compose."""

import json
import subprocess
import urllib.request
from pathlib import Path

import pytest

from export import load, publish
from export.serving.web.site import write_served_pages
from tests.export.serving.servers.nginx import running_nginx
from tests.export.serving.web.tab import tab
from tests.plugins import needs

REVIEW = "a moving and beautiful film"
COMPOSE = Path(__file__).parents[4] / "examples/serving/compose"


@pytest.fixture(scope="module")
def page():
    needs.require("chromium")
    with tab() as opened:
        yield opened


@pytest.fixture(scope="module")
def sentiment(tmp_path_factory):
    from zoo import export

    (bundle,) = export.run("sentiment", out=tmp_path_factory.mktemp("bundles") / "sentiment")
    return Path(bundle["path"])


@pytest.mark.parametrize("name", ["functional_cnn", "two_by_two", "autoencoder"])
def test_a_page_gets_the_answers_of_the_saved_model(name, bundles, served, page, tmp_path):
    source = bundles(name).path
    write_served_pages(source, tmp_path / "pages", source.name)
    assert not (tmp_path / "pages" / "model.tflite").exists()
    with served(source, tmp_path / "pages") as model:
        page.requests.clear()
        assert page.open(f"{model.page}golden.html") == "pass", page.text("status")
        assert page.open(f"{model.page}index.html") == "answered"
        assert any(url.endswith(f"/v1/models/{source.name}:predict") for url in page.requests)
        assert not any("litert" in url for url in page.requests)


@pytest.mark.proof
def test_a_review_is_answered_by_the_server(sentiment, served, page, tmp_path):
    write_served_pages(sentiment, tmp_path / "pages", "sentiment")
    expected = load(sentiment)["text"](text=[REVIEW])
    with served(sentiment, tmp_path / "pages") as model:
        assert page.open(f"{model.page}index.html") == "answered"
        page.evaluate(f"document.getElementById('text').value = {REVIEW!r}")
        page.evaluate("document.getElementById('text').dispatchEvent(new Event('input'))")
        share = f"{100 * expected['score'][0]:.1f} %"
        answer = f"{expected['label'][0].decode()}, {share}"
        page.wait(f"document.getElementById('answer').textContent === {answer!r}")
        page.wait("document.getElementById('words').children.length > 0")
    page.evaluate("document.getElementById('text').dispatchEvent(new Event('input'))")  # the server is gone
    page.wait("document.getElementById('status').textContent.startsWith('The server does not answer')")


def test_the_page_behind_nginx_asks_the_server(bundles, served, page, tmp_path):
    source = bundles("functional_cnn").path
    publish(source, tmp_path / "models" / "mine")
    write_served_pages(source, tmp_path / "pages", "mine")
    with served(tmp_path / "models" / "mine") as model:
        text = (COMPOSE / "nginx.conf").read_text().replace("model:8501", model.url.split("/")[2])
        text = text.replace("/pages", str(tmp_path / "pages"))
        with running_nginx(text, tmp_path) as address:
            page.requests.clear()
            assert page.open(f"{address}/golden.html") == "pass", page.text("status")
            assert page.open(f"{address}/index.html") == "answered"
            assert f"{address}/v1/models/mine:predict" in page.requests
            with urllib.request.urlopen(f"{address}/v1/models/mine") as response:
                assert response.headers["Cache-Control"] == "no-store"
            request = urllib.request.Request(f"{address}/index.html", headers={"Accept-Encoding": "gzip"})
            with urllib.request.urlopen(request) as response:
                assert (response.headers["Content-Encoding"], response.headers["Cache-Control"]) == ("gzip", "no-cache")


@pytest.mark.needs("docker-compose")
def test_docker_compose_reads_the_file():
    command = ["docker-compose", "config", "--format", "json"]
    result = subprocess.run(command, cwd=COMPOSE, check=True, capture_output=True, text=True)
    services = json.loads(result.stdout)["services"]
    assert set(services) == {"model", "page"}
    for service in services.values():
        assert (":" in service["image"], service["restart"]) == (True, "unless-stopped")
        assert service["healthcheck"]["test"]
