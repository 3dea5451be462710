"""Folders of sounds in the layout of Speech Commands: splits, speakers, noise, and files that are no sounds."""

import numpy as np
import pytest
import soundfile

import pipelines
from pipelines import sound
from pipelines.datasets import spoken_numbers
from pipelines.sound.frames import loudest
from tests.pipelines.sound.test_sound import write
from zoobase.errors import DataError

RANDOM = np.random.default_rng(0)


def folder(path, names=("{i:02}.wav",), count=20, words=("yes", "no")):
    for word in words:
        (path / word).mkdir(parents=True)
        for i in range(count):
            write(path / word / names[i % len(names)].format(i=i), RANDOM.uniform(-0.5, 0.5, 4000), 8000)
    return path


def names_by_split(root, split="official"):
    """Return the digests of the examples of each split of a folder."""
    data = pipelines.load("spoken_numbers", data_dir=root, split=split)
    return data, {
        n: {e["samples"].tobytes() for e in data[n].as_numpy_iterator()} for n in ("train", "validation", "test")
    }


def samples_of(path):
    return spoken_numbers.folders.to_int16(loudest(sound.read(path, 16000), 16000)).tobytes()


def test_every_sound_is_in_one_split_and_keeps_its_word(tmp_path):
    root = folder(tmp_path / "x")
    data, parts = names_by_split(root)
    assert data.info.counts == {"train": 28, "validation": 6, "test": 6} == {n: len(part) for n, part in parts.items()}
    assert set.union(*parts.values()) == {samples_of(path) for path in root.glob("*/*")}
    assert data.info.class_names == ("no", "yes")
    assert data.info.is_own
    label = {samples_of(path): data.info.class_names.index(path.parent.name) for path in root.glob("*/*")}
    for name in parts:
        assert all(label[e["samples"].tobytes()] == e["label"] for e in data[name].as_numpy_iterator())
    again = [e["samples"].tobytes() for e in pipelines.load("spoken_numbers", root).train.as_numpy_iterator()]
    assert again == [e["samples"].tobytes() for e in data.train.as_numpy_iterator()]


def test_the_sounds_of_a_speaker_are_in_one_split(tmp_path):
    root = folder(tmp_path, names=("{i:02}_nohash_0.wav",))  # both words are said by each of twenty speakers
    for path in sorted(root.glob("yes/*")):
        assert (root / "no" / path.name).exists()
    _, parts = names_by_split(root)
    for path in root.glob("yes/*"):
        pair = {samples_of(path), samples_of(root / "no" / path.name)}
        assert sum(pair <= part for part in parts.values()) == 1
    _, parts = names_by_split(root, "70/15/15 by name ([0-9])_nohash")  # the last digit
    for digit in range(10):
        group = {samples_of(path) for path in root.glob(f"*/?{digit}_*")}
        assert sum(group <= part for part in parts.values()) == 1


def test_the_lists_of_the_folder_are_its_official_split(tmp_path):
    root = folder(tmp_path, names=("{i:02}_nohash_0.wav",))
    (root / "validation_list.txt").write_text("yes/03_nohash_0.wav\nno/04_nohash_0.wav\n")
    (root / "testing_list.txt").write_text("yes/05_nohash_0.wav\n")
    data, parts = names_by_split(root)
    assert data.info.counts == {"train": 37, "validation": 2, "test": 1}
    assert parts["test"] == {samples_of(root / "yes" / "05_nohash_0.wav")}
    assert pipelines.load("spoken_numbers", root, split="60/20/20").info.counts["test"] > 1


def test_seconds_of_the_background_are_silence(tmp_path):
    root = folder(tmp_path)
    (root / "_background_noise_").mkdir()
    (root / "_background_noise_" / "README.md").write_text("noise")
    noise = write(root / "_background_noise_" / "a.wav", RANDOM.uniform(-0.1, 0.1, 16000 * 10 + 70), 16000)
    data = pipelines.load("spoken_numbers", data_dir=root)
    assert data.info.class_names == ("_silence_", "no", "yes")
    silent = [e["samples"] for e in data.train.as_numpy_iterator() if e["label"] == 0]
    np.testing.assert_array_equal(np.stack(silent).ravel() / 2**15, sound.read(noise, 16000)[:112_000].astype(float))
    assert data.info.counts["train"] == 28 + 7
    assert data.train.cardinality() == 35


def test_what_is_no_sound_is_skipped_and_named(tmp_path):
    root = folder(tmp_path)
    (root / "yes" / "notes.txt").write_text("no sound")
    (root / "no" / "twice.wav").write_bytes((root / "yes" / "00.wav").read_bytes())
    data = pipelines.load("spoken_numbers", data_dir=root)
    assert set(data.info.skipped) == {"yes/notes.txt", "no/twice.wav", "yes/00.wav"}
    assert data.info.skipped["no/twice.wav"] == "the same sound is in no and yes"
    for i in range(6):
        (root / "yes" / f"{i}.txt").write_text("no sound")
    with pytest.raises(DataError, match=r"7 of 48 files in .* are no sounds, such as yes/0.txt"):
        pipelines.load("spoken_numbers", data_dir=root)


@pytest.mark.parametrize(
    ("words", "count", "message"),
    [((), 1, "has no sounds of two words"), (("a",), 3, "two words"), (("a", "b"), 1, "remain")],
)
def test_folders_that_are_no_words_are_refused(words, count, message, tmp_path):
    with pytest.raises(DataError, match=message):
        pipelines.load("spoken_numbers", data_dir=folder(tmp_path, count=count, words=words))
    with pytest.raises(DataError, match="is not a folder"):
        pipelines.load("spoken_numbers", data_dir=tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("suffix", "subtype"), [("flac", "PCM_24"), ("ogg", "VORBIS"), ("wav", "FLOAT"), ("mp3", None)]
)
def test_other_formats_are_read_by_libsndfile(suffix, subtype, tmp_path):
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000) * np.hanning(16000)
    soundfile.write(tmp_path / f"x.{suffix}", tone, 16000, subtype=subtype)
    samples = sound.read(tmp_path / f"x.{suffix}", 16000)[:16000]
    assert np.abs(np.fft.rfft(samples)).argmax() == 440
    if subtype in ("PCM_24", "FLOAT"):
        np.testing.assert_allclose(samples, tone, atol=2e-7)


def test_without_libsndfile_the_message_says_how_to_get_it(tmp_path, monkeypatch):
    soundfile.write(tmp_path / "x.flac", np.zeros(100), 8000)
    monkeypatch.setitem(__import__("sys").modules, "soundfile", None)
    with pytest.raises(DataError, match="pip install 'soundfile"):
        sound.read(tmp_path / "x.flac", 8000)


@pytest.mark.parametrize("length", [1, 50, 99, 100, 101, 300])
def test_the_loudest_part_has_the_word_in_its_middle(length):
    word = np.full(40, 0.5, np.float32)
    recording = np.concatenate([np.zeros(length), word, np.zeros(length)]).astype(np.float32)
    part = loudest(recording, 100)
    assert (part.shape, part.dtype) == ((100,), np.float32)
    assert part.sum() == 20
    assert abs(np.flatnonzero(part).mean() - 49.5) <= 0.5
    assert not loudest(np.zeros(250, np.float32), 100).any()


def test_the_voices_of_training_and_validation_differ():
    names = [*(f"voice{i}" for i in range(30)), "whisper", "klatt6"]
    for synthesiser, counts in (("espeak", (24, 6)), ("flite", (3, 1))):
        rows = list(spoken_numbers.plan(synthesiser, names))
        voices = {
            s: {w.voice.rpartition("+")[2] for split, _, w in rows if split == s} for s in ("train", "validation")
        }
        assert tuple(map(len, voices.values())) == counts
        assert not voices["train"] & voices["validation"]
        assert all(spoken_numbers.WORDS[label] == word.text for _, label, word in rows)
        for split, count in spoken_numbers.COUNTS[synthesiser].items():
            assert np.bincount([label for s, label, _ in rows if s == split]).tolist() == [count] * 24
        assert rows == list(spoken_numbers.plan(synthesiser, names))


def test_columns_are_read_as_they_were_written(tmp_path):
    columns = {
        "train": (np.ones((2, 4), np.int16), np.arange(2)),
        "validation": (np.zeros((1, 4), np.int16), np.ones(1)),
    }
    spoken_numbers._write(tmp_path, columns)
    again = spoken_numbers._read(tmp_path)
    assert again.keys() == columns.keys()
    for split, pair in columns.items():
        assert all((a == b).all() for a, b in zip(again[split], pair, strict=True))


@pytest.mark.proof
def test_synthesised_words_are_the_same_in_every_process(tmp_path):
    """With the packages of PyPI and Debian."""
    data = [pipelines.load("spoken_numbers", cache_dir=tmp_path / name) for name in "ab"]
    assert data[0].info.counts == {"train": 7680, "validation": 720, "test": 48}
    for pair in zip(*(d.train.as_numpy_iterator() for d in data), strict=True):
        assert pair[0]["label"] == pair[1]["label"]
        np.testing.assert_array_equal(pair[0]["samples"], pair[1]["samples"])


def test_mu_law_is_that_of_libsndfile(tmp_path):
    (tmp_path / "x.au").write_bytes(bytes(range(256)) * 4)
    expected, _ = soundfile.read(
        tmp_path / "x.au", format="RAW", subtype="ULAW", samplerate=8000, channels=1, dtype="float32"
    )
    np.testing.assert_array_equal(
        spoken_numbers._mu_law(tmp_path / "x.au"), sound.reading.resample(expected, 8000, 16000)
    )
