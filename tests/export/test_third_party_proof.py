"""Models of other libraries through `python -m export model`: what docs/third_party.md says still holds."""

import json

import pytest

from docs import third_party
from docs.third_party_models import APPLICATIONS, CAUSES, HUB, MODELS

RESULTS = json.loads(third_party.RESULTS.read_text())


@pytest.mark.proof
@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.name)
def test_the_export_gives_the_result_of_the_page(model, tmp_path):
    if model.library == HUB:
        pytest.importorskip("keras_hub")
    result, expected = third_party.measure(model, tmp_path), RESULTS[model.name]
    assert result["verdict"] == expected["verdict"], third_party.problems(result)
    for format in third_party.FORMATS:
        assert third_party.state_of(result, format) == third_party.state_of(expected, format), format
    assert third_party.graphs_of(result) == third_party.graphs_of(expected)


def test_the_page_is_what_the_results_say():
    page = (third_party.HERE / "third_party.md").read_text()
    assert third_party.page(RESULTS) == page, "run `python -m docs.third_party --page-only`"


def test_every_family_and_twelve_backbones_were_measured():
    assert RESULTS.keys() == {model.name for model in MODELS}
    assert [sum(m.library == library for m in MODELS) for library in (APPLICATIONS, HUB)] == [14, 12]


def test_every_problem_has_a_cause():
    problems = {name for name, result in RESULTS.items() if third_party.problems(result)}
    assert problems == CAUSES.keys()


def test_a_format_is_as_bad_as_its_worst_runtime():
    rows = [("tflite", "pass"), ("tflite", "fail"), ("hdf5", "unsupported"), ("keras", "pass"), ("keras", "not_run")]
    result = {"rows": [{"format": f, "state": s} for f, s in rows], "verdict": "fail"}
    states = [third_party.state_of(result, format) for format in ("tflite", "hdf5", "keras")]
    assert states == ["fail", "unsupported", "pass"]
    assert third_party.state_of({"rows": [], "verdict": "refused"}, "keras") == "refused"
