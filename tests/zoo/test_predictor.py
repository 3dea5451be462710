"""`zoo.load`: predictions in Python, on files, texts and arrays, in any runtime."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import zoo
from export.proof.certificate import Certificate, Finding, Row
from zoo import predict
from zoo.core.run_folder import RunSummary
from zoobase.errors import MissingError, UsageError


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).integers(0, 256, (3, 28, 28, 1)).astype(np.uint8)


@pytest.mark.parametrize("runtime", [None, "saved_model", "tflite"])
def test_files_and_arrays_give_the_same_as_the_command(trained, pixels, tmp_path, runtime):
    predictor = zoo.load(trained("fashion_mnist"), runtime)
    paths = [tmp_path / f"{i}.png" for i in range(len(pixels))]
    for path, image in zip(paths, pixels, strict=True):
        Image.fromarray(image[..., 0]).save(path)
    of_files, of_arrays = predictor.predict(paths, top_k=2), predictor.predict(pixels, top_k=2)
    rows = predict.run(trained("fashion_mnist"), list(map(str, paths)), top_k=2).rows
    assert [r["label"] for p in of_files for r in p.rows] == [r["label"] for r in rows]
    for one, other in zip(of_files, of_arrays, strict=True):
        assert one.outputs["logits"].shape == (10,)
        np.testing.assert_allclose(one.outputs["logits"], other.outputs["logits"], atol=1e-5)
    whole = predictor.call("serving_default", {"image": pixels})["logits"]
    np.testing.assert_allclose(whole, np.stack([p.outputs["logits"] for p in of_arrays]), atol=1e-4)
    assert "serving_default" in predictor.endpoints


def test_one_image_and_lists_of_them(pixels, tmp_path):
    predictor = zoo.load("mnist_cnn")
    Image.fromarray(pixels[0, ..., 0]).save(tmp_path / "0.png")
    path = tmp_path / "0.png"
    several = ([pixels[0], pixels[1, ..., 0]], pixels[:2, ..., 0], {"image": pixels[:2]})
    first = [predictor.predict(one) for one in (path, str(path), tmp_path, pixels[0], pixels[0, ..., 0], *several)]
    assert [len(predictions) for predictions in first] == [1] * 5 + [2] * 3
    logits = np.stack([predictions[0].outputs["logits"] for predictions in first])
    np.testing.assert_allclose(logits, logits[:1].repeat(8, axis=0), atol=1e-4)
    for wrong, sentence in (([None], "input 0 is None"), ([pixels[0, :20]], r"has the shape \(20, 28, 1\): image is")):
        with pytest.raises(UsageError, match=sentence):
            predictor.predict(wrong)


def test_texts(trained):
    assert len(zoo.load(trained("sentiment")).predict("a moving and funny film")) == 1
    (good,) = zoo.load(trained("sentiment")).predict(["a moving and funny film"])
    assert {row["label"] for row in good.rows} == {"lady", "macbeth"}  # the classes of the fixture


def test_models_that_do_not_predict(trained):
    with pytest.raises(MissingError, match="try python -m zoo"):
        zoo.load(trained("text_rnn")).predict(["word"])
    with pytest.raises(UsageError, match="the model takes source, target"):
        zoo.load(trained("attention")).predict(np.zeros((1, 4), np.int32))
    with pytest.raises(UsageError, match="is not a run folder"):
        zoo.load("nowhere")


def test_the_verbs_are_attributes_of_the_package():
    code = "import sys, zoo; zoo.predict.run, zoo.train.run; assert 'keras' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert {"load", "Predictor"} <= set(dir(zoo))


def test_what_a_notebook_shows():
    opened = zoo.load("mnist")
    assert repr(opened) == "Predictor('mnist', image classification, keras, endpoints: serving_default, bytes)"
    shown = opened._repr_html_()
    assert "<td>serving_default</td><td>image float32 (B, 28, 28, 1)</td>" in shown
    rows = (Row("<b>.tflite", "tflite", "litert", (Finding("logits differ"),)), Row("model.keras", "keras", "keras"))
    certificate = Certificate(rows)
    assert repr(certificate) == "Certificate(fail, 2 rows)"
    assert "&lt;b&gt;.tflite" in certificate._repr_html_()
    assert "logits differ" in certificate._repr_html_()
    summary = RunSummary({"run": "runs/x", "model": "mnist", "data": "digits", "metrics": {"accuracy": 0.98765}})
    assert json.dumps(summary)
    assert "<td>accuracy</td><td>0.9877</td>" in summary._repr_html_()
