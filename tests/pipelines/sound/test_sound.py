"""Recordings: widths, channels, rates, damaged files; frames; generated tones; folders as those of Speech Commands."""

import wave

import numpy as np
import pytest
import soundfile
import tensorflow as tf

import pipelines
from pipelines import sound, splits
from pipelines.datasets import spoken_letters, spoken_numbers, spoken_words, tones
from pipelines.sound import noise
from pipelines.sound.frames import loudest
from pipelines.sound.reading import resample
from zoobase.errors import DataError

TONE = (0.5 * np.sin(2 * np.pi * 440 * np.arange(8000) / 8000)).astype("float32")


def write(path, samples, rate=8000, width=2, channels=1):
    """Write samples (N,) to every channel of a WAV file."""
    scaled = np.round(np.asarray(samples) * (2 ** (8 * width - 1) - 1)).astype("<i4")
    raw = scaled.view(np.uint8).reshape(-1, 4)[:, :width]
    raw = raw ^ 128 if width == 1 else raw
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(np.repeat(raw[:, None], channels, axis=1).tobytes())
    return path


@pytest.mark.parametrize("width", [1, 2, 3, 4])
@pytest.mark.parametrize("channels", [1, 2])
def test_samples_of_every_width_are_read(width, channels, tmp_path):
    samples = sound.read(write(tmp_path / "x.wav", TONE, 8000, width, channels), 8000)
    assert samples.dtype == np.float32
    np.testing.assert_allclose(samples, TONE, atol=1.5 / 2 ** (8 * width - 1) + 1e-6)


def test_channels_of_opposite_phase_do_not_cancel(tmp_path):
    soundfile.write(tmp_path / "x.wav", np.stack([TONE, -TONE], axis=1), 8000)
    np.testing.assert_allclose(sound.read(tmp_path / "x.wav", 8000), TONE, atol=1e-4)
    with pytest.raises(DataError, match="is empty"):
        sound.read(write(tmp_path / "x.wav", []), 8000)


def test_the_samples_are_those_of_tensorflow(tmp_path):
    path = write(tmp_path / "x.wav", TONE)
    expected, rate = tf.audio.decode_wav(path.read_bytes())
    assert rate == 8000
    np.testing.assert_array_equal(sound.read(path, 8000), expected[:, 0])


@pytest.mark.parametrize("rate", [16000, 6000, 11025])
def test_another_rate_keeps_the_tone(rate):
    samples = resample(TONE, 8000, rate)
    assert len(samples) == rate
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)
    inner = slice(rate // 10, -rate // 10)
    np.testing.assert_allclose(samples[inner], expected[inner], atol=2e-3)


def test_tones_above_the_new_rate_are_removed():
    high = np.sin(2 * np.pi * 3500 * np.arange(8000) / 8000)
    assert np.abs(resample(high, 8000, 4000)[400:-400]).max() < 1e-2


def test_what_cannot_be_read_is_one_sentence(tmp_path):
    (tmp_path / "x.wav").write_bytes(b"not a recording")
    with pytest.raises(DataError, match="is not a sound that libsndfile reads"):
        sound.read(tmp_path / "x.wav", 8000)
    with pytest.raises(DataError, match="cannot read"):
        sound.read(tmp_path / "nowhere.wav", 8000)
    content = write(tmp_path / "y.wav", TONE).read_bytes()
    (tmp_path / "y.wav").write_bytes(content[: len(content) // 2 + 1])
    assert 3900 < len(sound.read(tmp_path / "y.wav", 8000)) < 4000


@pytest.mark.parametrize("size", [0, 1, 159, 160, 5000])
def test_frames_in_python_and_in_a_graph_are_the_same(size):
    samples = np.random.default_rng(0).normal(size=size).astype("float32")
    expected = sound.frames(samples, 64, 160)
    assert expected.shape == (sound.count(size, 160), 64)
    inside = tf.function(lambda x: sound.frames_tensor(x, 64, 160))(tf.constant(samples))
    np.testing.assert_array_equal(inside, expected)
    if size > 400:
        np.testing.assert_array_equal(expected[2], samples[320 - 32 : 320 + 32])


@pytest.mark.extended
def test_tones_are_the_same_each_time_and_have_their_pitch():
    frames, cents = tones.synthesise(50, 3)
    again, _ = tones.synthesise(50, 3)
    np.testing.assert_array_equal(frames, again)
    spectrum = np.abs(np.fft.rfft(frames * np.hanning(1024), 16384))
    for row, pitch in zip(spectrum, cents, strict=True):
        fundamental = 10 * 2 ** (pitch / 1200)
        near = row[np.abs(np.arange(8193) * 16000 / 16384 - fundamental) < 20]
        assert near.max() > 0.05 * row.max()
    data = pipelines.load("tones", split="80/10/10")
    assert data.info.counts == {"train": 4800, "validation": 600, "test": 600}
    with pytest.raises(DataError, match="are generated"):
        pipelines.load("tones", data_dir="x")


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
    data = pipelines.load("spoken_numbers", root)
    assert data.info.features[splits.GROUP] == "speaker"
    said = {samples_of(path): path.name[:2] for path in root.glob("*/*")}
    expected = [said[e["samples"].tobytes()] for e in data.test.as_numpy_iterator()]
    assert splits.groups_of(data, "test").tolist() == expected
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


@pytest.mark.both
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


@pytest.mark.needs("sound")
def test_a_speaker_of_letters_is_in_one_split(tmp_path, monkeypatch):
    import soundfile

    monkeypatch.setattr(noise, "SECONDS", 10)
    for i, language in enumerate(spoken_letters.LANGUAGES):
        (tmp_path / "package" / language / "alpha").mkdir(parents=True)
        rows = []
        for j, letter in enumerate("ABDFHKLMNOSTW"):
            tone = np.sin(np.arange(4000) * (0.05 + 0.01 * j + 0.001 * i))
            soundfile.write(tmp_path / "package" / language / "alpha" / f"a-{j}.ogg", tone, 16000)
            rows.append(f'<sound name="{letter}" file="{language}/alpha/a-{j}.ogg" />')
        (tmp_path / "package" / language / "sounds.xml").write_text("\n".join(rows))
    (tmp_path / "stage").mkdir()
    spoken_letters._write(tmp_path / "package", tmp_path / "stage")
    data = pipelines.load("spoken_letters", tmp_path / "stage")
    assert data.info.class_names == (*spoken_letters.LETTERS, "_silence_", "_unknown_")
    assert sum(data.info.counts.values()) == len(spoken_letters.LANGUAGES) * 12 + 10
    speakers = {
        part: {row["_group"] for row in data[part].as_numpy_iterator()} - {b"pink.wav"} for part in data.info.counts
    }
    assert set.union(*speakers.values()) == {language.encode() for language in spoken_letters.LANGUAGES}
    assert sum(map(len, speakers.values())) == len(spoken_letters.LANGUAGES)


@pytest.mark.needs("sound")
def test_a_word_is_one_class_in_all_languages(tmp_path, monkeypatch):
    import soundfile

    monkeypatch.setattr(noise, "SECONDS", 10)
    for i, language in enumerate(spoken_words.LANGUAGES):
        (tmp_path / "package" / language).mkdir(parents=True)
        rows = []
        for j, picture in enumerate([*spoken_words.WORDS, "egypt_camel"]):
            file = f"{language}/{picture}{'_wahah' if (language, picture) == ('id', 'egypt_oasis') else ''}.ogg"
            soundfile.write(tmp_path / "package" / file, np.sin(np.arange(4000) * (0.05 + 0.01 * j + 0.001 * i)), 16000)
            rows.append(f'<sound name="{picture}" file="{file}" />')
        (tmp_path / "package" / f"{language}.soundtheme").write_text("\n".join(rows))
    (tmp_path / "stage").mkdir()
    spoken_words._write(tmp_path / "package", tmp_path / "stage")
    assert not (tmp_path / "stage" / "oasis" / "id_nohash_egypt_oasis.ogg").exists(), "it is another word"
    data = pipelines.load("spoken_words", tmp_path / "stage")
    assert data.info.class_names == ("_silence_", "_unknown_", *sorted({*spoken_words.WORDS.values()} - {"_unknown_"}))
    assert sum(data.info.counts.values()) == len(spoken_words.LANGUAGES) * 11 - 1 + 10
    labels = np.concatenate([[row["label"] for row in data[part].as_numpy_iterator()] for part in data.info.counts])
    assert np.bincount(labels).tolist() == [10, 56, 14, 13, 14, 14, 14, 14, 14]


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
