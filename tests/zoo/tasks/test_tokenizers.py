"""The Python snippet of the card of a table, and the tokenizer of a page, compute the ids of the graph."""

import json
import re

import numpy as np
import pytest

import export
import pipelines
from pipelines.text import words_and_characters
from tests.pipelines.text.test_words import TEXTS
from zoo.tasks.text import tokenizer_files


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
    from export.protocol import chromium
    from export.serving.web import browser
    from pipelines.text import words

    texts = [text.decode("utf-8", "ignore") for text in TEXTS] + [
        "the n\u00e4h hat\n\U0001f600 don't 'quoted' O\u2019Neil"
    ]
    sample = ["the cat and the dog don't\n", "the end n\u00e4h n\u00e4h", *texts]
    of_words = words.vocabulary(sample, 30, least=1)
    of_characters = pipelines.text.vocabulary(sample[:2])
    of_both = words_and_characters.vocabulary(sample[:2], 24)
    unknown = [vocabulary.index(pipelines.text.UNKNOWN) for vocabulary in (of_characters, of_both)]
    cases = [
        (of_words, tokenizer_files.rules_of_words(), lambda t: words.encode(t, words.index(of_words))),
        (
            of_characters,
            tokenizer_files.rules_of_characters(unknown[0]),
            lambda t: pipelines.text.encode(t, of_characters),
        ),
        (
            of_both,
            tokenizer_files.rules_of_characters(unknown[1], with_words=True),
            lambda t: words_and_characters.encode(t, of_both),
        ),
    ]
    with chromium.serving(browser.STATIC) as url, browser.tab() as page:
        page.send("Page.navigate", url=f"{url}/icon.svg")
        for vocabulary, rules, encode in cases:
            options = json.dumps({"vocabulary": vocabulary, "tokenizer": rules})
            make = f"import('{url}/tokenizer.js').then(({{ Tokenizer }}) => new Tokenizer({options}))"
            ids = page.evaluate(f"{make}.then((tokenizer) => {json.dumps(texts)}.map((text) => tokenizer.ids(text)))")
            assert ids == [encode(text).tolist() for text in texts]
