"""Pages that ask a server, in a real Chromium; the project for docker compose."""

import json
import subprocess
import urllib.request
from pathlib import Path

import pytest

from export import ExportError, load
from export.serving.web.site import write_project, write_served_pages
from tests.export.serving.servers.nginx import running_nginx
from tests.export.serving.web.tab import tab
from tests.export.test_cli import run
from tests.plugins import needs

REVIEW = "a moving and beautiful film"


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


def test_the_page_of_a_project_asks_the_server_behind_nginx(bundles, served, page, tmp_path):
    project = write_project(bundles("functional_cnn").path, tmp_path / "project", name="m")
    with served(project / "models" / "m") as model:
        text = (project / "nginx.conf").read_text().replace("model:8501", model.url.split("/")[2])
        text = text.replace("/pages", str(project / "pages"))
        with running_nginx(text, tmp_path) as address:
            page.requests.clear()
            assert page.open(f"{address}/golden.html") == "pass", page.text("status")
            assert page.open(f"{address}/index.html") == "answered"
            assert f"{address}/v1/models/m:predict" in page.requests
            with urllib.request.urlopen(f"{address}/v1/models/m") as response:
                assert response.headers["Cache-Control"] == "no-store"
            request = urllib.request.Request(f"{address}/index.html", headers={"Accept-Encoding": "gzip"})
            with urllib.request.urlopen(request) as response:
                assert (response.headers["Content-Encoding"], response.headers["Cache-Control"]) == ("gzip", "no-cache")


def test_a_compose_project_is_whole_or_absent(bundles, damaged, tmp_path):
    project = write_project(bundles("functional_cnn").path, tmp_path / "project", name="net")
    assert (project / "models/net/1/saved_model.pb").is_file()
    assert (project / "pages/index.html").is_file()
    assert "set $model model:8501;" in (project / "nginx.conf").read_text()
    assert "$" not in (project / "compose.yaml").read_text()  # docker compose would replace it
    assert "--model_base_path=/models/net" in (project / "compose.yaml").read_text()
    assert "./models/net:/models/net:ro" in (project / "compose.yaml").read_text()
    with pytest.raises(ExportError, match="exists; give a folder that does not"):
        write_project(bundles("functional_cnn").path, project)
    with pytest.raises(ExportError, match="cannot be the name of a model in a URL"):
        write_project(bundles("functional_cnn").path, tmp_path / "other", name="a b; rm")
    folder = damaged("functional_cnn")
    (folder / "saved_model/1/saved_model.pb").write_bytes(b"x")
    result = run("web", folder, "-o", tmp_path / "other", "--compose")
    assert result.returncode == 1
    assert "is damaged" in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir() if path != folder) == ["project"]


@pytest.mark.needs("docker-compose")
def test_docker_compose_reads_the_project(bundles, tmp_path):
    project = write_project(bundles("functional_cnn").path, tmp_path / "project", name="net")
    command = ["docker-compose", "config", "--format", "json"]
    result = subprocess.run(command, cwd=project, check=True, capture_output=True, text=True)
    services = json.loads(result.stdout)["services"]
    assert set(services) == {"model", "page"}
    for service in services.values():
        assert (":" in service["image"], service["restart"]) == (True, "unless-stopped")
        assert service["healthcheck"]["test"]
        for volume in service.get("volumes", ()):
            assert Path(volume["source"]).exists()
