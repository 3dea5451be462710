"""Words and pitch of recordings: cepstra against SciPy, CREPE's conversion and decoding, predictions of files."""

import h5py
import keras
import numpy as np
import pytest
import scipy.fft
import scipy.signal
import soundfile
import tensorflow as tf

import pipelines
import zoo
from tests.pipelines.sound.test_sound import write
from tests.zoo.conftest import data_dir
from zoo import predict
from zoo.core.recipe import Recipe
from zoo.modeling.layers import WIDEST, SpecAugment
from zoo.models import keywords
from zoo.tasks import pitch
from zoo.tasks.keywords import KeywordClassification
from zoo.weights import crepe
from zoobase.errors import DataError, MissingError, ZooError


def cepstra(samples, coefficients):
    """Compute what the layer does in float64, by the transforms of SciPy."""
    frames = np.stack([samples[:, start : start + 640] for start in range(0, samples.shape[1] - 639, 320)], axis=1)
    amplitudes = np.abs(scipy.fft.rfft(frames.astype(np.float64) * scipy.signal.windows.hann(640, sym=False)))
    frequencies = scipy.fft.rfftfreq(640, 1 / 16000)
    mel = 2595 * np.log10(1 + frequencies / 700)
    edges = np.linspace(*(2595 * np.log10(1 + np.array([20, 4000]) / 700)), 42)
    bands = np.stack([np.interp(mel, edges[i : i + 3], [0, 1, 0]) for i in range(40)], axis=1)
    return scipy.fft.dct(np.log(amplitudes @ bands + 1e-3), norm="ortho")[..., :coefficients]


@pytest.mark.parametrize("coefficients", [1, 10, 40])
def test_the_cepstra_are_those_of_scipy(coefficients):
    random = np.random.default_rng(0)
    samples = random.normal(0, [[0.5], [0.1], [1e-3], [0]], (4, 16000)).clip(-1, 1).astype("float32")
    samples[1] += 0.5 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000).astype("float32")
    layer = keywords.CepstralCoefficients(coefficients)
    values = np.asarray(layer(samples))
    assert values.shape == (4, 49, coefficients) == (4, *layer.compute_output_shape((None, 16000))[1:])
    np.testing.assert_allclose(values, cepstra(samples, coefficients), atol=2e-3)
    assert not layer.weights


def test_masks_are_whole_bands_and_windows_of_one_mean_each():
    bands = np.random.default_rng(0).normal(3, 1, (2000, 49, 40)).astype("float32")
    layer, same = SpecAugment(1, seed=1), SpecAugment.from_config(SpecAugment(1, seed=1).get_config())
    augmented = np.asarray(tf.function(layer)(bands, training=True))  # as `fit` calls it
    masked = augmented != bands
    windows, frequencies = masked.all(axis=2), masked.all(axis=1)
    np.testing.assert_array_equal(masked, windows[:, :, None] | frequencies[:, None, :])
    means = np.broadcast_to(bands.mean(axis=(1, 2), keepdims=True), bands.shape)
    np.testing.assert_allclose(augmented[masked], means[masked], rtol=1e-5)
    for lines in (windows, frequencies):
        counts = lines.sum(axis=1)
        assert (np.abs(np.diff(lines, axis=1)).sum(axis=1) <= 2).all(), "a mask is one range"
        assert set(counts) >= set(range(int(WIDEST * lines.shape[1]) + 1))
        assert counts.max() <= WIDEST * lines.shape[1] + 1
        assert counts.mean() == pytest.approx(WIDEST / 2 * lines.shape[1], rel=0.05)
        assert lines.any(axis=0).all(), "each line is masked in some example"
    np.testing.assert_array_equal(same(bands, training=True), augmented)
    assert (np.asarray(same(bands, training=True)) != augmented).any(), "the next step has other masks"
    np.testing.assert_array_equal(layer(bands), bands)


def test_masks_are_in_training_only_and_saved(tmp_path):
    samples = np.random.default_rng(0).normal(0, 0.1, (4, 16000)).astype("float32")
    tiny = {"filters": 8, "blocks": 1, "dropout": 0.0}
    plain, model = zoo.build("keywords", **tiny), zoo.build("keywords", masks=2, **tiny)
    model.set_weights(plain.get_weights())
    np.testing.assert_array_equal(model(samples), plain(samples))
    cepstra = [keras.Model(m.input, m.get_layer("cepstra").output) for m in (plain, model)]
    np.testing.assert_array_equal(cepstra[0](samples, training=True), cepstra[0](samples))
    assert (np.asarray(cepstra[1](samples, training=True)) != np.asarray(cepstra[1](samples))).mean() > 0.5
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    assert again.get_layer("cepstra").augment.masks == 2
    np.testing.assert_array_equal(again(samples), plain(samples))


def test_masks_leave_no_operator_in_tflite(tmp_path):
    def operators(masks):
        model = zoo.build("keywords", filters=8, blocks=1, masks=masks)
        file = tf.lite.TFLiteConverter.from_keras_model(model).convert()
        return [one["op_name"] for one in tf.lite.Interpreter(model_content=file)._get_ops_details()]

    assert operators(2) == operators(0)


def test_no_word_is_predicted_of_silence(tmp_path):
    with pytest.raises(DataError, match="is silent: there is no word in it"):
        zoo.load("keywords").predict([write(tmp_path / "x.wav", np.zeros(16000), 16000)])


def test_the_size_is_that_of_the_paper():
    model = zoo.build("keywords", num_classes=12)
    convolutions = 10 * 4 * 64 + 4 * (9 * 64 + 64 * 64)
    assert sum(np.prod(w.shape) for w in model.weights if "kernel" in w.name) == convolutions + 64 * 12
    assert model.get_layer("conv").output.shape == (None, 25, 5, 64)


@pytest.mark.extended
def test_the_noise_of_the_folder_is_added_in_training():
    info = (data := pipelines.load("spoken_numbers", data_dir=data_dir("keywords"))).info
    assert info.class_names == ("_silence_", "down", "stay", "up")

    def batch(augment, training=True):
        task, recipe = KeywordClassification(), Recipe(augment=augment)
        return next(iter(task.examples(data.train, info, recipe, {}, training).batches(70)))[0].numpy()

    plain = batch("none")
    np.testing.assert_array_equal(batch("recorded=10", training=False), plain)
    added = batch("recorded=10") - plain
    noise = np.stack([e["samples"] for e in data.train.as_numpy_iterator() if e["label"] == 0]) / 2**15
    similar = np.abs(np.corrcoef(np.concatenate([noise, added]))[: len(noise), len(noise) :]).max(axis=0)
    assert np.median(similar) > 0.99


def test_files_are_predicted_by_their_names(trained, tmp_path):
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(44100) / 22050)  # two seconds
    soundfile.write(tmp_path / "a.flac", tone, 22050)
    soundfile.write(tmp_path / "b.wav", tone[:5000], 22050, subtype="PCM_16")
    for source in (trained("keywords"), trained("keywords") / "bundle"):
        rows = predict.run(source, [str(tmp_path / "a.flac"), str(tmp_path / "b.wav")], top_k=2).rows
        assert [row["rank"] for row in rows] == [1, 2, 1, 2]
        assert {row["label"] for row in rows} <= {"_silence_", "down", "stay", "up"}
        assert all(0 <= row["probability"] <= 1 for row in rows)
    with pytest.raises(MissingError, match="cannot read"):
        predict.run(trained("keywords"), [str(tmp_path / "nowhere.wav")])


def as_original(model):
    return {v.path.replace("_norm", "-BN"): np.asarray(v) for v in model.weights}


def test_conversion_takes_every_value_once():
    model, other = zoo.build("crepe", capacity=1), zoo.build("crepe", capacity=1)
    values = as_original(model)
    crepe.WEIGHTS["crepe"].assign(other, values)
    frame = np.random.default_rng(0).normal(size=(2, 1024)).astype("float32")
    np.testing.assert_array_equal(other(frame), model(frame))
    with pytest.raises(ZooError, match="more values than the model: x"):
        crepe.WEIGHTS["crepe"].assign(other, {**values, "x": np.zeros(1)})
    with pytest.raises(ZooError, match=r"no conv2-BN/beta"):
        crepe.WEIGHTS["crepe"].assign(other, {k: v for k, v in values.items() if k != "conv2-BN/beta"})


def test_the_values_of_a_file_are_read_by_layer(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["conv1/conv1_3/kernel:0"] = np.ones((2, 3))
    values = crepe.read(tmp_path / "x.h5")
    assert {name: value.shape for name, value in values.items()} == {"conv1/kernel": (2, 3)}


def test_frames_are_normalised_and_constant_ones_are_zero():
    layer = zoo.build("crepe", capacity=1).get_layer("normalise")
    frame = np.random.default_rng(0).normal(3, 2, (1, 1024)).astype("float32")
    np.testing.assert_allclose(layer(frame), (frame - frame.mean()) / frame.std(), atol=1e-4)
    np.testing.assert_array_equal(layer(np.full((1, 1024), 0.3, "float32")), np.zeros((1, 1024)))


def test_the_pitch_is_the_mean_around_the_largest_value():
    salience = np.zeros((3, 360), "float32")
    salience[0, 100], salience[1, [200, 201]], salience[2, [0, 300]] = 0.9, 0.5, (0.8, 0.7)
    expected = [pitch.CENTS[100], (pitch.CENTS[200] + pitch.CENTS[201]) / 2, pitch.CENTS[0]]
    np.testing.assert_allclose(pitch.cents_of(salience), expected)
    inside = pitch.decode_tensor(salience)
    np.testing.assert_allclose(inside["frequency"], 10 * 2 ** (np.array(expected) / 1200), rtol=1e-5)
    np.testing.assert_allclose(inside["confidence"], [0.9, 0.5, 0.8])


def test_the_metrics_count_cents():
    target = np.exp(-(((pitch.CENTS - np.array([[3000], [4000], [5000]])) / 25) ** 2) / 2)
    shifted = np.exp(-(((pitch.CENTS - np.array([[3010], [5200], [5100]])) / 25) ** 2) / 2)
    metrics = pitch.PitchEstimation().metrics({"salience": shifted}, target, None)
    assert metrics["raw_pitch_accuracy"] == pytest.approx(1 / 3)
    assert metrics["raw_chroma_accuracy"] == pytest.approx(2 / 3)
    assert metrics["median_error_cents"] == pytest.approx(100, abs=2)
    assert [pitch.note(f) for f in (440, 261.6, 32.7, 1975.5)] == ["A4", "C4", "C1", "B6"]


@pytest.mark.proof
def test_recordings_are_predicted_by_their_names(trained, tmp_path):
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(8000) / 16000)
    path = write(tmp_path / "a.wav", tone, 16000)
    for source in (trained("crepe"), trained("crepe") / "bundle"):
        rows = predict.run(source, [str(path)]).rows
        assert [row["seconds"] for row in rows] == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]
        assert all(32 < row["frequency"] < 2100 and 0 <= row["confidence"] <= 1 for row in rows)
