"""The language of a text: ids in Python and in a graph, the tree of the classes, and the file of fastText."""

import struct

import numpy as np
import pytest
import tensorflow as tf

import zoo
from zoo.models.language import HierarchicalSoftmax
from zoo.tasks.text import hashed_ngrams
from zoo.weights import language
from zoo.weights.readers import fasttext
from zoobase.errors import ZooError

TEXTS = [
    "wo ist der Bahnhof?",
    "  zwei\twords\r\n\x00 here ",
    "",
    " \n ",
    "a",
    "こんにちは 世界 Привет é 😀 </s>",
    b"\xff\xfe broken \xe3\x81",
    "long " * 100,
    "ü" * 400,
    "x\u00a0y\u2028z",
]


def test_python_and_graph_give_the_same_ids():
    tokens = [token for text in TEXTS for token in hashed_ngrams.features(text)]
    vocabulary, counts = hashed_ngrams.counted(tokens, 5000, 1)
    assert counts == [0, *(tokens.count(token) for token in vocabulary[1:])]
    assert vocabulary[:1] == ("",)
    for known in (vocabulary, vocabulary[:30] + vocabulary[60:90], ("", "a", "\n7")):
        index = hashed_ngrams.index(known)
        inside = tf.function(lambda t, known=known: hashed_ngrams.encode_tensor(t, known, 512))(tf.constant(TEXTS))
        np.testing.assert_array_equal(inside, [hashed_ngrams.encode(text, index, 512) for text in TEXTS])
    assert max(len(hashed_ngrams.features(text)) for text in ("abcdefghij " * 40, "z" * 400, "a b " * 99)) <= 512


def test_buckets_are_those_of_fasttext():
    """FNV-1a of signed bytes; the values of `FastText.get_subword_id` minus the number of words."""
    assert hashed_ngrams.bucket("") == 2166136261 % 2_000_000
    assert hashed_ngrams.bucket("a") == 0xE40C292C % 2_000_000  # as published for FNV-1a
    signed = ((2166136261 ^ 0xFFFFFFC3) * 16777619) & 0xFFFFFFFF
    assert hashed_ngrams.bucket("é") == (((signed ^ 0xFFFFFFA9) * 16777619) & 0xFFFFFFFF) % 2_000_000


def test_a_tree_gives_probabilities_and_frequent_classes_short_paths():
    tree = language.paths([50, 20, 10, 5, 1])
    assert tree.shape == (8, 5)
    lengths = tree.sum(axis=0)
    assert lengths.tolist() == [1, 2, 3, 4, 4]
    layer = HierarchicalSoftmax(5)
    features = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    np.testing.assert_allclose(np.exp(layer(features)).sum(axis=1), 1, atol=1e-3)
    layer.paths.assign(tree)
    node = 1 / (1 + np.exp(-features @ layer.kernel.numpy()[:, -1]))  # the root, whose one child is the first class
    first = np.exp(layer(features))[:, 0]
    assert min(np.abs(first - node).max(), np.abs(first - 1 + node).max()) < 1e-4


def ftz(words, labels, buckets, width=4, version=12):
    """Return a quantized model of fastText, and its vectors."""
    random, rows = np.random.default_rng(0), len(words) + len(buckets)
    centroids = random.normal(size=(width // 2, 256, 2)).astype("<f4")
    norms = random.uniform(0.5, 2, (1, 256, 1)).astype("<f4")
    codes, norm_codes = random.integers(0, 256, (rows, width // 2), "u1"), random.integers(0, 256, rows, "u1")
    nodes = random.normal(size=(len(labels), width)).astype("<f4")
    entries = [(word, 9, 0) for word in words] + [(f"__label__{label}", count, 1) for label, count in labels.items()]
    content = struct.pack("<2i11iid", 793712314, version, width, 5, 5, 1, 5, 1, 1, 3, 2_000_000, 2, 4, 100, 1e-4)
    content += struct.pack("<3i2q", len(entries), len(words), len(labels), 0, len(buckets))
    content += b"".join(name.encode() + b"\0" + struct.pack("<qb", count, kind) for name, count, kind in entries)
    content += b"".join(struct.pack("<2i", *pair) for pair in buckets.items())
    content += struct.pack("<??qqi", True, True, rows, width, codes.size) + codes.tobytes()
    content += struct.pack("<4i", width, width // 2, 2, 2) + centroids.tobytes() + norm_codes.tobytes()
    content += struct.pack("<4i", 1, 1, 1, 1) + norms.tobytes()
    content += struct.pack("<?qq", False, len(labels), width) + nodes.tobytes()
    parts = np.concatenate([centroids[i][codes[:, i]] for i in range(width // 2)], axis=1)
    return content, parts * norms[0, norm_codes], nodes


def test_a_file_of_fasttext_is_read_and_converted(tmp_path):
    labels = {"de": 9, "en": 7, "fr": 2}
    content, vectors, nodes = ftz(("</s>", "der", "é"), labels, {77: 1, 5: 0})
    (tmp_path / "x.ftz").write_bytes(content)
    model = fasttext.read(tmp_path / "x.ftz")
    assert (model.words, model.labels, model.counts) == (("</s>", "der", "é"), ("de", "en", "fr"), (9, 7, 2))
    assert language._known(tmp_path / "x.ftz")["vocabulary"] == ("", "</s>", "der", "é", "\n5", "\n77")
    np.testing.assert_array_equal(model.vectors, vectors)
    ours = zoo.build("language", vocabulary_size=6, num_classes=3, width=4)
    language.LANGUAGE.assign(ours, language.read(tmp_path / "x.ftz"))
    hidden, log = vectors[[0, 1, 3]].mean(axis=0), lambda x: np.log(1 / (1 + np.exp(-x)) + 1e-5)
    scores = nodes @ hidden
    expected = [log(scores[1]), log(-scores[1]) + log(scores[0]), log(-scores[1]) + log(-scores[0])]
    np.testing.assert_allclose(ours(np.array([[1, 2, 4, 0, 0]]))[0], expected, atol=1e-5)
    for damaged in (content[:30], content[:-1], b"", b"x" * 400, ftz(("a",), labels, {}, version=11)[0]):
        (tmp_path / "x.ftz").write_bytes(damaged)
        with pytest.raises(ZooError, match="not a quantized fastText model of classes"):
            fasttext.read(tmp_path / "x.ftz")
