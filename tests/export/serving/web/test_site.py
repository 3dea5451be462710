"""The files of a site."""

import json
import re
import shutil

import pytest

from export import ExportError
from export.serving.web.bundle_pages import embedded
from export.serving.web.site import write_site
from tests.export.conftest import reseal
from tests.export.serving.web.conftest import LABELS
from tests.export.test_cli import run
from zoobase.errors import CheckFailed


def snapshot(folder):
    return {p.relative_to(folder).as_posix(): p.stat().st_mtime_ns for p in folder.rglob("*")}


def test_names_and_labels_never_are_html(site, net):
    for page in site.rglob("*.html"):
        text = page.read_text()
        assert "<img src=x" not in text
        assert "<b>" not in text
        scripts = re.findall(r"<script([^>]*)>(.*?)</script>", text, re.DOTALL)
        assert all("src=" in attributes and not body for attributes, body in scripts if "json" not in attributes)
        assert "default-src 'none'" in text
        assert "unsafe-inline" not in text
        assert "'unsafe-eval'" not in text
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', (net / "index.html").read_text())
    assert json.loads(data)["labels"] == LABELS
    assert json.loads(embedded(["</script>", float("nan")])) == ["</script>", None]


def test_a_gallery_has_a_folder_for_each_bundle(site, net):
    index = (site / "index.html").read_text()
    for name in (net.name, "auto", "two"):
        assert f'href="{name}/index.html"' in index
        assert {p.name for p in (site / name).iterdir()} >= {"index.html", "golden.html", "golden.json", "model.tflite"}
    assert re.fullmatch(r"[A-Za-z0-9._-]+", net.name)
    auto = {p.name for p in (site / "auto").glob("endpoint-*.html")}
    assert auto == {"endpoint-encode.html", "endpoint-decode.html"}


def test_only_a_site_is_replaced_and_only_by_a_whole_one(bundles, damaged, tmp_path, litert):
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").write_text("years of work")
    with pytest.raises(ExportError, match="is not a site"):
        write_site([bundles("two_by_two").path], out)
    assert {p.name for p in out.iterdir()} == {"thesis.tex"}
    shutil.rmtree(out)
    assert write_site([bundles("two_by_two").path], out) == out
    before = snapshot(out)
    broken = damaged("two_by_two")
    (broken / "golden" / "cases.json").write_text("{}")
    reseal(broken)
    with pytest.raises(ExportError, match="are malformed"):
        write_site([broken], out)
    assert snapshot(out) == before
    assert {p.name for p in tmp_path.iterdir()} == {"out", "two_by_two"}  # nothing staged is left
    write_site([bundles("two_by_two").path], out, titles=["again"])
    assert "<h1>again</h1>" in (out / "index.html").read_text()
    assert {p.name for p in tmp_path.iterdir()} == {"out", "two_by_two"}


def test_what_was_not_proven_has_no_page(damaged, tmp_path):
    folder = damaged("two_by_two")
    (folder / "tflite/float32.tflite").write_bytes(b"other")
    with pytest.raises(CheckFailed, match="is damaged"):
        write_site([folder], tmp_path / "site")
    certificate = json.loads((folder / "parity.json").read_text())
    (folder / "parity.json").write_text(json.dumps(certificate | {"verdict": "fail"}))
    reseal(folder)
    with pytest.raises(CheckFailed, match="only a bundle that passed"):
        write_site([folder], tmp_path / "site")
    assert not (tmp_path / "site").exists()


def test_text_has_no_page(bundles, tmp_path):
    process = run("web", bundles("category").path, "-o", tmp_path / "site")
    assert process.returncode == 2
    assert process.stderr.endswith("kind of serving_default is string, which LiteRT.js does not have\n")
    assert process.stderr.count("\n") == 1
    assert not (tmp_path / "site").exists()
