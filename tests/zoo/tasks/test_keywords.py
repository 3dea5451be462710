"""Words in a second of sound: the cepstra of the graph against SciPy, noise of the folder, and predictions of files."""

import numpy as np
import pytest
import scipy.fft
import scipy.signal
import soundfile

import pipelines
import zoo
from tests.zoo.conftest import data_dir
from zoo import predict
from zoo.core.recipe import Recipe
from zoo.models import keywords
from zoo.tasks.keywords import KeywordClassification
from zoobase.errors import MissingError


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


def test_the_size_is_that_of_the_paper():
    model = zoo.build("keywords", num_classes=12)
    convolutions = 10 * 4 * 64 + 4 * (9 * 64 + 64 * 64)
    assert sum(np.prod(w.shape) for w in model.weights if "kernel" in w.name) == convolutions + 64 * 12
    assert model.get_layer("conv").output.shape == (None, 25, 5, 64)


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
