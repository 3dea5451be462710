"""The card of a model that was trained on one's own data says nothing of the data of others."""

import json

import pytest

import pipelines
import zoo
from export.bundle.layout import read_manifest
from pipelines.dataset import OWN
from tests.zoo.conftest import data_dir
from zoo import export, train
from zoo.core.plan import make_plan
from zoobase.console import Console


@pytest.mark.parametrize("name", zoo.list_models())
def test_no_claims_of_other_data(name):
    spec = zoo.get_spec(name)
    path = data_dir(name)
    if path is None:
        return  # the models whose own data is tested by the command line below
    plan = make_plan(name, settings=spec.tiny_settings(), data_dir=path)
    info = plan.load_data().info
    card = export._card(export._Source(plan, None, info, None, {"accuracy": 0.5}, plan.command()), "")
    text = json.dumps({key: value for key, value in card.items() if key not in ("command", "title")})
    assert info.is_own, name
    assert card["licence"] is None
    assert "http" not in card["data"]
    assert card["data"] == f"{info.name}: {OWN}"
    assert info.name not in pipelines.list_datasets()
    for claim in filter(None, (spec.card.data_notes, spec.card.describes_data and spec.card.paper)):
        assert claim not in text


@pytest.mark.extended
def test_from_a_csv_of_texts_to_the_header_of_the_hub(tmp_path, capsys):
    rows = [f'"{w} {i} parcel",{label}' for i in range(60) for w, label in (("late", "bad"), ("prompt", "good"))]
    (tmp_path / "complaints.csv").write_text("\n".join(["text,label", *rows]))
    settings = zoo.get_spec("sentiment").tiny_settings() | {"recipe.epochs": 1}
    out = tmp_path / "run"
    train.run(
        "sentiment", data_dir=str(tmp_path / "complaints.csv"), settings=settings, out=str(out), console=Console()
    )
    readme = (out / "bundle" / "README.md").read_text()
    printed = capsys.readouterr().out
    head = readme.split("---")[1]
    assert '"name": "complaints"' in head, head
    for text in (readme, printed, (out / "evaluation.json").read_text(), json.dumps(read_manifest(out / "bundle"))):
        assert "rotten" not in text.lower()
        assert "cornell" not in text
    assert "training sentiment on complaints" in printed
    assert "movie_reviews" not in readme + printed
    assert "license" not in head
