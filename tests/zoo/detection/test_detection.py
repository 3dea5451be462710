"""Detection: metrics, loss, decoding, evaluation, quantised files, endpoints and predictions."""

import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import pipelines
import zoo
from export.proof.evaluation import paired_drop
from tests.pipelines.images.test_boxes import coco
from tests.zoo.detection.coco import by_pycocotools
from zoo.candidates import selection
from zoo.core import plan
from zoo.detection import metrics
from zoo.detection.decoding import STRIDE, decode
from zoo.detection.loss import DetectionLoss
from zoo.evaluation import outputs
from zoo.modeling import backbones
from zoo.prediction import predictor
from zoo.tasks.image.detection import Detection

NAMES = ("a", "b", "c")


def rows(*objects, most=4):
    """Return rows (1, most, 6) of objects (left, top, right, bottom, label[, ignored])."""
    padded = [(*row, 0)[:6] for row in objects] + [(0, 0, 0, 0, -1, 0)] * (most - len(objects))
    return np.array([padded], np.float32)


def random_images(count=40, seed=1):
    """Return truth and detections, some of which are good, some far away, and some of other classes."""
    random = np.random.default_rng(seed)
    truth, found = [], []
    for _ in range(count):
        n = random.integers(0, 5)
        corners = random.uniform(0, 40, (n, 2))
        boxes = np.concatenate([corners, corners + random.uniform(12, 30, (n, 2))], axis=1)
        objects = [(*box, random.integers(0, 2), int(random.random() < 0.15)) for box in boxes]
        truth.append(rows(*objects, most=5)[0])
        detections = []
        for row in [*objects, *objects]:
            moved = np.array(row[:4]) + random.normal(0, 2.5, 4)
            detections.append((*moved, row[4] if random.random() < 0.8 else 2, round(random.uniform(0.1, 1), 1)))
        detections += [(1, 1, 20, 20, 0, 0.5)] * random.integers(0, 2)
        detections.sort(key=lambda row: -row[5])
        found.append(np.array(detections + [(0,) * 6] * (12 - len(detections)), np.float32))
    return np.stack(truth), np.stack(found)


# === Metrics ===


def test_average_precision_is_that_of_pycocotools():
    truth, found = random_images()
    hits, uncounted = metrics.match(found, truth)
    own = metrics.scores(found, hits, uncounted, truth, NAMES)
    theirs = by_pycocotools(found, truth, len(NAMES))
    assert 0.1 < theirs["AP"] < 0.9
    pairs = {"mean_average_precision": "AP", "average_precision_50": "AP50", "average_precision_75": "AP75"}
    for ours, name in (pairs | {"average_recall": "AR"}).items():
        assert own[ours] == pytest.approx(theirs[name], abs=1e-9), name
    assert own["per_class"]["c"] == {"average_precision": None, "objects": 0}
    assert next(iter(own)) == "mean_average_precision"


def test_average_precision_by_hand():
    truth = rows((0, 0, 10, 10, 0), (20, 20, 30, 30, 0))

    def score(*detections):
        found = np.array([detections], np.float32)
        return metrics.scores(found, *metrics.match(found, truth), truth, NAMES)

    perfect = score((0, 0, 10, 10, 0, 0.9), (20, 20, 30, 30, 0, 0.8))
    assert perfect["mean_average_precision"] == perfect["average_recall"] == 1
    half = score((0, 0, 10, 10, 0, 0.9), (0, 0, 10, 10, 0, 0.8))  # the second finds the same object again
    assert half["average_precision_50"] == pytest.approx(51 / 101)
    first_wrong = score((40, 40, 50, 50, 0, 0.9), (0, 0, 10, 10, 0, 0.8))
    assert first_wrong["average_precision_50"] == pytest.approx(0.5 * 51 / 101)
    assert score((0, 0, 10, 10, 1, 0.9))["average_precision_50"] == 0  # another class
    nothing = np.zeros((1, 2, 6), np.float32)
    empty = rows()
    assert metrics.scores(nothing, *metrics.match(nothing, empty), empty, NAMES)["mean_average_precision"] == 0


def test_what_is_shown_has_an_object_once():
    found = np.array([(0, 0, 10, 10, 0, 0.9), (1, 0, 10, 10, 0, 0.8), (1, 0, 10, 10, 1, 0.7), (8, 8, 20, 20, 0, 0.6)])
    rows_shown = metrics.distinct(np.concatenate([found, np.zeros((1, 6))]))
    assert rows_shown[:, 5].tolist() == [0.9, 0.7, 0.6]


# === Loss and decoding ===


def cells(objects, classes=3, side=32):
    """Return the logits and distances (1, h, w, ...) of a detector that finds exactly these objects."""
    size = side // STRIDE
    logits = np.zeros((1, size, size, classes + 1), np.float32)
    logits[..., 0] = 12
    distances = np.full((1, size, size, 4), 0.1, np.float32)
    for left, top, right, bottom, label in objects:
        column, row = int((left + right) / 2 // STRIDE), int((top + bottom) / 2 // STRIDE)
        x, y = STRIDE * (column + 0.5), STRIDE * (row + 0.5)
        logits[0, row, column] = 24 * np.eye(classes + 1)[label + 1]
        near = np.s_[0, max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
        yy, xx = (np.mgrid[:size, :size] + 0.5) * STRIDE
        edges = np.stack([xx - left, yy - top, right - xx, bottom - yy], axis=-1) / side
        distances[near] = edges[near[1:]]
        assert left < x < right
        assert top < y < bottom
    return logits, distances


OBJECTS = [(1, 2, 13, 12, 2), (16, 15, 30, 31, 0)]


def test_the_loss_is_small_for_the_truth_only():
    loss = DetectionLoss(32, 32, reduction=None)
    truth = rows(*OBJECTS)
    logits, distances = cells(OBJECTS)

    def value(logits=logits, distances=distances, truth=truth):
        return float(np.asarray(loss(truth, np.concatenate([logits, distances], axis=-1)))[0])

    assert value() < 0.02
    assert value(distances=distances * 0.5) > value() + 0.1
    assert value(logits=cells([(1, 2, 13, 12, 1), OBJECTS[1]])[0]) > value() + 1  # another class
    assert value(logits=cells(OBJECTS[:1])[0]) > value() + 1  # not found
    assert value(truth=rows(OBJECTS[0])) > value() + 1  # found where nothing is
    ignored = rows(OBJECTS[0], (*OBJECTS[1], 1))
    assert np.isfinite(value(truth=ignored))
    nothing = cells([])
    assert value(*nothing, truth=rows()) < 1e-3  # no object, no NaN
    assert DetectionLoss.from_config(loss.get_config()).height == 32


def test_what_is_decoded_are_the_objects():
    decoded = {k: np.asarray(v) for k, v in decode(*cells(OBJECTS), 32, 32).items()}
    assert decoded["classes"].dtype == np.int32
    assert {int(c) for c in decoded["classes"][0]} == {0, 3, 1}
    found = metrics.best(decoded, 0.5)[0]
    found = found[found[:, 5] > 0]
    assert sorted(map(tuple, np.rint(found[:, :5]).astype(int).tolist())) == sorted(OBJECTS)


def test_cells_beside_a_better_one_are_suppressed_without_a_jump():
    logits, distances = cells(OBJECTS)
    scores = []
    for share in (0.0, 1.0, 1.0 - 1e-6, 0.999):
        logits[0, 1, 2] = share * logits[0, 1, 1]  # the neighbour of the first object
        scores.append(np.asarray(decode(logits, distances, 32, 32)["scores"])[0])
    place = 1 * 8 + 2
    assert scores[0][place] < 1e-6
    assert scores[1][place] == scores[1][place - 1] > 0.99  # a tie: both are kept
    assert np.abs(scores[2] - scores[1]).max() < 1e-4
    logits[0, 1, 2] = logits[0, 1, 1] - np.array([0, 0, 0, 23.5])
    assert np.asarray(decode(logits, distances, 32, 32)["scores"])[0, place] == 0


# === The candidate ===


def scenes(content, root):
    """Replace the images by one dark scene of 32x48 each, with a red square or a green bar, and their boxes."""
    random = np.random.default_rng(0)
    content["annotations"] = []
    for i, image in enumerate(content["images"]):
        pixels = random.integers(0, 60, (32, 48, 3), np.uint8)
        width, height = ((10, 10), (16, 6))[i % 2]
        left, top = random.integers(0, 48 - width), random.integers(0, 32 - height)
        pixels[top : top + height, left : left + width, i % 2] = 220
        Image.fromarray(pixels).save(root / "images" / image["file_name"])
        image.update(height=32, width=48)
        box = [int(v) for v in (left, top, width, height)]
        own = {"id": i, "image_id": image["id"], "category_id": (7, 3)[i % 2], "bbox": box, "iscrowd": 0}
        content["annotations"].append(own)


@pytest.fixture(scope="module")
def linear(tmp_path_factory):
    root = tmp_path_factory.mktemp("scenes")
    data = coco(root / "data", 200, lambda content: scenes(content, root / "data"))
    planned = plan.make_plan("detector", data_dir=str(data), candidates="linear", settings={"task.fit": "pad"})
    return planned, planned.load_data()


def test_linear_regression_finds_what_differs_by_colour_and_shape(linear):
    planned, dataset = linear
    one = selection.plan_of(planned, "linear", dataset.info)
    model = selection.fitted(one, dataset)
    assert model.output_shape == selection.plan_of(planned, "network", dataset.info).build(dataset.info).output_shape
    evaluation = outputs.of_split(one, model, dataset, "validation")
    scored = one.task.metrics(evaluation.outputs, evaluation.truth, dataset.info)
    assert scored["average_precision_50"] > 0.9
    assert scored["mean_average_precision"] > 0.4
    losses = one.task.losses(evaluation.outputs, evaluation.truth)
    assert losses.mean() == pytest.approx(1 - scored["mean_average_precision"], abs=0.2)


def test_without_objects_nothing_is_found(linear):
    planned, dataset = linear
    empty = {
        name: dataset[name].map(
            lambda e: {**e, "labels": e["labels"][:0], "boxes": e["boxes"][:0], "ignored": e["ignored"][:0]}
        )
        for name in ("train", "validation", "test")
    }
    dataset = pipelines.Dataset(**empty, info=dataset.info)
    one = selection.plan_of(planned, "linear", dataset.info)
    evaluation = outputs.of_split(one, selection.fitted(one, dataset), dataset, "validation")
    assert not evaluation.outputs["detections"][..., 5].any()
    assert not one.task.losses(evaluation.outputs, evaluation.truth).any()


def test_the_loss_of_an_image_is_by_its_average_precision():
    truth = np.concatenate([rows((0, 0, 10, 10, 0), (20, 20, 30, 30, 0)), rows()])
    found = np.zeros((2, 3, 6), np.float32)
    wrong, right = (40, 40, 50, 50, 0), (0, 0, 10, 10, 0)
    found[0] = [(*wrong, 0.9), (*right, 0.8), (*wrong, 0.7)]  # one of two, at a precision of a half
    found[1, 0] = (0, 0, 10, 10, 0, 0.9)  # where there is nothing to find
    kept = dict(zip(("hits", "uncounted"), metrics.match(found, truth), strict=True))
    assert Detection().losses(kept, truth).tolist() == [0.75, 0.0]


# === A trained model ===


@pytest.fixture(scope="module")
def run(trained):
    return trained("detector")


@pytest.mark.extended
def test_evaluation_has_baselines_and_boxes(run):
    evaluation = json.loads((run / "evaluation.json").read_text())
    assert next(iter(evaluation["metrics"])) == "mean_average_precision"
    assert len(evaluation["compared"]) == 2
    assert {p.stem for p in (run / "figures").glob("*.png")} == {"curves", "boxes"}


@pytest.mark.extended
@pytest.mark.parametrize("runtime", ["saved_model", "tflite"])
def test_every_runtime_serves_boxes(run, photograph, runtime):
    model = predictor.load(run, runtime)
    pixels = pipelines.images.read(photograph, 24, 28, 3)[None]
    outputs = model.call("serving_default", {"image": pixels})
    found = model.call("detect", {"image": pixels})
    assert found["boxes"].shape == (1, 64, 4)  # padded to 32x32
    for name, value in decode(outputs["logits"], outputs["distances"], 24, 28).items():
        np.testing.assert_allclose(found[name], value, atol=1e-4)
    assert (found["boxes"] >= 0).all()
    assert (found["boxes"] <= [28, 24, 28, 24]).all()
    assert found["classes"].dtype == np.int32
    if runtime != "tflite":
        files = np.array([photograph.read_bytes()], object)
        np.testing.assert_array_equal(model.call("bytes", {"image_bytes": files})["boxes"], found["boxes"])


EXPLAINED = """
import sys, types
import numpy as np
from zoo.core.task import Query
from zoo.tasks.image.detection import Detection
found = {"boxes": [[[1, 2, 13, 12]]], "scores": [[0.9]], "classes": [[1]], "probabilities": [[[0.1, 0.9]]]}
served = {"detect": {name: np.array(value, "float32") for name, value in found.items()}}
image, info = np.zeros((24, 28, 3), np.uint8), types.SimpleNamespace(class_names=("a",))
task = Detection(height=24, width=28, channels=3, fit="pad")
for name in ("x", sys.argv[1]):
    prediction = task.explain(Query(name, {"image": image}, {}, lambda name, inputs: served[name], info, 3))
    print(*prediction.lines, prediction.image.shape, "keras" in sys.modules)
"""


@pytest.mark.extended
def test_what_a_file_decodes_is_shown_in_the_photograph_without_keras(tmp_path):
    Image.new("RGB", (280, 200)).save(tmp_path / "wide.png")  # ten times as large, and two rows are black on each side
    done = subprocess.run([sys.executable, "-c", EXPLAINED, tmp_path / "wide.png"], capture_output=True, text=True)
    assert done.stdout.splitlines() == [
        " 90.00%  a  from (1, 2) to (13, 12) (216, 252, 3) False",
        " 90.00%  a  from (10, 0) to (130, 100) (200, 280, 3) False",
    ], done.stderr


@pytest.mark.extended
def test_predictions_are_boxes_and_an_image(run, photograph):
    opened = predictor.load(run)
    logits, distances = cells(OBJECTS, classes=10)
    outputs = {"logits": logits[0], "distances": (distances * [32 / 28, 32 / 24, 32 / 28, 32 / 24])[0]}
    prediction = opened.task.show("x", outputs, opened.info, 3)
    expected = {(opened.info.class_names[label], *map(float, box)) for *box, label in OBJECTS[:1]}
    assert expected < {(r["label"], *(r[k] for k in ("left", "top", "right", "bottom"))) for r in prediction.rows}
    assert "Pullover  from (1, 2) to (13, 12)" in "".join(prediction.lines)
    nothing = opened.task.show("x", {"logits": cells([])[0][0], "distances": distances[0]}, opened.info, 3)
    assert nothing.rows == ()
    assert "no object" in nothing.lines[0]
    (of_file,) = opened.predict([photograph])
    assert of_file.image.shape == (61 * 2, 90 * 2, 3)


def test_quantised_files_are_compared_by_what_is_kept_of_each_image():
    truth, found = random_images()
    outputs = {"detections": found} | dict(zip(("hits", "uncounted"), metrics.match(found, truth), strict=True))
    worse = outputs | {"hits": outputs["hits"] & (found[..., :1] < 30)}
    info = SimpleNamespace(class_names=NAMES)
    drop = paired_drop(lambda o, t: Detection().metrics(o, t, info), outputs, worse, truth)
    assert drop["metric"] == "mean_average_precision"
    assert 0 < drop["low"] < drop["drop"] < drop["high"]


def test_your_own_folder_is_read(tmp_path):
    settings = {"model.width": 4, "task.fit": "pad", "task.height": 32, "task.width": 32}
    planned = plan.make_plan("detector", data_dir=str(coco(tmp_path / "data", 24)), settings=settings)
    dataset = planned.load_data()
    images, objects = next(iter(planned.feed(dataset, "train", training=True).batches(16)))
    assert images.shape == (16, 32, 32, 3)
    assert objects.shape == (16, 2, 6)
    assert {-1.0, 0.0, 1.0} == set(np.unique(objects[..., 4]))  # padding, dogs and cats
    assert planned.build(dataset.info).output.shape[1:] == (8, 8, 7)


# === The model ===


@pytest.mark.parametrize(
    ("shape", "encoder"), [((16, 16, 1), ""), ((30, 45, 3), ""), ((64, 64, 3), ""), ((30, 45, 3), backbones.TINY)]
)
def test_the_grid_covers_the_image(shape, encoder):
    model = zoo.build("detector", width=2, encoder=encoder, image_shape=shape, num_classes=5)
    images = np.random.default_rng(0).integers(0, 256, (2, *shape)).astype("uint8")
    outputs = model(images)
    grid = [-(-side // 16) * 4 for side in shape[:2]]
    assert outputs.shape == (2, *grid, 10)
    np.testing.assert_allclose(model(images.astype("float32")), outputs, atol=1e-5)
