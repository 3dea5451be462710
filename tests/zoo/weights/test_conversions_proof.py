"""Weights of others give the outputs of their original program, which runs in an environment of its own.

They are downloaded and converted again, to a cache of the tests.
"""

import dataclasses
import io
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import skimage
import tensorflow as tf
from PIL import Image, ImageOps
from skimage import data
from skimage.feature import Cascade

import pipelines
import zoo
from benchmarks.benchmark import TORCH, peer_python
from pipelines.datasets import file_folder, tones
from tests import photographs
from tests.zoo.models.test_efficientnet_lite import CLASSES
from zoo import weights
from zoo.tasks import file_types
from zoo.tasks.pitch import cents_of
from zoo.weights.crepe import WEIGHTS
from zoo.weights.magika import MAGIKA
from zoo.weights.minilm import MINILM

pytestmark = pytest.mark.proof
ORIGINALS = Path(__file__).parent / "originals"


def original(script, requirements, *arguments):
    subprocess.run([peer_python(requirements), ORIGINALS / script, *map(str, arguments)], check=True)


@pytest.mark.parametrize("variant", [0, 1, 2])
def test_efficientnet_lite_equals_pytorch_on_100_photographs(variant, tmp_path):
    from zoo.weights import efficientnet_lite as ours

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
    name = f"efficientnet_lite{variant}"
    model, read = zoo.build(name, weights="imagenet"), zoo.preprocess(name)
    for photograph, classes in CLASSES.items():
        logits = model(read([f"{data.__path__[0]}/{photograph}"]).astype("float32"), training=False).numpy()[0]
        best = logits.argsort()[::-1]
        assert set(best[: 5 if photograph == "rocket.jpg" else 1]) & set(classes), photograph


def test_minilm_equals_sentence_transformers_on_1000_sentences(tmp_path):
    """Its tokenizer, too: the texts go through the endpoint `text`."""
    texts = [e["text"].decode("utf-8", "replace") for e in pipelines.load("movie_reviews").test.as_numpy_iterator()]
    texts = [
        *texts[:950],
        *(" ".join(texts[i : i + 20]) for i in range(1000, 1030)),
        "",
        "Ünï\u0301cødé 東京 \u200b?!",
        "a" * 120,
    ]
    texts += ["word " * 500, *texts[:16]]
    (tmp_path / "texts.json").write_text(json.dumps(texts))

    def run(archive):
        with zipfile.ZipFile(archive) as files:
            files.extractall(tmp_path / "model")
        requirements = ("torch>=2.9", "sentence-transformers>=5")
        original("minilm.py", requirements, tmp_path / "model", tmp_path / "texts.json", tmp_path / "vectors.npy")

    MINILM.read(run)
    plan, model, info = weights.open_default("minilm")
    task = dataclasses.replace(plan.task, length=256)  # as in its sentence_bert_config.json
    call = task.contract(model, info)["text"].call
    ours = np.concatenate(
        [call({"text": tf.constant(texts[i : i + 50])})["embedding"] for i in range(0, len(texts), 50)]
    )
    expected = np.load(tmp_path / "vectors.npy")
    assert len(texts) >= 1000
    print(f"minilm: largest difference {np.abs(ours - expected).max():.2g} of {np.abs(expected).max():.3g}")
    np.testing.assert_allclose(ours, expected, atol=1e-4)


@pytest.mark.parametrize(("precision", "count", "tolerance"), [("double", 200, 1e-4), ("float", 0, 0.05)])
def test_magika_equals_its_onnx_file_on_the_files_of_usr_share(precision, count, tolerance, tmp_path):
    """On all files the type is that of onnxruntime, whose normalisation of constant padding has few valid digits."""
    files = sorted(path for path in Path("/usr/share").rglob("*") if path.is_file())
    files = [files[i] for i in np.random.default_rng(0).permutation(len(files))[: count or None]]
    contents = [file_folder.read(path) for path in files]
    tokens = np.stack([file_types.encode(content, 1024) for content in contents])
    np.save(tmp_path / "tokens.npy", tokens)
    requirements = ("onnx", "onnxruntime", "numpy")
    MAGIKA.read(
        lambda file: original(
            "magika.py", requirements, file, tmp_path / "tokens.npy", tmp_path / "probabilities.npy", precision
        )
    )
    expected = np.load(tmp_path / "probabilities.npy")
    plan, model, info = weights.open_default("magika")
    call = plan.task.contract(model, info)["file"].call
    parts = [call({"content": tf.constant(contents[i : i + 50])}) for i in range(0, len(files), 50)]
    ours = np.concatenate([part["probabilities"] for part in parts])
    difference = np.abs(ours - expected).max(axis=1)
    print(f"magika, {precision}: {len(files)} files, largest difference {difference.max():.2g}, ")
    print(f"{np.mean(difference > 1e-4):.1%} above 1e-4; {np.sum(ours.argmax(-1) != expected.argmax(-1))} other types")
    np.testing.assert_array_equal(ours.argmax(axis=-1), expected.argmax(axis=-1))
    assert difference.max() < tolerance


@pytest.mark.parametrize("name", ["crepe", "crepe_small", "crepe_full"])
def test_crepe_equals_keras_2_on_1000_frames(name, tmp_path):
    capacity = zoo.core.registry.get_entry(name).defaults["capacity"]
    frames, cents = tones.synthesise(1000, 7)
    np.save(tmp_path / "frames.npy", frames)
    requirements = ()  # tf_keras is a requirement of tensorflow_hub
    WEIGHTS[name].read(
        lambda file: original(
            "crepe.py", requirements, capacity, file, tmp_path / "frames.npy", tmp_path / "salience.npy"
        )
    )
    model = zoo.build(name, weights="default")
    salience = model.predict(frames, verbose=0)
    expected = np.load(tmp_path / "salience.npy")
    error = np.abs(cents_of(salience) - cents)
    difference = np.abs(salience - expected).max()
    print(f"{name}: largest difference {difference:.2g}; median error {np.median(error):.2f} cents")
    np.testing.assert_allclose(salience, expected, atol=1e-4)
    assert np.mean(error < 50) > 0.99
    noise = np.random.default_rng(0).normal(size=frames.shape) * np.sqrt(np.mean(frames**2, axis=1, keepdims=True))
    for decibels in (5, 0, -5):
        noisy = (frames + noise * 10 ** (-decibels / 20)).astype(np.float32)
        error = np.abs(cents_of(model.predict(noisy, verbose=0)) - cents)
        print(f"{decibels:3} dB: {np.mean(error < 50):.1%} within 50 cents; median error {np.median(error):.2f} cents")


NETWORKS = {"pnet": (2, 61, 80, 3), "rnet": (200, 24, 24, 3), "onet": (100, 48, 48, 3)}


FACES = {  # the centres of all faces that a person sees in them, x and y at 256x256
    "astronaut": [(111, 59)],
    "camera": [(113, 78)],
    "chelsea": [],
    "coffee": [],
    "rocket": [],
    "sample1": [(124, 114), (66, 105), (211, 85)],
    "sample2": [(205, 74), (70, 65), (131, 79)],
    "sample3": [(156, 84), (91, 99), (213, 95)],
    "sample4": [(142, 71), (46, 75), (98, 55), (180, 67)],
    "sample5": [(91, 106), (201, 105), (160, 77), (115, 64), (61, 170)],
    "sample6": [(47, 110), (211, 80), (101, 89), (168, 86)],
}


@pytest.fixture(scope="module")
def portraits(tmp_path_factory):
    """Return the photographs of `FACES`, of scikit-image and of a package of npm: (N, 256, 256, 3)."""
    folder = tmp_path_factory.mktemp("npm")
    subprocess.run(["npm", "pack", "--silent", "@vladmandic/face-api@1.7.15"], cwd=folder, check=True)
    images = photographs.photographs() | {"camera": Image.fromarray(data.camera()).convert("RGB")}
    with tarfile.open(folder / "vladmandic-face-api-1.7.15.tgz") as archive:
        for i in range(1, 7):
            file = io.BytesIO(archive.extractfile(f"package/demo/sample{i}.jpg").read())
            images[f"sample{i}"] = Image.open(file).convert("RGB")
    return np.stack([np.asarray(ImageOps.pad(images[name], (256, 256))) for name in FACES])


def test_faces_equals_mtcnn_on_photographs(portraits, tmp_path):
    """Each network, and the boxes and landmarks of the whole cascade."""
    packages = ("mtcnn==1.0.0", "lz4", "joblib")  # its other requirement, TensorFlow, is here
    folder = tmp_path / "packages"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "-t", folder, *packages], check=True)
    images, random = portraits, np.random.default_rng(0)
    patches = {name: random.uniform(-1, 1, shape).astype(np.float32) for name, shape in NETWORKS.items()}
    np.save(tmp_path / "images.npy", images)
    np.savez(tmp_path / "patches.npz", **patches)
    files = [tmp_path / name for name in ("images.npy", "patches.npz", "outputs.npz")]
    script = [sys.executable, ORIGINALS / "mtcnn.py", *files, "float32"]
    subprocess.run(script, check=True, env={**os.environ, "PYTHONPATH": str(folder)})
    expected = np.load(tmp_path / "outputs.npz")

    model = zoo.build("faces", weights="default")
    of_networks = 0.0
    for name, values in patches.items():
        outputs = getattr(model, name)(values)
        outputs["logits"] = tf.nn.softmax(outputs["logits"])
        for i, value in enumerate(outputs.values()):
            np.testing.assert_allclose(value, expected[f"{name}_{i}"], atol=1e-4)
            of_networks = max(of_networks, np.abs(value - expected[f"{name}_{i}"]).max())
    found = {name: np.asarray(value) for name, value in model(images).items()}
    differences = []
    for i, count in enumerate(found["count"]):
        rows = expected[f"image_{i}"]
        rows = rows[np.argsort(-rows[:, 5], kind="stable")]
        assert count == len(rows)
        landmarks = rows[:, 6:].reshape(-1, 2, 5).transpose(0, 2, 1)
        np.testing.assert_allclose(found["scores"][i, :count], rows[:, 5], atol=1e-4)
        for name, value in (("boxes", rows[:, 1:5]), ("landmarks", landmarks)):
            np.testing.assert_allclose(found[name][i, :count], value, atol=1e-2)
            differences.append(np.abs(found[name][i, :count] - value).max(initial=0))
    print(
        f"faces: the networks differ by {of_networks:.2g}; {found['count'].sum()} faces in {len(images)} photographs, "
    )
    print(f"whose boxes and landmarks differ by {max(differences):.2g} pixels")
    assert found["count"].sum() >= 20


def test_faces_are_found_on_photographs(portraits):
    """And how many by the local binary patterns of OpenCV, whose cascade scikit-image carries."""
    patterns = Cascade(str(Path(skimage.__file__).parent / "data" / "lbpcascade_frontalface_opencv.xml"))
    sides = {"scale_factor": 1.1, "step_ratio": 1, "min_size": (20, 20), "max_size": (256, 256)}
    windows = [patterns.detect_multi_scale(image, **sides) for image in portraits]
    outputs = zoo.build("faces", weights="default")(portraits)
    boxes = {
        "faces": [of_image[:count] for of_image, count in zip(outputs["boxes"].numpy(), outputs["count"], strict=True)],
        "local binary patterns": [
            [(w["c"], w["r"], w["c"] + w["width"], w["r"] + w["height"]) for w in of_image] for of_image in windows
        ],
    }
    results = {}
    for name, of_images in boxes.items():
        inside = [
            np.array([[x0 < x < x1 and y0 < y < y1 for x0, y0, x1, y1 in found] for x, y in faces], bool)
            for found, faces in zip(of_images, FACES.values(), strict=True)
        ]
        hits = sum(int(face.any()) for of_image in inside for face in of_image)
        false = sum(
            len(found) - int(i.any(axis=0).sum() if i.size else 0) for found, i in zip(of_images, inside, strict=True)
        )
        results[name] = (hits, false)
    print(f"of {sum(map(len, FACES.values()))} faces in {len(FACES)} photographs, (found, false): {results}")
    assert results["faces"] == (22, 0)
    assert results["local binary patterns"][0] < 22
