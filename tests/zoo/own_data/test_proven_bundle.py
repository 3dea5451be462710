"""Masks, tables and texts of one's own: quantised where it applies, searched by `zoo.tune`, and ready to predict."""

import csv
import random

import pytest

from tests.zoo.conftest import fit
from tests.zoo.own_data.test_small_data import mask_folder, rows, texts
from zoo import predict, train, tune
from zoobase.errors import UsageError

TEXT = {"model.pairs": 500, "model.parts": 500}
SMALL = {  # model -> its data, settings of a short training, and an input
    "unet": (
        lambda p: mask_folder(p, 150),
        {"data": "mask_folder", "model.width": 8, "model.depth": 2, "recipe.batch_size": 8},
    ),
    "table": (lambda p: rows(p.with_suffix(".csv"), 120), {"model.units": (8,)}),
    "sentiment": (lambda p: texts(p.with_suffix(".csv"), 600), TEXT),
}


@pytest.mark.parametrize(("model", "quantize"), [("unet", ("int8",)), ("table", ("dynamic",)), ("sentiment", ())])
def test_from_the_files_to_a_prediction(model, quantize, tmp_path):
    make, settings = SMALL[model]
    data = make(tmp_path / "mine")
    options = {"data_dir": str(data), "export": True, "quick": True, "quantize": quantize}
    summary = fit(model, tmp_path / "run", settings | {"recipe.epochs": 6}, **options)
    (bundle,) = summary["bundles"]
    states = {row["artifact"]: (row["state"], row["reason"]) for row in bundle["artifacts"]}
    assert bundle["verdict"] == "pass", states
    assert {f"tflite/{name}.tflite" for name in ("float32", *quantize)} <= states.keys()
    assert not any(name.endswith((".keras", ".h5")) for name in states)  # --quick
    assert summary["data"] == "mine"
    example = {"unet": tmp_path / "mine" / "images" / "0.png", "table": data, "sentiment": "worda wordb"}[model]
    result = predict.run(tmp_path / "run" / "bundle", [str(example)])
    assert result.rows
    assert not result.problems


@pytest.mark.parametrize("model", SMALL)
def test_tune(model, tmp_path):
    make, settings = SMALL[model]
    space = tmp_path / "space.toml"
    space.write_text("recipe.learning_rate = {low = 1e-4, high = 1e-2, log = true}\n")
    options = {"data_dir": str(make(tmp_path / "mine")), "settings": settings | {"recipe.epochs": 1}}
    result = tune.run(model, space=str(space), options=options, trials=2, out=str(tmp_path / "search"))
    assert result["trials"] == 2
    assert f"--data-dir {tmp_path}/mine" in result["command"]


@pytest.mark.parametrize(
    ("model", "make", "quantize", "sentence"),
    [
        ("unet", lambda p: mask_folder(p, 24), "int8", "at least 100 training examples, and mine has"),
        (
            "sentiment",
            lambda p: texts(p.with_suffix(".csv"), 1000),
            "float16",
            "allows a drop of 0.01, and the 209 test examples of mine cannot show less than 0.014",
        ),
    ],
)
def test_too_little_to_quantise_is_said_before_the_training(model, make, quantize, sentence, tmp_path):
    data, settings = str(make(tmp_path / "mine")), SMALL[model][1]
    with pytest.raises(UsageError, match=sentence):
        train.run(model, data_dir=data, settings=settings, quantize=(quantize,), out=str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


OPINIONS = {"positive": "great lovely superb fine happy nice", "negative": "awful poor sad bad dull weak"}


def test_a_classifier_of_twelve_words_is_published(tmp_path):
    """Texts of other words have the same logits, which was taken for an output that does not vary."""
    rng = random.Random(0)
    with (tmp_path / "texts.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["text", "label"])
        for i in range(400):
            label = list(OPINIONS)[i % 2]
            table.writerow([" ".join(rng.choices(OPINIONS[label].split(), k=4)), label])
    data = str(tmp_path / "texts.csv")
    summary = fit("sentiment", tmp_path / "run", {"recipe.epochs": 1}, data_dir=data, export=True)
    assert summary["metrics"]["accuracy"] == 1.0
    assert [bundle["verdict"] for bundle in summary["bundles"]] == ["pass"]
