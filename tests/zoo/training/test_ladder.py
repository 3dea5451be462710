"""The ladder of candidates: what is selected, that the run is one like any other, and that scikit-learn agrees."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

import zoo
from tests.pipelines.text.test_words import TEXTS
from tests.zoo.conftest import FIXTURES, data_dir
from tests.zoo.tasks.test_table import file as homes  # noqa: F401
from zoo import predict, train
from zoo.candidates import linear, ngrams, selection
from zoo.core.plan import make_plan
from zoo.core.run_folder import RunFolder
from zoo.modeling.layers import TfIdf
from zoobase.errors import UsageError

TARGET = {"task.target_column": "kind"}


def trials(*means, spread=0.1, count=400):
    noise = np.random.default_rng(0).normal(0, spread, (len(means), count))
    noise -= noise.mean(axis=1, keepdims=True)
    return [
        selection.Trial(f"c{i}", f"candidate {i}", 1.0, "accuracy", 1 - mean, None, mean + noise[i])
        for i, mean in enumerate(means)
    ]


def test_the_cheapest_within_a_standard_error_of_the_best_is_selected():
    """The standard error of these paired differences is 0.1 * sqrt(2 / 400) = 0.007."""
    assert selection.select(trials(0.5, 0.304, 0.3))[0] == 1
    assert selection.select(trials(0.5, 0.32, 0.3))[0] == 2
    assert selection.select(trials(0.3, 0.3, 0.31))[0] == 0
    constant, other = trials(0.3, 0.3)
    place, why = selection.select([dataclasses.replace(constant, name="constant"), other])
    assert place == 1
    assert "not better than candidate 0" in why
    same = np.full(40, 0.3)
    assert selection.select([dataclasses.replace(one, losses=same) for one in trials(0.3, 0.3, count=40)])[0] == 0


def test_unknown_candidates_and_models_without_some(homes, tmp_path):  # noqa: F811
    options = {"data_dir": str(homes), "settings": TARGET, "out": str(tmp_path / "run")}
    with pytest.raises(UsageError, match="unknown candidate 'boostin'; did you mean boosting"):
        train.run("table", candidates="boostin", **options)
    assert not (tmp_path / "run").exists()
    with pytest.raises(UsageError, match="gan has no other candidates than itself"):
        make_plan("gan", candidates="all")
    with pytest.raises(UsageError, match=r"recipe\.qat is of a network"):
        make_plan("mnist", candidates="all", settings={"recipe.qat": "int8"})


@pytest.fixture(scope="module")
def ladder(homes, tmp_path_factory):  # noqa: F811
    """A run with the candidates of a table but for the network."""
    out = tmp_path_factory.mktemp("ladder") / "run"
    return train.run(
        "table",
        data_dir=str(homes),
        settings=TARGET,
        candidates="fast",
        out=str(out),
        export=False,
        precision="float32",
    )


def test_what_is_selected_is_evaluated_and_asked(ladder):
    folder = RunFolder(ladder["run"])
    record = folder.read("candidates.json")
    names = [candidate["name"] for candidate in record["candidates"]]
    assert names == ["constant", "linear", "additive", "boosting", "additive+boosting"]
    assert folder.plan().selected == record["selected"]
    assert record["selected"] not in ("constant", "additive+boosting")
    assert folder.plan().candidates == "fast"
    best = min(record["candidates"], key=lambda candidate: candidate["loss"])
    assert best["value"] > record["candidates"][0]["value"]
    assert len(ladder["compared"]) == 4  # the selected one is this model
    answer, *_ = predict.run(folder.path, [json.dumps({"size (m2)": 180, "city": "Paris"})]).rows
    assert answer["label"] == "villa"
    with pytest.raises(UsageError, match=r"holds the candidate \w+ in place of table"):
        zoo.build("table", weights=ladder["run"])


def test_the_command_of_the_run_repeats_the_ladder(ladder):
    assert "--candidates fast" in RunFolder(ladder["run"]).plan().command()


@pytest.mark.extended
def test_a_ladder_is_resumed_where_it_was(homes, tmp_path):  # noqa: F811
    """Candidates that were fitted are kept; the result is the same."""
    out, options = tmp_path / "run", {"export": False, "evaluate": False}
    data = {"data_dir": str(homes), "settings": TARGET, "precision": "float32"}
    train.run("table", candidates="linear,additive", out=str(out), **data, **options)
    selected, linear_trial = RunFolder(out).plan().selected, out / "candidates" / "linear" / "trial.json"
    weights = RunFolder(out).model().get_weights()
    for name in ("summary.json", "candidates.json"):
        (out / name).unlink()
    shutil.rmtree(out / "candidates" / "additive")
    RunFolder(out).write("config.json", RunFolder(out).read("config.json") | {"selected": ""})
    kept = linear_trial.stat().st_mtime_ns
    train.run(None, resume=str(out), **options)
    assert linear_trial.stat().st_mtime_ns == kept
    assert RunFolder(out).plan().selected == selected
    for one, other in zip(RunFolder(out).model().get_weights(), weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_dense_layer_is_the_fit_of_scikit_learn():
    """With more features than examples, too; a class that is missing is never answered."""
    from sklearn.linear_model import LogisticRegression, Ridge

    random = np.random.default_rng(0)
    for count in (30, 300):
        x, y = random.normal(5, 3, (count, 100)), np.arange(count) % 3
        x[:, 0] += 4 * y
        kernel, bias = linear.logistic_regression(x, np.where(y == 2, 3, y), 4, (x, np.where(y == 2, 3, y)))
        z = (x - x.mean(0)) / x.std(0)
        fits = [LogisticRegression(C=c, max_iter=1000).fit(z, y).predict_log_proba(z) for c in linear.STRENGTHS]
        logits = x @ kernel + bias
        found = -linear.cross_entropy(logits, np.where(y == 2, 3, y))
        assert min(np.abs(found - fit[np.arange(count), y]).max() for fit in fits) < 1e-2
        assert (logits.argmax(1) != 2).all()
        target = 1000 + 50 * x[:, 0] + random.normal(size=count)
        kernel, bias = linear.ridge_regression(x, target)
        ridges = [Ridge(a).fit(z, target).predict(z) for a in linear.PENALTIES]
        assert min(np.abs((x @ kernel + bias)[:, 0] - ridge).max() for ridge in ridges) < 1e-5


# === Texts ===


def test_python_and_graph_give_the_same_ngrams():
    texts = [text for text in TEXTS if len(text) < 10_000]
    vocabulary, _ = ngrams.counted((ngram for text in texts[:-1] for ngram in ngrams.features(text)), 300, 1)
    encode = tf.function(lambda texts: ngrams.encode_tensor(texts, vocabulary, 100))
    for text in texts:
        ids = ngrams.encode(text, ngrams.index(vocabulary), 100)
        assert encode(tf.constant([text])).numpy()[0].tolist() == ids.tolist()
    found = list(ngrams.features("A be."))
    assert found == ["=a", "=be", "=a be", "a ", " b", "be", "a b", " be", "a be"]


def test_the_layer_is_the_tfidf_of_scikit_learn():
    from sklearn.feature_extraction.text import TfidfVectorizer

    lines = FIXTURES.joinpath("shakespeare.txt").read_text().splitlines()
    texts = [line for line in lines if line.strip()][:300]
    vocabulary, _ = ngrams.counted((ngram for text in texts for ngram in ngrams.features(text)), 2000, 2)
    index = ngrams.index(vocabulary)
    length = max(len(ngrams.encode(text, index)) for text in texts)
    tokens = np.stack([ngrams.encode(text, index, length) for text in texts])
    layer, want, idf = TfIdf(len(vocabulary), 2), np.zeros((300, len(vocabulary))), np.zeros((len(vocabulary), 2))
    layer.build(None)
    for part, is_word in enumerate((True, False)):
        own = [ngram for ngram in vocabulary[2:] if ngram.startswith("=") == is_word]
        columns = [index[ngram] for ngram in own]
        tfidf = TfidfVectorizer(analyzer=lambda text: list(ngrams.features(text)), vocabulary=own, sublinear_tf=True)
        want[:, columns] = tfidf.fit_transform(texts).toarray()
        idf[columns, part] = tfidf.idf_
    layer.idf.assign(idf)
    np.testing.assert_allclose(layer(tokens), want, atol=1e-6)
    np.testing.assert_array_equal(layer(np.zeros((1, length), "int32")), 0)


# === Every kind of input, in every format ===


@pytest.mark.extended
@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("sentiment", "tfidf"),
        pytest.param("keywords", "parts", marks=pytest.mark.proof),
        pytest.param("mnist_cnn", "linear", marks=pytest.mark.proof),
        pytest.param("detector", "linear", marks=pytest.mark.proof),
        pytest.param("table", "additive", marks=pytest.mark.proof),
        pytest.param("bike_sharing", "boosting", marks=pytest.mark.proof),
    ],
)
def test_a_candidate_is_exported_with_the_contract_of_the_named_model(model, name, homes, tmp_path):  # noqa: F811
    where = str(homes) if model == "table" else data_dir(model)
    options = {"data_dir": where, "candidates": name, "precision": "float32"}
    summary = train.run(model, out=str(tmp_path / "run"), **options)
    assert RunFolder(tmp_path / "run").plan().selected == name
    assert [bundle["verdict"] for bundle in summary["bundles"]] == ["pass"]
    contract = zoo.load(tmp_path / "run" / "bundle", "tflite").contract
    plan = make_plan(model, data_dir=where)
    info = plan.load_data().info
    served = plan.task.contract(plan.build(info), info)
    names = [[[tensor.name for tensor in endpoint.inputs] for endpoint in c.endpoints] for c in (contract, served)]
    assert names[0] == names[1]
