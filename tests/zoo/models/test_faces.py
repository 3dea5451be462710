"""The cascade of faces: its operations, its artifacts, and what it refuses."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import pipelines
import zoo
from zoo import train
from zoo.detection import cascade
from zoobase.errors import UsageError

SIDE = 64


@pytest.fixture(scope="module")
def model():
    """A model whose networks, with random weights, take much for faces."""
    keras.utils.set_random_seed(0)
    model = zoo.build("faces", image_shape=(SIDE, SIDE, 3), candidates=2)
    for network, most in ((model.pnet, 2.0), (model.rnet, 3.0), (model.onet, 3.0)):
        network.get_layer("logits").bias.assign([0.0, most])
    return model


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 3)).astype("float32")


@pytest.mark.parametrize(("side", "smaller"), [(64, 38), (65, 13), (20, 20)])
def test_a_smaller_image_is_that_of_tensorflow(side, smaller):
    image = np.random.default_rng(0).normal(size=(1, side, side, 1)).astype("float32")
    weights = cascade.area_weights(side, smaller)
    expected = tf.image.resize(image, (smaller, smaller), "area")[0, ..., 0]
    np.testing.assert_allclose(weights @ image[0, ..., 0] @ weights.T, expected, atol=1e-5)


def test_crops_are_those_of_tensorflow():
    image = np.random.default_rng(0).normal(size=(2, 40, 30, 3)).astype("float32")
    boxes = np.array([[3, 4, 20, 21], [-5, -9, 12, 8], [20, 30, 41, 51], [50, 50, 60, 60]], "float32")
    shares = boxes[:, [1, 0, 3, 2]] / np.array([40, 30, 40, 30])
    expected = tf.image.crop_and_resize(image, np.tile(shares, (2, 1)), [0] * 4 + [1] * 4, (24, 24))
    crops = cascade.crop(tf.constant(image), tf.constant(np.stack([boxes, boxes])), 24)
    np.testing.assert_allclose(crops, expected, atol=1e-4)


@pytest.mark.parametrize("of_smaller", [False, True])
def test_suppression_is_that_of_a_loop(of_smaller):
    random = np.random.default_rng(0)
    start = random.uniform(0, 30, (1, 40, 2))
    boxes = np.concatenate([start, start + random.uniform(5, 30, (1, 40, 2))], axis=-1).astype("float32")
    scores = np.sort(random.normal(size=(1, 40)).astype("float32"))[:, ::-1]

    def overlap(a, b):
        sides = np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0)
        areas = [np.prod(box[2:] - box[:2]) for box in (a, b)]
        return sides.prod() / (min(areas) if of_smaller else sum(areas) - sides.prod())

    kept = [all(overlap(boxes[0, j], boxes[0, i]) <= 0.4 for j in range(i)) for i in range(40)]
    result = cascade.suppress(tf.constant(scores.copy()), tf.constant(boxes), 0.4, of_smaller)
    assert 0 < sum(kept) < 40
    np.testing.assert_array_equal(result[0] > cascade.NONE, kept)


def test_faces_are_the_first_rows(model, images):
    outputs = {name: np.asarray(value) for name, value in model(images).items()}
    assert outputs["boxes"].shape == (3, 32, 4)
    assert outputs["landmarks"].shape == (3, 32, 5, 2)
    assert outputs["count"].min() > 0
    for count, scores, boxes in zip(outputs["count"], outputs["scores"], outputs["boxes"], strict=True):
        assert (scores[:count] >= 0.8).all()
        assert (np.diff(scores) <= 0).all()
        assert not scores[count:].any()
        assert not boxes[count:].any()
        assert boxes.min() >= 0
        assert boxes.max() <= SIDE - 1
    one = {name: np.asarray(value) for name, value in model(images[:1]).items()}
    np.testing.assert_allclose(one["boxes"][0], outputs["boxes"][0], atol=1e-3)
    grey = model(np.full((1, SIDE, SIDE, 3), 128, "uint8"))
    assert np.isfinite(grey["landmarks"]).all()


@pytest.mark.extended
def test_the_tflite_file_finds_the_same_faces(model, images, tmp_path):
    """Of builtin operators, in LiteRT. Two candidates a level have no scores so near that rounding exchanges them."""
    from ai_edge_litert.interpreter import Interpreter

    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serve", model.call, [tf.TensorSpec((1, SIDE, SIDE, 3), tf.float32, name="image")])
    archive.write_out(tmp_path / "saved_model", verbose=False)
    file = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "saved_model")).convert()
    run = Interpreter(model_content=file).get_signature_runner()
    for image in images:
        expected, found = model(image[None]), run(image=image[None])
        assert found["count"][0] > 0
        for name in expected:
            np.testing.assert_allclose(found[name], expected[name], atol=1e-3)


def test_real_inputs_of_the_files_are_images():
    files = zoo.get_spec("faces").task.golden_inputs({"image": np.full((2, 8, 8, 3), 7.4, "float32")})["image_bytes"]
    np.testing.assert_array_equal(tf.io.decode_png(files[0]), np.full((8, 8, 3), 7))


def test_windows_of_the_portrait_have_the_face():
    data = pipelines.load("portrait")
    examples = list(data.test.as_numpy_iterator())
    assert len(examples) == data.info.counts["test"]
    assert {len(e["boxes"]) for e in examples} == {0, 1}
    for example in examples:
        assert (example["boxes"] <= example["size"].max()).all()
    with pytest.raises(pipelines.DataError, match="omit split"):
        pipelines.load("portrait", split="60/20/20")


def test_a_training_is_refused(tmp_path):
    with pytest.raises(UsageError, match="faces is not trained here"):
        train.run("faces", out=str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()
