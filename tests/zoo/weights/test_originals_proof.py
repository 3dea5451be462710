"""Models with weights of others return what the programs of the packages return, on real inputs.

A model is a subclass of `EqualToOriginal`: what it is, its real inputs, and what is compared. The original is run by
`originals/NAME.py`. The file with the weights is downloaded and converted again, to a cache of the tests.
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
from pipelines.text import byte_pairs
from tests import photographs
from zoo import weights
from zoo.tasks.text import hashed_ngrams
from zoo.weights.language import LANGUAGE
from zoo.weights.person_segmentation import PERSON
from zoo.weights.silero import SILERO
from zoo.weights.vgg import EDGES
from zoo.weights.wordllama import WORDLLAMA

pytestmark = pytest.mark.proof
ORIGINALS = Path(__file__).parent / "originals"
ALLISON = Debian("asterisk-core-sounds-en-wav", "/usr/share/asterisk/sounds/en_US_f_Allison")
DJANGO = Wheel(
    "django", "5.2.8", "37e687f7bd73ddf043e2b6b97cfe02fcbb11f2dbb3adccc6a2b18c6daa054d7f", "django/conf/locale"
)


class EqualToOriginal:
    """The outputs of the model of `packaged` differ from the original's by at most `tolerance` of the largest."""

    packaged = None  # the `PackagedWeights`
    requirements = ()  # of the script, in an environment of its own
    tolerance = 1e-5  # larger where the reason is said
    least = 200  # real inputs

    def inputs(self):
        """Return real inputs, (N, ...)."""
        raise NotImplementedError

    def ours(self, model, inputs):
        """Return the outputs of our model, in the form of the original's."""
        return model.predict(inputs, batch_size=16, verbose=0)

    def test_outputs_are_equal(self, tmp_path):
        name, inputs = self.packaged.name, self.inputs()
        assert len(inputs) >= self.least
        np.save(tmp_path / "inputs.npy", inputs)

        def original(file):
            arguments = (ORIGINALS / f"{name}.py", file, tmp_path / "inputs.npy", tmp_path / "outputs.npy")
            subprocess.run([peer_python(self.requirements), *map(str, arguments)], check=True)
            return np.load(tmp_path / "outputs.npy")

        expected, model = self.packaged.read(original), zoo.build(name, weights="default")
        outputs = self.ours(model, inputs)
        assert outputs.shape == expected.shape
        assert expected.std() > 1e-3
        difference = np.abs(outputs - expected).max() / np.abs(expected).max()
        print(f"{name}: {len(inputs)} inputs, {model.count_params():,} parameters, {self.packaged.size:,} bytes, ")
        print(f"largest difference {difference:.2g}, outputs from {expected.min():.3g} to {expected.max():.3g}")
        assert difference <= self.tolerance
        assert difference <= 1.1 * self.packaged.difference, "packages.json has a smaller one"


class TestSileroVAD(EqualToOriginal):
    """Recordings of a person, 2 seconds each; each has 64 steps, which the original takes one by one."""

    packaged = SILERO
    requirements = ("numpy", "onnxruntime")
    tolerance = 4e-5  # ours in single precision are up to 2.2e-5 from those in double precision, the original's 1.1e-5

    def inputs(self):
        def read(folder):
            files = (file for file in sorted(folder.rglob("*.wav")) if file.stat().st_size > 44)
            return np.concatenate([sound.read(file, 16_000) for file in files])

        samples = search.search("recordings", ALLISON.sources(read), "")[1]
        return samples[: 250 * 32_768].reshape(-1, 32_768)


class TestPersonSegmentation(EqualToOriginal):
    """Crops of photographs; the logits are compared, before the sigmoid. See the script for its last operator."""

    packaged = PERSON
    tolerance = 3e-5  # as far as LiteRT's logits are from those of our model in double precision

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


class TestEdges(TestPersonSegmentation):
    """The same crops; the logits are compared, before the sigmoid."""

    packaged = EDGES
    tolerance = 1e-5


def _messages(folder):
    """Return (language, text) of the longer messages of Django in each language: sentences of translators."""
    found = set()
    for file in sorted(folder.glob("*/LC_MESSAGES/django.mo")):
        with file.open("rb") as content:
            texts = gettext.GNUTranslations(content)._catalog.values()
        language = {"nb": "no"}.get(code := file.parts[-3].split("_")[0], code)
        found |= {(language, text) for text in texts if 40 <= len(text) <= 160 and not set(text) & set("%<\n{")}
    return sorted(found)


class TestLanguage(EqualToOriginal):
    """Sentences of Django's translations; some of them are not translated, and some languages have other codes."""

    packaged = LANGUAGE
    requirements = ("fasttext-predict", "numpy")
    least = 1000
    tolerance = 2e-5  # below 1e-5, the original has zeros

    def inputs(self):
        self.languages, texts = zip(*search.search("messages", DJANGO.sources(_messages)[1:], "")[1], strict=True)
        return np.array(texts)

    def ours(self, model, inputs):
        info = Info.from_json(weights.description("language")["info"])
        ids = hashed_ngrams.encode_tensor(tf.constant(inputs), info.vocabulary, 512)
        probabilities = np.exp(super().ours(model, ids.numpy()))
        labelled = [label in info.class_names for label in self.languages]
        right = (np.array(info.class_names)[probabilities.argmax(axis=1)] == np.array(self.languages))[labelled]
        print(f"{len(set(self.languages))} languages; {right.mean():.1%} of {len(right)} sentences are right")
        assert right.mean() > 0.8
        return probabilities


class TestWordLlama(EqualToOriginal):
    """Sentences of Django's translations, also in languages without spaces; the tokens are ours on both ways."""

    packaged = WORDLLAMA
    requirements = ("wordllama==0.4.0.post1",)
    least = 1000

    def inputs(self):
        return np.array([text for _, text in search.search("messages", DJANGO.sources(_messages)[1:], "")[1]])

    def ours(self, model, inputs):
        vocabulary = tuple(weights.description("wordllama")["info"]["vocabulary"])
        ids = byte_pairs.encode_tensor(tf.constant(inputs), vocabulary, 512).numpy()
        index = byte_pairs.index(vocabulary)
        np.testing.assert_array_equal(ids, [byte_pairs.encode(str(text), index, 512) for text in inputs])
        return super().ours(model, ids)
