"""Pages in a real Chromium: outputs, keys, files, errors, and what leaves the site."""

import base64
import json
import re
import shutil

import keras
import numpy as np
import pytest
from PIL import Image

from export import verify_bundle
from export.protocol import chromium
from export.serving.web.browser import check
from tests.export.conftest import reseal, row_of
from tests.export.perturb import perturb_bytes
from tests.export.serving.web.conftest import LABELS, TITLE
from tests.export.serving.web.tab import STATES, tab
from tests.export.test_cli import run

pytestmark = pytest.mark.usefixtures("browser", "litert")


@pytest.fixture(scope="module")
def page():
    with tab() as opened:
        yield opened


@pytest.fixture
def opened(site, net, page):
    """Return the page of the image classifier, opened from its site."""
    with chromium.serving(site) as url:
        page.open(f"{url}/{net.name}/index.html")
        yield page


def test_golden_rows_equal_those_of_litert_in_python(site):
    results = check(site)
    assert len(results) == 3
    assert {state for state, _ in results.values()} == {"pass"}


@pytest.mark.extended
def test_a_difference_is_found(changed_site, page):
    site, net = changed_site
    golden = json.loads((net / "golden.json").read_text())
    output = golden["serving_default"]["outputs"]["logits"]
    values = np.frombuffer(base64.b64decode(output["data"]), np.float32).copy()
    values[5] += 2e-5 * max(1, np.abs(values).max())
    output["data"] = base64.b64encode(values.tobytes()).decode()
    (net / "golden.json").write_text(json.dumps(golden))
    with chromium.serving(site) as url:
        assert page.open(f"{url}/{net.name}/golden.html") == "fail"
        assert page.text("status") == "This browser differs from Python in 1 of 1 outputs."


def test_labels_are_shown_as_text_and_nothing_leaves_the_site(site, net, page):
    page.requests.clear()
    page.messages.clear()
    with chromium.serving(site) as url:
        assert page.open(f"{url}/{net.name}/index.html") == "answered"
        shown = page.evaluate("Array.from(document.querySelectorAll('#scores th'), (cell) => cell.textContent)")
        assert sorted(shown) == sorted(LABELS)
        assert page.evaluate("document.querySelectorAll('img, b').length") == 0
        assert page.evaluate("document.title") == TITLE
        assert [u for u in page.requests if not u.startswith((url, "about:", "blob:"))] == []
        assert not [text for text in page.messages if "Content Security Policy" in text]
        # and the policy holds: another server is not reached
        reached = "fetch('http://localhost:1/').then(() => 'sent', (error) => 'stopped')"
        assert page.evaluate(reached) == "stopped"
        page.wait("true")
        assert [text for text in page.messages if "Content Security Policy" in text]


def test_keys_and_files(opened, tmp_path):
    Image.fromarray(np.full((40, 30, 3), 200, np.uint8)).save(tmp_path / "grey.png")
    (tmp_path / "note.txt").write_text("not an image")
    opened.evaluate("document.querySelector('canvas').focus()")
    first = opened.text("scores")
    for key in ("Delete", " ", "ArrowLeft", "ArrowLeft", "ArrowUp", "ArrowUp"):
        opened.press(key)
    opened.wait(f"document.getElementById('scores').textContent !== {json.dumps(first)}")
    drawn = opened.text("scores")
    opened.choose_file(tmp_path / "grey.png")
    opened.wait(f"document.getElementById('scores').textContent !== {json.dumps(drawn)}")
    opened.choose_file(tmp_path / "note.txt")
    opened.wait("document.getElementById('status').textContent.startsWith('This file is not an image')")


def test_an_image_reaches_the_model_as_pixels(opened, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (12, 12), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "noise.png")
    opened.evaluate(
        "import('../assets/image_input.js').then(({ ImageInput }) => {"
        "const tensor = JSON.parse(document.getElementById('data').textContent).endpoint.inputs[0];"
        "document.body.replaceChildren(); window.taken = null;"
        "new ImageInput(document.body, tensor, (values) => { window.taken = Array.from(values); }); })"
    )
    opened.choose_file(tmp_path / "noise.png")
    taken = np.array(opened.wait("window.taken"))
    np.testing.assert_allclose(taken, pixels.ravel(), atol=0.51)


@pytest.mark.parametrize(
    ("name", "answer"), [("auto/index.html", None), ("auto/endpoint-decode.html", None), ("two/index.html", "mean: ")]
)
def test_other_forms_answer(site, page, name, answer):
    with chromium.serving(site) as url:
        assert page.open(f"{url}/{name}") == "answered"
        if answer:
            assert page.text("answer").startswith(answer)
        else:
            image = "document.querySelector('#results canvas, #result')"
            before = page.evaluate(f"{image}.toDataURL()")
            page.evaluate("document.querySelector('#random, #again').click()")
            page.wait(f"{image}.toDataURL() !== {json.dumps(before)}")


def test_a_broken_model_file_is_said_in_one_sentence(changed_site, page):
    site, net = changed_site
    model = net / "model.tflite"
    whole = model.read_bytes()
    with chromium.serving(site) as url:
        model.write_bytes(whole[:-1000] + bytes(1000))
        assert page.open(f"{url}/{net.name}/index.html") == "error"
        assert page.text("status") == (
            "The model file is not the one that this page was written for: write the site again."
        )
        page.wait(is_kept(site, "'model.tflite'"))
        model.unlink()
        page.open(f"{url}/{net.name}/index.html?missing")
        assert page.text("status") == "The model file is missing: model.tflite answers 404."
        text = (net / "index.html").read_text()
        text = re.sub(r'"model": \{.*?\}', '"model": {"url": "model.tflite"}', text)
        (net / "index.html").write_text(text.replace('"url": "model.tflite"', '"url": "golden.json"'))
        page.open(f"{url}/{net.name}/index.html?other")
        assert page.text("status").startswith("The model file is not the one")


def shown(page):
    """Return the text that a person sees."""
    return page.evaluate("document.body.innerText")


def test_an_error_claims_nothing_and_can_be_tried_again(changed_site, page):
    site, net = changed_site
    model = net / "model.tflite"
    whole = model.read_bytes()
    with chromium.serving(site) as url:
        page.open(f"{url}/{net.name}/index.html?whole")
        assert "proven" in shown(page)
        assert "sure" in shown(page)
        assert "Try again" not in shown(page)
        model.unlink()
        page.send("Network.setBypassServiceWorker", bypass=True)
        page.send("Network.setCacheDisabled", cacheDisabled=True)
        assert page.open(f"{url}/{net.name}/index.html?without") == "error"
        assert not re.search(r"proven|sure|%", shown(page).partition("About this model")[0])
        assert "proven" not in shown(page)
        assert "Try again" in shown(page)
        model.write_bytes(whole)
        page.evaluate("document.getElementById('retry').click()")
        page.wait(f"{STATES} === 'answered'")
        assert "proven" in shown(page)
        assert "Try again" not in shown(page)
        assert page.text("status") == ""
    page.send("Network.setBypassServiceWorker", bypass=False)
    page.send("Network.setCacheDisabled", cacheDisabled=False)


def test_an_error_of_an_input_ends_with_the_next_answer(opened, tmp_path):
    (tmp_path / "note.txt").write_text("not an image")
    opened.choose_file(tmp_path / "note.txt")
    opened.wait(f"{STATES} === 'error'")
    assert "sure" not in shown(opened)
    opened.evaluate("document.querySelector('.thumbnails button').click()")
    opened.wait(f"{STATES} === 'answered'")
    assert "This file is not an image" not in shown(opened)
    assert "sure" in shown(opened)


def test_examples_are_named_by_the_answer_of_the_model(opened):
    names = opened.evaluate("Array.from(document.querySelectorAll('.thumbnails button'), (b) => b.textContent)")
    assert names
    assert set(names) <= set(LABELS)
    for i, name in enumerate(names):
        opened.evaluate("document.getElementById('answer').textContent = ''")
        opened.evaluate(f"document.querySelectorAll('.thumbnails button')[{i}].click()")
        opened.wait("document.getElementById('answer').textContent")
        assert opened.text("answer").startswith(f"{name}, ")


def test_badges_lead_to_the_rows_of_the_certificate(site, net, page):
    with chromium.serving(site) as url:
        for start in ("index.html", f"{net.name}/index.html"):
            page.open(f"{url}/{start}") if "/" in start else page.send("Page.navigate", url=f"{url}/{start}")
            link = page.wait("document.querySelector('.badges .verdict a')?.href")
            page.open(link)
            assert page.evaluate("document.querySelectorAll('.plain tbody tr').length") > 3


def test_the_command_checks_the_site(bundles, tmp_path):
    process = run("web", bundles("two_by_two").path, "-o", tmp_path / "site", "--check", "--json")
    assert process.returncode == 0, process.stderr
    assert json.loads(process.stdout)["checked"] == {"golden.html": "pass"}


@pytest.mark.extended
def test_the_proof_runs_in_the_browser_only_where_it_is_named(damaged, bundles):
    bundle = bundles("two_by_two").path
    row = row_of(verify_bundle(bundle, runtimes=["browser"]), runtime="browser")
    assert (row.state, row.extra, row.required) == ("pass", True, False)
    assert set(row.versions) == {"chromium", "@litertjs/core", "@litertjs/wasm-utils"}
    assert set(row.endpoints) == {"serving_default"}
    assert [r for r in verify_bundle(bundle, runtimes=["litert"]).rows if r.runtime == "browser"] == []

    folder = damaged("two_by_two")
    head = keras.saving.load_model(folder / "model.keras").get_layer("mean").get_weights()[0]
    perturb_bytes(folder / "tflite/float32.tflite", np.ascontiguousarray(head.T))
    reseal(folder)
    optional = verify_bundle(folder, runtimes=["browser"])
    assert (row_of(optional, runtime="browser").state, optional.verdict) == ("fail", "pass")
    assert verify_bundle(folder, runtimes=["browser"], require=["browser"]).verdict == "fail"


def test_a_browser_that_is_not_installed_is_named(bundles, monkeypatch):
    monkeypatch.setenv("CHROMIUM", "/nowhere/chromium")
    certificate = verify_bundle(bundles("two_by_two").path, runtimes=["browser"], require=["browser"])
    row = row_of(certificate, runtime="browser")
    assert (row.state, certificate.verdict, certificate.exit_code) == ("not_run", "incomplete", 3)
    assert "install Chromium" in row.reason


def test_sizes_that_are_not_fixed_are_unsupported(bundles):
    row = row_of(verify_bundle(bundles("masked").path, runtimes=["browser"]), runtime="browser")
    assert row.state == "unsupported"
    assert "no fixed size, which LiteRT.js needs" in row.reason


@pytest.mark.parametrize("name", ["auto/index.html", "auto/endpoint-decode.html", "two/index.html", "two/golden.html"])
def test_a_page_fits_a_phone_and_every_control_has_a_name(site, page, name):
    page.send("Emulation.setDeviceMetricsOverride", width=360, height=640, deviceScaleFactor=2, mobile=True)
    with chromium.serving(site) as url:
        page.open(f"{url}/{name}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        nameless = page.evaluate(
            "Array.from(document.querySelectorAll('input, select, textarea, button, canvas[tabindex]'), (control) => "
            "(control.labels?.[0] ?? control).textContent || control.ariaLabel || control.outerHTML)"
            ".filter((name) => name.startsWith('<'))"
        )
        assert nameless == []
    page.send("Emulation.clearDeviceMetricsOverride")


def test_a_copy_of_the_site_works_below_any_path(site, net, page, tmp_path):
    shutil.copytree(site, tmp_path / "some" / "where")
    with chromium.serving(tmp_path) as url:
        assert page.open(f"{url}/some/where/{net.name}/index.html") == "answered"


def test_a_blank_canvas_has_no_answer(opened):
    opened.evaluate("document.querySelector('canvas').focus()")
    opened.press("Delete")
    opened.evaluate("Array.from(document.querySelectorAll('button')).find((b) => b.textContent === 'Clear').click()")
    opened.wait("document.getElementById('doubt').textContent.startsWith('The image is blank')")
    assert opened.text("answer") == "—"
    opened.evaluate("document.querySelector('.thumbnails button').click()")
    opened.wait("document.getElementById('answer').textContent.includes('%')")


def test_the_page_says_what_the_model_is_and_how_far_it_was_proven(site, net, page):
    with chromium.serving(site) as url:
        page.open(f"{url}/{net.name}/index.html")
        assert "proven" in page.evaluate("document.querySelector('header .badges').textContent")
        page.open(f"{url}/{net.name}/certificate.html")
        rows = page.evaluate("Array.from(document.querySelectorAll('tbody tr'), (row) => row.textContent)")
        assert any("tflite/float32.tflite" in row and "pass" in row for row in rows)


@pytest.mark.parametrize("width", [375, 1280])
def test_the_certificate_is_not_cut_off(site, net, page, width):
    page.send("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=width < 500)
    with chromium.serving(site) as url:
        page.open(f"{url}/{net.name}/certificate.html")
        hidden = page.evaluate(
            "(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)(document.querySelector('.scroll'))"
        )
        assert hidden <= 0
    page.send("Emulation.clearDeviceMetricsOverride")


def test_a_page_works_without_a_network_after_the_first_visit(site, net, page):
    with chromium.serving(site) as url:
        address = f"{url}/{net.name}/index.html"
        page.open(address)
        page.wait(is_kept(site, "location.href, ...performance.getEntriesByType('resource').map(({ name }) => name)"))
    page.messages.clear()
    assert page.open(f"{address}") == "answered"  # its server has ended


def is_kept(site, urls):
    """Return an expression of JavaScript: whether the service worker has kept these URLs."""
    name = re.search(r'NAME = "([^"]*)"', (site / "sw.js").read_text())[1]
    matches = f"Promise.all([{urls}].map((url) => cache.match(new URL(url, location.href).href)))"
    return f"caches.open('{name}').then((cache) => {matches}).then((all) => all.every(Boolean))"


def test_the_webassembly_is_loaded_compressed(site, net, page):
    page.requests.clear()
    assert not list(site.rglob("*.wasm"))
    with chromium.serving(site) as url:
        page.open(f"{url}/{net.name}/index.html?again")
        assert any(request.endswith(".wasm.gz") for request in page.requests)


def test_an_input_that_is_unlike_the_training_data_is_said(changed_site, page):
    site, net = changed_site
    text = (net / "index.html").read_text()
    (net / "index.html").write_text(text.replace('"reference": {}', '"reference": {"lowest_energy": 1e9}'))
    with chromium.serving(site) as url:
        page.open(f"{url}/{net.name}/index.html")
        page.wait("document.getElementById('doubt').textContent.startsWith('This is unlike')")
