"""Sentence vectors: the conversion, the loss, predictions, and the nearest of other texts."""

import json

import numpy as np
import pytest

import zoo
from tests.zoo.conftest import data_dir
from zoo import predict, train
from zoo.modeling.losses import SupervisedContrastive
from zoo.weights import minilm
from zoobase.errors import MissingError, UsageError, ZooError


def as_original(model):
    """Return the weights of an encoder under their names, and in the layout, of the original."""
    tensors = {name: np.zeros(1, "float32") for name in minilm._UNUSED}
    tensors["embeddings.token_type_embeddings.weight"] = np.ones((2, model.output.shape[-1]), "float32")
    for variable in model.weights:
        value = np.asarray(variable)
        if "attention/" in variable.path:
            width = model.output.shape[-1]
            value = value.reshape((width, width) if variable.path.endswith("kernel") else width)
        tensors[minilm._name(variable.path)] = value.T if variable.path.endswith("kernel") else value
    return tensors


def test_conversion_takes_every_tensor_once():
    settings = {"vocabulary_size": 30, "width": 8, "blocks": 2, "heads": 2, "positions": 16}
    model, other = zoo.build("minilm", **settings), zoo.build("minilm", **settings)
    tensors = as_original(model)
    minilm.MINILM.assign(other, minilm.of_sentences(tensors))
    tokens = np.array([[2, 7, 9, 3, 0, 0]], "int32")
    table = other.get_layer("position_embedding").vectors
    table.assign(table - 1)  # of the kind of the sentence
    np.testing.assert_allclose(other(tokens), model(tokens), atol=1e-6)
    with pytest.raises(ZooError, match=r"more values than the model: x"):
        minilm.MINILM.assign(other, minilm.of_sentences({**tensors, "x": np.zeros(1)}))
    del tensors["encoder.layer.1.output.LayerNorm.bias"]
    with pytest.raises(ZooError, match=r"no encoder.layer.1.output.LayerNorm.bias"):
        minilm.MINILM.assign(other, minilm.of_sentences(tensors))


def test_padding_and_the_batch_change_nothing():
    model = zoo.build("minilm", vocabulary_size=30, width=8, blocks=2, heads=2, positions=16)
    one = model(np.array([[2, 7, 9, 3]], "int32"))
    two = model(np.array([[2, 7, 9, 3, 0, 0, 0], [2, 7, 9, 3, 5, 6, 7]], "int32"))
    np.testing.assert_allclose(two[:1], one, atol=1e-6)
    assert np.abs(two[1] - two[0]).max() > 1e-3
    np.testing.assert_allclose(np.linalg.norm(two, axis=1), 1, atol=1e-5)


def test_the_contrastive_loss_draws_a_class_together():
    vectors = np.array([[1, 0], [1, 0], [0, 1], [-1, 0]], "float32")
    loss = SupervisedContrastive(0.5, reduction=None)
    values = np.asarray(loss(np.array([0, 0, 1, 2]), vectors))
    others = np.exp([2, 0, -2])  # of the first: cosines 1, 0 and -1
    np.testing.assert_allclose(values, [-np.log(others[0] / others.sum())] * 2 + [0, 0], rtol=1e-5)
    np.testing.assert_allclose(loss(np.zeros(4), np.ones((4, 2), "float32")), 0, atol=1e-5)  # the smallest value
    together, apart = (float(np.mean(loss(np.array(y), vectors))) for y in ([0, 0, 1, 1], [0, 1, 0, 1]))
    assert together < apart


@pytest.mark.proof
def test_a_head_is_trained_on_cached_vectors(tmp_path, capsys):
    settings = zoo.get_spec("text").tiny_settings() | {"recipe.epochs": 2}
    options = {"settings": settings, "data_dir": data_dir("text"), "export": False}
    first = train.run("text", out=str(tmp_path / "a"), **options)
    assert set(first["gains"]) >= {"logistic regression on frozen features"}
    second = train.run("text", out=str(tmp_path / "b"), **options)
    assert second["metrics"] == first["metrics"]
    tuned = train.run("text", out=str(tmp_path / "c"), **{**options, "settings": settings | {"task.tune_epochs": 1}})
    assert len((tmp_path / "c" / "history.csv").read_text().splitlines()) == 4
    assert np.isfinite(tuned["metrics"]["loss"])


def test_an_unknown_vocabulary_is_reported():
    with pytest.raises(UsageError, match=r"task.vocabulary"):
        train.run("text", settings={"task.vocabulary": "mine"})


@pytest.fixture
def texts(tmp_path):
    path = tmp_path / "texts.txt"
    path.write_text("to be or not to be\n\nall the world's a stage\nto be\n")
    return path


@pytest.mark.extended
def test_the_nearest_texts_are_ranked(trained, texts):
    run = trained("minilm")
    result = predict.run(run, ["to be", "a stage"], nearest=texts, top_k=2)
    assert [row["rank"] for row in result.rows] == [1, 2, 1, 2]
    assert result.rows[0]["text"] == "to be"
    assert result.rows[0]["similarity"] == pytest.approx(1, abs=1e-5)
    again = predict.run(run / "bundle", ["to be"], nearest=texts, top_k=9)
    assert next(row["text"] for row in again.rows) == "to be"
    assert len(again.rows) == 3  # lines that are not empty
    table = texts.with_suffix(".csv")
    table.write_text("id,text\n1,to be\n2,a horse\n")
    assert predict.run(run, ["to be"], nearest=table).rows[0]["text"] == "to be"


@pytest.mark.extended
def test_what_cannot_be_compared_is_refused(trained, texts, tmp_path):
    with pytest.raises(MissingError, match="does not return one vector for each text"):
        predict.run("sentiment", ["to be"], nearest=texts)
    with pytest.raises(MissingError, match="cannot read"):
        predict.run(trained("minilm"), ["to be"], nearest=tmp_path / "nowhere.txt")


@pytest.mark.extended
def test_without_other_texts_the_vector_is_shown(trained):
    (row,) = predict.run(trained("minilm"), ["to be"]).rows
    assert np.linalg.norm(row["embedding"]) == pytest.approx(1, abs=1e-3)
    assert json.dumps(row)
