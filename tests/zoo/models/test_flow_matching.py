"""Flow matching: the feed, the sampler inside the model, classes."""

import json

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import pipelines
import zoo
from export.protocol import chromium, litert_js
from export.serving.web.site import write_site
from tests.export.serving.web.tab import tab
from tests.plugins import needs
from tests.zoo.conftest import DATA
from tests.zoo.test_cli import cli
from zoo.core import plan
from zoo.prediction import predictor
from zoo.tasks import ClassImageGeneration
from zoobase.errors import UsageError

FASHION = str(DATA["fashion_mnist"])
RANDOM = np.random.default_rng(0)
ARGUMENTS = {"filters": (4, 8), "steps": 2, "guidance": 1.7}


@pytest.fixture(scope="module")
def model():
    """Random weights, because some kernels are zeros at first."""
    model = zoo.build("flow_matching", **ARGUMENTS)
    model.set_weights([0.3 * RANDOM.standard_normal(v.shape).astype("float32") for v in model.weights])
    return model


@pytest.mark.extended
def test_noise_times_and_classes_depend_on_example_and_epoch():
    planned = plan.make_plan("flow_matching", data_dir=FASHION)
    feed = planned.feed(planned.load_data(), "train", training=True)
    (inputs, image), (again, _) = (next(iter(feed.batches(600))) for _ in range(2))
    later, _ = next(iter(feed.batches(600, epoch=1)))
    for name in ("noise", "time", "condition"):
        np.testing.assert_array_equal(inputs[name], again[name])
        assert not np.array_equal(inputs[name], later[name])
    np.testing.assert_array_equal(inputs["class_id"], later["class_id"])
    assert (inputs["noise"].shape, image.shape) == ((len(image), 784), (len(image), 28, 28, 1))
    time = inputs["time"].numpy()
    assert 0 < time.min() < 0.2 < 0.8 < time.max() < 1
    of_none = inputs["condition"].numpy() == 10
    assert 0.05 < of_none.mean() < 0.15
    np.testing.assert_array_equal(inputs["condition"][~of_none], inputs["class_id"][~of_none])


def test_the_loss_is_the_error_of_the_velocity_at_a_point_between_noise_and_image(model):
    pixels, noise = RANDOM.integers(0, 256, (3, 28, 28, 1)), RANDOM.standard_normal((3, 784)).astype("float32")
    velocity = pixels / 127.5 - 1 - noise.reshape(pixels.shape)
    point, time = tf.constant(noise.reshape(pixels.shape) + 0.3 * velocity, "float32"), tf.fill([3], 0.3)
    predicted = model.velocity(point, time, [1, 2, 10]).numpy()
    inputs = {"noise": noise, "time": time, "condition": [1, 2, 10]}
    (losses,) = model.batch_losses(inputs, pixels, training=False)
    np.testing.assert_allclose(losses, ((predicted - velocity) ** 2).mean((1, 2, 3)), rtol=1e-3)


def test_the_sampler_is_the_method_of_euler_with_guidance(model):
    noise, ids = RANDOM.standard_normal((2, 784)).astype("float32"), np.array([3, 7], "int32")

    def velocity(point, time):
        point = tf.constant(point, "float32")
        of_class, of_none = (model.velocity(point, tf.fill([2], time), c).numpy() for c in (ids, [10, 10]))
        return of_none + 1.7 * (of_class - of_none)

    point = noise.reshape(2, 28, 28, 1)
    for time in (0.0, 0.5):
        point = point + 0.5 * velocity(point, time)
    images = model({"noise": noise, "class_id": ids}).numpy()
    np.testing.assert_allclose(images, np.clip(127.5 * point + 127.5, 0, 255), atol=0.05)
    assert images.std() > 10


def test_the_class_changes_the_image_and_the_batch_does_not(model):
    noise, ids = np.repeat(RANDOM.standard_normal((1, 784)), 2, axis=0).astype("float32"), np.array([3, 7], "int32")
    both = model({"noise": noise, "class_id": ids}).numpy()
    alone = model({"noise": noise[1:], "class_id": ids[1:]}).numpy()
    assert np.abs(both[0] - both[1]).max() > 1
    np.testing.assert_allclose(both[1:], alone, atol=0.05)


def test_a_class_is_chosen_by_its_name(model):
    info = pipelines.load("fashion_mnist", FASHION).info
    task = ClassImageGeneration()
    contract, calls = task.contract(model, info), []

    def call(endpoint, inputs):
        calls.append(inputs)
        return contract[endpoint].call(inputs)

    task.sample(call, contract, {"count": 2, "class_name": "Sandal"}, 0, info)
    task.sample(call, contract, {"count": 3}, 0, info)
    assert [int(inputs["class_id"][0]) for inputs in calls] == [5, 5, 0, 1, 2]
    np.testing.assert_array_equal(calls[0]["noise"], calls[2]["noise"])
    with pytest.raises(UsageError, match="unknown class 'Sandel'; did you mean Sandal"):
        task.sample(call, contract, {"class_name": "Sandel"}, 0, info)


@pytest.mark.extended
def test_samples_are_the_same_everywhere_and_of_the_class(trained, tmp_path):
    run = trained("flow_matching")
    (endpoint,) = predictor.load(run / "bundle").contract.endpoints
    assert [(t.name, t.dtype, t.shape) for t in endpoint.inputs] == [
        ("noise", "float32", (None, 784)),
        ("class_id", "int32", (None,)),
    ]
    images = {}
    for runtime in ("keras", "saved_model", "tflite"):
        cli("zoo.sample", run, "-o", tmp_path / "grid.png", "--count", 4, "--runtime", runtime, "--class-name", "Bag")
        images[runtime] = np.asarray(Image.open(tmp_path / "grid.png")).astype(int)
    assert images["keras"].shape == (56, 56)
    assert max(np.abs(images["keras"] - images[name]).max() for name in images) <= 1
    evaluation = json.loads((run / "evaluation.json").read_text())
    assert list(evaluation["compared"]) == ["this model", "real halves", "Gaussian mixture", "noise"]
    assert 0 <= evaluation["metrics"]["class_accuracy"] < evaluation["metrics"]["class_accuracy_of_real"]
    assert {p.stem for p in (run / "figures").glob("*.png")} == {"curves", "samples", "interpolations"}


@pytest.mark.extended
def test_the_page_draws_the_class_that_is_chosen(trained, tmp_path):
    needs.require("chromium")
    litert_js.fetch()
    site = write_site([trained("flow_matching") / "bundle"], tmp_path / "site")
    image = "document.getElementById('result').toDataURL()"
    with tab() as page, chromium.serving(site) as url:
        assert page.open(f"{url}/index.html") == "answered"
        assert page.evaluate("Array.from(document.querySelectorAll('option'), (o) => o.textContent)")[5] == "Sandal"
        before = page.evaluate(image)
        choose = "s = document.querySelector('select'); s.value = 5; s.dispatchEvent(new Event('change'))"
        page.evaluate(f"(() => {{ let {choose}; return true; }})()")
        page.wait(f"{image} !== {json.dumps(before)}")
