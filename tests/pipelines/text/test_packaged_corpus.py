"""Corpora in packages: parsing of lines and entries, datasets of many texts, and labelled ones."""

import bz2
import csv
import dataclasses
import itertools

import pytest

import pipelines
from pipelines.datasets import all_texts, movie_reviews, packaged_texts
from pipelines.sources import packages, search
from pipelines.text import corpus as corpora
from pipelines.text import labelled
from zoobase.errors import MISSING, DataError

CAR = (
    "02958343 06 n 05 car 0 auto 0 automobile 0 machine 6 motor_car 0 001 @ 03791235 n 0000 | a motor vehicle with "
    'four wheels; "he needs a car to get to work"  '
)
WORDNET = packaged_texts.DATASETS["wordnet"]
SPEECHES = "FIRST WITCH:\nWhen: I said.\nROSS: No.\n"
ENTRY = """Affect \\Af*fect"\\, v. t. [imp. & p. p. {Affected}; p. pr. & vb.
   n. {Affecting}.] [L. affectus, p. p. of afficere.]
   1. To act upon; to produce an effect or change upon.
      [1913 Webster]

            As might affect the earth with cold heat. --Milton.
      [1913 Webster]
"""


def test_a_line_of_wordnet_is_the_words_and_their_meaning():
    meaning = 'a motor vehicle with four wheels; "he needs a car to get to work"'
    assert packaged_texts.plain_gloss(CAR) == f"car, auto, automobile, machine, motor car: {meaning}"
    assert packaged_texts.plain_gloss("00003553 00 s 01 extant(p) 0 000 | still there") == "extant: still there"


def test_an_entry_is_reduced_to_running_text():
    plain = "Affect 1. To act upon; to produce an effect or change upon. As might affect the earth with cold heat."
    assert packaged_texts.plain_entry(ENTRY) == plain


@pytest.fixture
def corpus(tmp_path):
    """WordNet's file format in a package folder of our own: 200 glosses, each twice."""
    folder = tmp_path / "package"
    folder.mkdir()
    lines = [f"0000{i:04d} 03 n 01 word{i} 0 000 | meaning {i}" for i in range(200)]
    for file in ("data.noun", "data.verb", "data.adj", "data.adv"):
        (folder / file).write_text("  1 a licence | of two words\n" + "\n".join(lines) + "\n")
    return dataclasses.replace(WORDNET, name="glosses", origin=packages.Debian("no-such-package", str(folder)))


def _texts(data):
    names = ("train", "validation", "test")
    return {name: [e["text"].decode() for e in data[name].as_numpy_iterator()] for name in names}


def test_texts_are_unique_divided_and_prepared_once(corpus, tmp_path):
    data = corpus.load(None, tmp_path / "cache", "official")
    parts = _texts(data)
    assert sorted(itertools.chain(*parts.values())) == sorted(f"word{i}: meaning {i}" for i in range(200))
    assert len(parts["train"]) == pytest.approx(188, abs=8)
    assert parts["train"] == sorted(parts["train"], key=lambda text: int(text.split()[-1]))
    assert data.info.source.startswith("installed package folder")
    (tmp_path / "package" / "data.noun").unlink()
    reloaded = corpus.load(None, tmp_path / "cache", "official")
    assert reloaded.info.source.startswith("prepared cache")
    assert _texts(reloaded) == parts
    inner = _texts(corpus.load(None, tmp_path / "cache", "60/20/20"))
    assert sorted(itertools.chain(*inner.values())) == sorted(parts["train"])
    assert len(inner["train"]) == pytest.approx(0.6 * len(parts["train"]), abs=20)


def test_all_texts_joins_available_datasets_and_names_missing_ones(corpus, tmp_path, monkeypatch):
    def missing(*_):
        raise DataError("nowhere", MISSING)

    monkeypatch.setattr(all_texts, "PARTS", {"glosses": corpus.load, "absent": missing})
    data = pipelines.load("all_texts", cache_dir=tmp_path / "cache")
    assert data.info.source.endswith("without absent")
    assert data.info.licence == f"glosses: {WORDNET.licence}"
    assert sum(data.info.counts.values()) == 200
    monkeypatch.setattr(all_texts, "PARTS", {"absent": missing})
    with pytest.raises(DataError, match="none of absent is available"):
        pipelines.load("all_texts", cache_dir=tmp_path / "cache")


def test_all_texts_removes_speaker_names(monkeypatch):
    def load(*_):
        texts = {name: [SPEECHES] for name in ("train", "validation", "test")}
        return corpora.dataset(texts, name="play", source="here", licence="none", homepage="", split="official")

    monkeypatch.setattr(all_texts, "PARTS", {"play": load})
    for spoken, expected in ((("play",), "\nWhen: I said.\n No.\n"), ((), SPEECHES)):
        monkeypatch.setattr(all_texts, "SPOKEN", spoken)
        assert _texts(pipelines.load("all_texts"))["train"] == [expected]


def test_a_missing_package_is_named(tmp_path, offline, monkeypatch):
    monkeypatch.setattr(
        packages, "fetch_debian", lambda *_: (_ for _ in ()).throw(search.SourceUnavailable("no network"))
    )
    corpus = dataclasses.replace(WORDNET, origin=packages.Debian("no-such-package", str(tmp_path / "none")))
    with pytest.raises(
        DataError, match=r"none \(does not exist\).*no-such-package.*Try: sudo apt-get install wordnet-base"
    ):
        corpus.load(None, tmp_path / "cache", "official")


def test_both_classes_of_the_published_table_are_kept(tmp_path):
    """The values of the column `category` in the wheel are fresh, rotten and plot."""
    with bz2.open(tmp_path / movie_reviews.FILE, "wt", encoding="utf-8", newline="") as file:
        rows = csv.DictWriter(file, ["category", "text", "movie_name"])
        rows.writeheader()
        for category in ("fresh", "rotten", "plot"):
            rows.writerow({"category": category, "text": f"a {category} text", "movie_name": "film"})
    prepared = movie_reviews.SENTENCES.prepare(tmp_path / "cache" / "sentences", tmp_path)
    assert {category for _, category, _ in prepared} == set(movie_reviews.CLASSES)


def test_a_class_without_texts_is_an_error():
    parts = {split: [("good film", "good")] for split in labelled.PARTS}
    with pytest.raises(pipelines.DataError, match="reviews has no training texts of the class 'bad'"):
        labelled.dataset(parts, ("bad", "good"), name="reviews", source="", licence="", homepage="")
