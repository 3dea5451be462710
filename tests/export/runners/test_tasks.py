"""Six APIs of MediaPipe Tasks answer 500 raw inputs of our models as Keras does.

`python -m pytest -m proof -s tests/export/runners/test_tasks.py` prints the table of docs/how-to/devices.md.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest

import export
import pipelines
import zoo
from export.contract import Contract, Tensor
from export.contract.endpoints import device_contract, tensor_endpoint
from export.runners.environments import MEDIAPIPE
from export.runners.run_mediapipe import STUBS
from pipelines.text import delimited_words
from tests.photographs import photographs
from zoo.core.run_folder import RunFolder

pytestmark = pytest.mark.proof
COUNT = 500


def crops(size):
    rng, found = np.random.default_rng(0), list(photographs().values())
    images = []
    for i in range(COUNT):
        picture = found[i % len(found)]
        side = int(rng.integers(size // 2, min(picture.size) + 1))
        left, top = (int(rng.integers(0, length - side + 1)) for length in picture.size)
        images.append(np.asarray(picture.crop((left, top, left + side, top + side)).resize((size, size))))
    return np.stack(images)


def embedder(model, layer, takes, name):
    """Return a contract whose only endpoint returns what a layer does."""
    body = keras.Model(model.input, model.get_layer(layer).output, name=name)
    gives = Tensor("features", "float32", (None, body.output.shape[-1]))
    endpoint = tensor_endpoint(body, [takes], [gives], "embed", formats=("tflite",))
    return body, Contract((endpoint,))


def of_photographs(task):
    model = zoo.build("efficientnet_lite0", weights="imagenet")
    takes = Tensor("image", "float32", (None, 224, 224, 3), "image", 0, 255)
    if task == "ImageEmbedder":
        return *embedder(model, "embedding", takes, "features"), crops(224)
    gives = Tensor("logits", "float32", (None, 1000), "logits")
    labels = tuple(f"class {i}" for i in range(1000))
    return model, device_contract(Contract((tensor_endpoint(model, [takes], [gives]),), labels)), crops(224)


def of_masks(task):
    from zoo import weights

    plan, model, info = weights.open_default("unet")
    contract = device_contract(plan.task.contract(model, info))
    return model, contract, crops(contract.endpoints[0].inputs[0].shape[1])


def of_texts(task, folder):
    model_arguments = {"model.encoder": "bag", "model.pairs": 0} if task == "TextEmbedder" else {}
    settings = {"task.tokenizer": "delimited", "recipe.epochs": 2, **model_arguments}
    run = RunFolder.open(zoo.train.run("sentiment", out=folder / "run", settings=settings, export=False)["run"])
    plan, model, info = run.plan(), run.model(), run.info()
    texts = [e["text"].decode() for e in pipelines.load("movie_reviews").test.take(COUNT).as_numpy_iterator()]
    contract = plan.task.contract(model, info)
    if task == "TextEmbedder":
        model, contract = embedder(model, "mean", contract.endpoints[0].inputs[0], "texts")
        return model, contract, texts, info
    return model, device_contract(contract), texts, info


def of_sounds(task):
    keras.utils.set_random_seed(0)
    rng, time_ = np.random.default_rng(0), np.arange(8000) / 16000
    tones = np.sin(2 * np.pi * rng.uniform(100, 4000, (COUNT, 1)) * time_) * rng.uniform(0, 1, (COUNT, 1))
    sounds = np.clip(tones + rng.normal(0, 0.1, tones.shape), -1, 1).astype("float32")
    inputs = keras.Input((8000,), name="samples")
    x = keras.layers.Conv1D(16, 400, strides=160, activation="relu")(keras.layers.Reshape((-1, 1))(inputs))
    x = keras.layers.GlobalMaxPooling1D()(keras.layers.Conv1D(32, 5, activation="relu")(x))
    model = keras.Model(inputs, keras.layers.Dense(5)(x), name="sounds")
    takes = Tensor("samples", "float32", (None, 8000), "audio", -1, 1, sample_rate=16000)
    gives = Tensor("logits", "float32", (None, 5), "logits")
    labels = ("one", "two", "three", "four", "five")
    return model, device_contract(Contract((tensor_endpoint(model, [takes], [gives]),), labels)), sounds


TASKS = ("ImageClassifier", "ImageEmbedder", "ImageSegmenter", "TextClassifier", "TextEmbedder", "AudioClassifier")


@pytest.mark.parametrize("task", TASKS)
def test_500_raw_inputs(task, tmp_path):
    if task.startswith("Text"):
        model, contract, raw, info = of_texts(task, tmp_path)
        index = delimited_words.index(info.vocabulary)
        length = contract.endpoints[0].inputs[0].shape[1]
        inputs = np.stack([delimited_words.encode(text, index, length) for text in raw])
        file = tmp_path / "inputs.json"
        file.write_text(json.dumps(raw))
    else:
        of = {"Image": of_photographs, "Audio": of_sounds}[task[:5]] if task != "ImageSegmenter" else of_masks
        model, contract, raw = of(task)
        inputs = raw.astype("float32")
        file = tmp_path / "inputs.npy"
        np.save(file, raw)
    start = time.monotonic()
    (endpoint,) = contract.endpoints
    calibration = {endpoint.inputs[0].name: inputs[:100]}
    options = {"formats": ("tflite",), "samples": calibration, "checks": export.Checks(extras=("mediapipe",))}
    bundle = export.export_model(model, tmp_path / "b", contract=contract, **options)
    minutes = (time.monotonic() - start) / 60
    path, out = bundle.path / "tflite/float32.tflite", tmp_path / "values.npy"
    program = Path(__file__).with_name("ask_tasks.py")
    subprocess.run([MEDIAPIPE.python, "-P", program, STUBS, task, path, file, out], check=True)
    values = np.load(out)
    (result,) = endpoint.outputs
    batches = (inputs[i : i + 20] for i in range(0, COUNT, 20))
    expected = np.concatenate([np.asarray(endpoint.call({endpoint.inputs[0].name: b})[result.name]) for b in batches])
    assert values.shape == expected.shape
    row = next(row for row in bundle.certificate.rows if row.runtime == "mediapipe")
    tolerance = row.endpoints[endpoint.name]["outputs"][result.name]["tolerance"]
    scale = np.maximum(np.abs(expected).reshape(COUNT, -1).max(axis=1), 1)
    errors = np.abs(values - expected).reshape(COUNT, -1).max(axis=1) / scale
    same = float(np.mean(values.argmax(-1) == expected.argmax(-1)))
    megabytes = path.stat().st_size / 1e6
    figures = (f"{megabytes:.1f}", f"{same:.4f}", f"{errors.max():.1e}", f"{tolerance:.0e}", f"{minutes:.1f}")
    cells = (task, model.name, *figures)
    print("| " + " | ".join(cells) + " |", file=sys.__stdout__)
    assert row.state == "pass"
    assert errors.max() <= tolerance
    assert same >= 0.995
    if contract.labels and task.endswith("Classifier"):
        assert tuple(json.loads(out.with_suffix(".json").read_text())) == contract.labels
