"""Which form an endpoint gets."""

import pytest

from export.contract import Contract, Endpoint, Tensor
from export.serving.web.pages import form_of, pages_of

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
