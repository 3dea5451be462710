"""Weights of others give the outputs of their original program, which runs in an environment of its own.

They are downloaded and converted again, to a cache of the tests.
"""

import subprocess
from pathlib import Path

import numpy as np
import pytest

import zoo
from benchmarks.benchmark import TORCH, peer_python
from tests import photographs
from tests.zoo.models.test_efficientnet_lite import CLASSES

pytestmark = pytest.mark.proof
ORIGINALS = Path(__file__).parent / "originals"


def original(script, requirements, *arguments):
    """Run the original program."""
    subprocess.run([peer_python(requirements), ORIGINALS / script, *map(str, arguments)], check=True)


@pytest.mark.parametrize("variant", [0, 1, 2])
def test_efficientnet_lite_equals_pytorch_on_100_photographs(variant, tmp_path):
    from zoo.modeling import efficientnet_lite_checkpoint as ours

    spec = zoo.get_spec(f"efficientnet_lite{variant}")
    side = spec.task.height
    images = list(photographs.photographs().values())
    random, pixels = np.random.default_rng(0), []
    for i in range(100):
        image = images[i % len(images)]
        crop = int(random.integers(min(image.size) // 2, min(image.size)))
        left, top = (int(random.integers(0, whole - crop + 1)) for whole in image.size)
        pixels.append(np.asarray(image.crop((left, top, left + crop, top + crop)).resize((side, side)), "float32"))
    np.save(tmp_path / "pixels.npy", np.stack(pixels))
    requirements = (*TORCH, "efficientnet-lite-pytorch==0.1.0")
    getattr(ours, f"LITE{variant}").read(
        lambda file: original(
            "efficientnet_lite.py", requirements, variant, file, tmp_path / "pixels.npy", tmp_path / "logits.npy"
        )
    )
    model = zoo.build(spec.name, weights="imagenet")
    logits = model.predict(np.stack(pixels), batch_size=10, verbose=0)
    expected = np.load(tmp_path / "logits.npy")
    print(f"{spec.name}: largest difference {np.abs(logits - expected).max():.2g} of {np.abs(expected).max():.3g}")
    np.testing.assert_allclose(logits, expected, atol=1e-4)
    assert len(set(expected.argmax(-1))) > 10


@pytest.mark.parametrize("variant", [1, 2])
def test_photographs_are_classified_correctly(variant):
    """Of the rocket in the first five only: the first class of both is a drilling platform."""
    from skimage import data

    name = f"efficientnet_lite{variant}"
    model, read = zoo.build(name, weights="imagenet"), zoo.preprocess(name)
    for photograph, classes in CLASSES.items():
        logits = model(read([f"{data.__path__[0]}/{photograph}"]).astype("float32"), training=False).numpy()[0]
        best = logits.argsort()[::-1]
        assert set(best[: 5 if photograph == "rocket.jpg" else 1]) & set(classes), photograph
