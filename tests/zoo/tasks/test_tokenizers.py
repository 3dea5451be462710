"""The Python snippets of cards compute the same ids as the graph of the SavedModel."""

import json
import re

import numpy as np
import pytest

import export
import pipelines
from pipelines.text import byte_pairs, words_and_characters
from tests.export.serving.web.tab import tab
from tests.pipelines.text.test_byte_pairs import VOCABULARY
from tests.pipelines.text.test_words import TEXTS
from tests.plugins.tiers import only
from zoo.tasks.text import tokenizer_snippets
from zoo.tasks.text.sentences import SentenceEmbedding

MODELS = ["attention", "minilm", "sentiment", "text", "text_rnn", "word2vec"]  # models with token ids as inputs


def _tokens(code, folder, monkeypatch):
    monkeypatch.chdir(folder)
    names = {}
    exec(code, names)
    return names["tokens"]


@pytest.mark.parametrize("name", only(MODELS, {"attention"}, {"text"}))  # trained anyway
def test_the_snippet_of_the_card_equals_the_text_endpoint(trained, name, monkeypatch):
    bundle = trained(name) / "bundle"
    (code,) = re.findall(
        r"## Token ids of a text\n\n```python\n(.*?)```", (bundle / "README.md").read_text(), re.DOTALL
    )
    tokens = _tokens(code, bundle, monkeypatch)
    served = export.load(bundle, "saved_model")
    outputs = {t.name for t in served.contract["text"].outputs}
    base = next(
        e
        for e in served.contract.endpoints
        if e.name != "text" and len(e.inputs) == 1 and {t.name for t in e.outputs} <= outputs and e.batch is None
    )
    for text in TEXTS:
        ids = tokens(text)[None] if len(base.inputs[0].shape) == 2 else tokens(text)
        expected, raw = served[base.name](**{base.inputs[0].name: ids}), served["text"](text=np.array([text], object))
        assert ids.dtype == np.int32
        for output in expected:
            np.testing.assert_allclose(raw[output], expected[output], atol=1e-5)


def test_the_snippet_of_words_and_characters(tmp_path, monkeypatch):
    vocabulary = words_and_characters.vocabulary(["the cat and the dog\n", "the end n\u00e4h n\u00e4h"], 24)
    info = pipelines.Info("x", "", "", "", {}, {}, vocabulary=vocabulary)
    (tmp_path / "vocabulary.json").write_bytes(tokenizer_snippets.assets(info)["vocabulary.json"])
    tokens = _tokens(tokenizer_snippets.words_and_characters(20, 3), tmp_path, monkeypatch)
    for text in [*TEXTS, b"the n\xc3\xa4h hat"]:
        ids = words_and_characters.encode(text, vocabulary)[:20]
        assert tokens(text).tolist() == np.pad(ids, (0, 20 - len(ids)), constant_values=3).tolist()


@pytest.mark.extended
def test_the_snippet_of_byte_pairs(tmp_path, monkeypatch):
    info = pipelines.Info("x", "", "", "", {}, {}, vocabulary=VOCABULARY, statistics={"length": 12})
    task = SentenceEmbedding(vocabulary="wordllama", length=12)
    assert task.tokens_of(info).preprocessing is None
    (tmp_path / "vocabulary.json").write_bytes(task.bundle_assets(info)["vocabulary.json"])
    (code,) = task.code_snippets(info).values()
    tokens, index = _tokens(code, tmp_path, monkeypatch), byte_pairs.index(VOCABULARY)
    for text in [*TEXTS, b"the cat\xff  thing", "aaa"]:
        assert tokens(text).tolist() == byte_pairs.encode(text, index, 12).tolist()


@pytest.mark.extended
def test_the_snippet_of_the_card_equals_the_lookups_of_a_table(trained, monkeypatch):
    bundle = trained("bike_sharing") / "bundle"
    card = (bundle / "README.md").read_text()
    assert "TFLite takes no strings, so `serving_default` (season, " in card
    assert "is not available: this file has `encoded`." in card
    (code,) = re.findall(r"## Ids of a row\n\n```python\n(.*?)```", card, re.DOTALL)
    monkeypatch.chdir(bundle)
    names = {}
    exec(code, names)
    row = {c["name"]: c["vocabulary"][1] if c["dtype"] == "string" else 0.5 for c in names["columns"]}
    arrays = {k: np.array([v.encode()], object) if isinstance(v, str) else np.float32([v]) for k, v in row.items()}
    served, lite = (export.load(bundle, runtime) for runtime in ("saved_model", "tflite"))
    for hour in (row["hour"], "25"):
        expected = served["serving_default"](**(arrays | {"hour": np.array([hour.encode()], object)}))
        got = lite["encoded"](**names["encoded"](row | {"hour": hour}))
        np.testing.assert_allclose(got["prediction"], expected["prediction"], rtol=1e-4)


@pytest.mark.needs("chromium")
def test_the_tokenizer_of_a_page_returns_the_same_ids():
    """`tokenizer.json` of a bundle, read by the script of `python -m export web` in a real browser."""
    import pipelines
    from export.protocol import chromium
    from export.serving.web.bundle_pages import HERE
    from pipelines.text import words, words_and_characters

    texts = [text.decode("utf-8", "ignore") for text in TEXTS] + [
        "the n\u00e4h hat\n\U0001f600 don't 'quoted' O\u2019Neil"
    ]
    sample = ["the cat and the dog don't\n", "the end n\u00e4h n\u00e4h", *texts]
    of_words = words.vocabulary(sample, 30, least=1)
    of_characters = pipelines.text.vocabulary(sample[:2])
    of_both = words_and_characters.vocabulary(sample[:2], 24)
    unknown = [vocabulary.index(pipelines.text.UNKNOWN) for vocabulary in (of_characters, of_both)]
    cases = [
        (of_words, tokenizer_snippets.rules_of_words(), lambda t: words.encode(t, words.index(of_words))),
        (
            of_characters,
            tokenizer_snippets.rules_of_characters(unknown[0]),
            lambda t: pipelines.text.encode(t, of_characters),
        ),
        (
            of_both,
            tokenizer_snippets.rules_of_characters(unknown[1], with_words=True),
            lambda t: words_and_characters.encode(t, of_both),
        ),
    ]
    with chromium.serving(HERE / "static") as url, tab() as page:
        page.send("Page.navigate", url=f"{url}/icon.svg")
        for vocabulary, rules, encode in cases:
            options = json.dumps({"vocabulary": vocabulary, "tokenizer": rules})
            make = f"import('{url}/tokenizer.js').then(({{ Tokenizer }}) => new Tokenizer({options}))"
            ids = page.evaluate(f"{make}.then((tokenizer) => {json.dumps(texts)}.map((text) => tokenizer.ids(text)))")
            assert ids == [encode(text).tolist() for text in texts]
