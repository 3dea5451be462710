"""Which form an endpoint gets, and the files of a site."""

import json
import re
import shutil

import numpy as np
import pytest

from export import ExportError
from export.contract import Contract, Endpoint, Tensor
from export.serving.web import facts
from export.serving.web.bundle_pages import LocalPages, _title, embedded
from export.serving.web.pages import Page, form_of, pages_of
from export.serving.web.site import write_site
from tests.export.conftest import reseal
from tests.export.serving.web.conftest import LABELS
from tests.export.test_cli import run
from zoobase.errors import CheckFailed

IMAGE = Tensor("image", "float32", (None, 8, 8, 3), "image", 0, 255)
LOGITS = Tensor("logits", "float32", (None, 3), "logits")
TOKENS = Tensor("tokens", "int32", (None, 6), "token", 0, 3)
RULES = {"token": "[^ ]+", "unknown": 1, "fill": 0}
TEXT = {"vocabulary": ["", "?", "a", "b"], "tokenizer": RULES}


def number(name, dtype="float32", **options):
    return Tensor(name, dtype, (None,), **options)


def form(inputs, outputs, others=(), **assets):
    endpoint = Endpoint("serving_default", tuple(inputs), tuple(outputs))
    return form_of(endpoint, Contract((endpoint, *others)), assets)


@pytest.mark.parametrize(
    ("inputs", "outputs", "expected"),
    [
        ([IMAGE], [LOGITS], "classify"),
        ([IMAGE], [Tensor("same", "float32", (None, 8, 8, 3), "image", 0, 255)], "translate"),
        ([IMAGE, Tensor("noise", "float32", (None, 2), "noise")], [IMAGE], "translate"),
        ([Tensor("z", "float32", (None, 2), "latent")], [IMAGE], "latent"),
        ([number("age"), number("size")], [number("price")], "table"),
        ([Tensor("x", "float32", (None, 4))], [LOGITS], "table"),
        ([Tensor("x", "float32", (None, 400))], [LOGITS], "generic"),
        ([IMAGE], [Tensor("embedding", "float32", (None, 5))], "generic"),
        ([TOKENS], [Tensor("scores", "float32", (None, 6, 4))], "table"),
    ],
)
def test_the_tensors_choose_the_form(inputs, outputs, expected):
    assert form(inputs, outputs)[0] == expected


def test_ids_of_a_class_are_chosen_beside_noise():
    noise, ids = Tensor("z", "float32", (None, 9), "noise"), {"meaning": "token", "low": 0}
    kind, options = form([noise, number("class_id", "int32", high=9, **ids)], [IMAGE])
    assert (kind, options["vector"], options["others"], options["ids"]) == ("latent", "z", [], ["class_id"])
    assert form([noise, number("word", "int32", high=9000, **ids)], [IMAGE])[0] == "generic"  # too many for a list


def test_labels_make_scores_of_a_tensor():
    image, scores = IMAGE, Tensor("dense", "float32", (None, 2))
    endpoint = Endpoint("serving_default", (image,), (scores,))
    assert form_of(endpoint, Contract((endpoint,)), {})[0] == "generic"
    assert form_of(endpoint, Contract((endpoint,), labels=("a", "b")), {})[0] == "classify"


def test_texts_need_a_vocabulary_and_a_tokenizer():
    assert form([TOKENS], [LOGITS], **TEXT)[0] == "text"
    assert form([TOKENS], [LOGITS], vocabulary=TEXT["vocabulary"])[0] != "text"
    assert form([TOKENS], [LOGITS], vocabulary=["a"], tokenizer=RULES)[0] != "text"
    token, state = Tensor("token", "int32", (1,), "token", 0, 3), Tensor("state", "float32", (1, 5), "state")
    outputs = [Tensor("logits", "float32", (1, 4), "logits"), Tensor("next_state", "float32", (1, 5), "state")]
    kind, options = form([token, state], outputs, **TEXT)
    assert (kind, options["states"]) == ("generate", {"state": "next_state"})


def test_ids_of_a_table_have_the_names_of_the_other_endpoint():
    names = Tensor("kind", "string", (None,), "category", vocabulary=("ant", "bee"))
    raw = Endpoint("raw", (names,), (number("price"),), formats=("saved_model",))
    (field,) = form([number("kind_id", "int64", meaning="token", low=0, high=2)], [number("price")], [raw])[1]["fields"]
    assert field["choices"] == [[0, "(another value)"], [1, "ant"], [2, "bee"]]
    (field,) = form([number("kind_id", "int64", meaning="token", low=0, high=9)], [number("price")], [raw])[1]["fields"]
    assert field["choices"] is None  # another table


def test_pages_of_forms_come_first_and_what_no_browser_runs_has_none():
    generic = Endpoint("serving_default", (IMAGE,), (Tensor("e", "float32", (None, 5)),))
    again = Endpoint("same", generic.inputs, generic.outputs)
    classify = Endpoint("top", (IMAGE,), (LOGITS,))
    text = Endpoint("text", (Tensor("text", "string", (None,), "text"),), (LOGITS,))
    free = Endpoint("free", (Tensor("any", "float32", (None, None, None, 3), "image", 0, 1),), (LOGITS,))
    contract = Contract((generic, again, classify, text, free))
    pages = pages_of(contract, [e.name for e in contract.endpoints], {})
    expected = [("top", "index.html"), ("serving_default", "endpoint-serving_default.html")]
    assert [(p.endpoint.name, p.file) for p in pages] == expected
    assert [p.endpoint.name for p in pages_of(contract, ["serving_default"], {})] == ["serving_default"]


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


def test_titles_are_words(bundles, tmp_path):
    card = shutil.copytree(bundles("two_by_two").path, tmp_path / "some_net")
    assert "_" not in LocalPages(card).title
    (card / "README.md").write_text("# text_rnn student\n")
    assert _title(card) == "Text rnn student"
    (card / "README.md").unlink()
    assert _title(card) == "Some net"


def test_every_model_of_a_gallery_has_a_picture(site):
    index = (site / "index.html").read_text()
    pictures = re.findall(r'<div class="picture">(.*?)</div>', index)
    assert len(pictures) == 3
    assert all(re.match(r"<(img|svg|blockquote|dl)\b", picture) for picture in pictures)


def test_the_picture_of_a_sound_is_its_wave():
    sound = Endpoint(
        "serving_default", (Tensor("samples", "float32", (None, 400), "audio", sample_rate=16000),), (LOGITS,)
    )
    samples = np.sin(np.arange(400, dtype=np.float32))[None] * np.linspace(0, 1, 400, dtype=np.float32)
    text, content = facts.picture(Page(sound, "sound", "index.html"), {"samples": samples}, ())
    heights = [int(b) - int(a) for a, b in re.findall(r"M\d+ (\d+)V(\d+)", text)]
    assert content is None
    assert len(heights) == facts.PEAKS
    assert heights[-1] > heights[50] > heights[0] > 0


def test_the_picture_of_a_language_model_is_what_it_writes():
    token, state = Tensor("token", "int32", (1,), "token", 0, 3), Tensor("state", "float32", (1, 5), "state")
    outputs = [Tensor("logits", "float32", (1, 4), "logits"), Tensor("next_state", "float32", (1, 5), "state")]
    endpoint = Endpoint("serving_default", (token, state), tuple(outputs))
    _, options = form_of(endpoint, Contract((endpoint,)), TEXT)

    def call(values):  # after a comes b, after b a
        logits = np.full((1, 4), -1e9, np.float32)
        logits[0, 2 if values["token"][0] == 3 else 3] = 0
        return {"logits": logits, "next_state": values["state"] + 1}

    text = facts.continuation(Page(endpoint, "generate", "index.html", options), call)
    assert text == "ba" * (facts.LETTERS // 2)


@pytest.mark.extended
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
    assert not (tmp_path / "site").exists()


def test_text_has_no_page(bundles, tmp_path):
    process = run("web", bundles("category").path, "-o", tmp_path / "site")
    assert process.returncode == 2
    assert process.stderr.endswith("kind of serving_default is string, which LiteRT.js does not have\n")
    assert process.stderr.count("\n") == 1
    assert not (tmp_path / "site").exists()
