"""The examples in the docstrings of the public functions run."""

import doctest
import shutil

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_image

import pipelines
import zoo
from tests.zoo.conftest import DATA
from zoo import compare, evaluate, export, info, predict, sample, stylize, train
from zoo.core import registry

RUNS = [verb.run for verb in (train, evaluate, compare, export, predict, sample, stylize, info)]  # in this order


def check(function, names):
    (test,) = doctest.DocTestFinder(recurse=False).find(function, function.__name__, globs=names)
    assert test.examples, f"{function.__module__}.{function.__name__} has no example"
    results = doctest.DocTestRunner().run(test)
    assert results.failed == 0, f"{function.__module__}.{function.__name__}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("examples")
    for file, photograph in (("photo.jpg", "china.jpg"), ("painting.jpg", "flower.jpg")):
        Image.fromarray(load_sample_image(photograph)).save(folder / file)
    return folder


@pytest.fixture(scope="module")
def runs(folder, trained):
    data = pipelines.load("fashion_mnist", data_dir=DATA["fashion_mnist"])
    label = data.info.class_names.index("Trouser")
    trouser = next(example for example in data.test.as_numpy_iterator() if example["label"] == label)
    (folder / "garment.png").write_bytes(np.asarray(trouser["image"]).item())
    settings = {"data": "digits", "recipe.epochs": 1, "recipe.optimizer": "sgd"}
    train.run("mnist", settings=settings, out=str(folder / "runs" / "digits-sgd"), export=False, precision="float32")
    shutil.copytree(trained("text_rnn"), folder / "runs" / "shakespeare")


@pytest.mark.proof
@pytest.mark.parametrize("function", RUNS, ids=lambda f: f"{f.__module__}.{f.__name__}")
def test_commands(function, folder, runs, monkeypatch):
    monkeypatch.chdir(folder)
    check(function, {function.__name__: function})


@pytest.mark.parametrize("name", ["build", "freeze", "get_spec", "list_models", "load", "preprocess", "register"])
def test_package(name, folder, monkeypatch):
    monkeypatch.chdir(folder)
    try:
        check(getattr(zoo, name), {key: getattr(zoo, key) for key in zoo.__all__})
    finally:
        registry._registered.pop("linear_digits", None)  # of the example of `register`
