"""`export technical-file`: what was measured is in it, what was not is an empty field."""

import json

import pytest

from export.__main__ import verbs
from export.attestation.technical_file import SECTIONS, technical_file, to_markdown
from export.bundle import layout
from tests.export.conftest import reseal
from zoobase import run
from zoobase.errors import CheckFailed, ExportError, Unavailable


def written(bundle, **changes):
    """Return a bundle in a folder of its own with what the card and the metrics of a run have."""
    card = {"images": [], "description": "Counts <b>cells</b>.", "intervals": {"accuracy": [0.8, 0.95]}}
    reseal(bundle, card=card, metrics={"accuracy": 0.9}, **changes)
    return bundle


def test_what_is_measured_and_what_is_not(damaged, bundles, tmp_path, capsys):
    bundle = written(damaged("functional_cnn"))
    certificate = layout.read_certificate(bundle)
    evaluation = {"metrics": {"accuracy": 0.9}, "split": "test", "examples": 40, "per_class": {"a": 0.7, "b": 1.0}}
    (tmp_path / "evaluation.json").write_text(json.dumps(evaluation))  # in the folder above, as in a run
    words = ["technical-file", str(bundle), "--before", str(bundles("two_by_two").path)]
    outputs = []
    for form in ([], ["--json"]):
        with pytest.raises(SystemExit) as stop:
            run(verbs, [*words, *form])
        assert stop.value.code == 0
        outputs.append(capsys.readouterr().out)
    text, document = outputs[0], json.loads(outputs[1])
    sections = {section["id"]: section for section in document["sections"]}
    assert [*sections] == [section["id"] for section in json.loads(SECTIONS.read_text())]
    assert all(value == "" for section in document["sections"] for value in section["to_write"].values())
    assert all(section["to_write"] for section in document["sections"])
    tested = sections["2g"]["measured"]
    assert (tested["Metrics"], tested["95 % intervals of the metrics"]) == (
        {"accuracy": 0.9},
        {"accuracy": [0.8, 0.95]},
    )
    assert (tested["Evaluation: by class"], tested["Evaluation: examples"]) == ({"a": 0.7, "b": 1.0}, 40)
    ran = [name for name in tested if name.startswith("Robustness")]
    rows = [row for row in certificate["artifacts"] if row["runtime"]]
    assert tested[ran[0]].keys() == {f"{row['artifact']} in {row['runtime']}" for row in rows}
    assert sections["2d"]["measured"] == sections["5"]["measured"] == {}  # nothing is invented
    changes = sections["6"]["measured"]["Log of changes"]["bundle-two_by_two to functional_cnn"]
    assert "contract" in changes
    assert text == to_markdown(document)
    assert "Counts &lt;b>cells" in text
    assert text.count("(to be written)") == sum(len(section["to_write"]) for section in document["sections"])


def test_what_is_refused(damaged, tmp_path):
    bundle = written(damaged("two_by_two"))
    (tmp_path / "other.json").write_text('{"metrics": {"accuracy": 0.5}}')
    with pytest.raises(ExportError, match="other metrics than the bundle"):
        technical_file(bundle, tmp_path / "other.json")
    (tmp_path / "other.json").write_text("[]")
    with pytest.raises(ExportError, match="is not the evaluation of a run"):
        technical_file(bundle, tmp_path / "other.json")
    with pytest.raises(Unavailable, match="there is no file"):
        technical_file(bundle, tmp_path / "none.json")
    assert technical_file(bundle)["sections"][7]["measured"]["Metrics"] == {"accuracy": 0.9}
    (bundle / "README.md").write_text("x")
    with pytest.raises(CheckFailed, match="damaged"):
        technical_file(bundle)
