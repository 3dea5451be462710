"""Text of lines: what is read of logits, the error rate, training by CTC, and what is refused."""

import io

import numpy as np
import pytest
from PIL import Image

import zoo
from pipelines.dataset import Info
from pipelines.datasets import rendered_lines
from tests.zoo.conftest import data_dir
from zoo.core.plan import make_plan
from zoo.core.task import SplitEvaluation
from zoo.tasks.image.text_recognition import TextRecognition
from zoo.weights.text_recognition import _kernels
from zoobase.errors import UsageError

INFO = Info("lines", "", "", "", {}, {}, vocabulary=("", "a", "b", " "))


def logits_of(*classes):
    return np.eye(len(INFO.vocabulary), dtype="float32")[list(classes)] * 9


def test_repetitions_and_blanks_are_no_characters():
    task = TextRecognition()
    (row,) = task.show("line.png", {"logits": logits_of(0, 1, 1, 0, 1, 2, 2, 3, 3, 1, 0)}, INFO, 3).rows
    assert row["text"] == "aab a"
    assert row["probability"] > 0.99
    (row,) = task.show("line.png", {"logits": logits_of(0, 0)}, INFO, 3).rows
    assert (row["text"], row["probability"]) == ("", 0.0)


def test_the_error_rate_counts_edits():
    logits = np.stack([logits_of(1, 0, 1, 2), logits_of(2, 2, 0, 0), logits_of(0, 0, 0, 0)])
    truth = np.array([[1, 1, 2, 0], [1, 2, 0, 0], [2, 0, 0, 0]])
    batch = TextRecognition().reduce(SplitEvaluation({}, {"logits": logits}, truth, INFO))
    assert batch.outputs["errors"].tolist() == [0, 1, 1]
    metrics = TextRecognition().metrics(batch.outputs, truth, INFO)
    assert metrics == {"character_error_rate": pytest.approx(2 / 6), "lines_right": pytest.approx(1 / 3)}


def test_lines_are_rendered_alike_each_time():
    content = rendered_lines.render("Hello", np.random.default_rng(0))
    assert content == rendered_lines.render("Hello", np.random.default_rng(0))
    pixels = np.asarray(Image.open(io.BytesIO(content)))
    assert pixels.min() < 90 < 200 <= pixels.max()
    assert rendered_lines._cut("to be  or not", 6) == "to be"


def test_the_feed_has_the_classes_of_the_characters():
    settings = zoo.get_spec("text_recognition").tiny_settings()
    plan = make_plan("text_recognition", data_dir=data_dir("text_recognition"), settings=settings)
    dataset = plan.load_data()
    pixels, classes = next(iter(plan.feed(dataset, "train").batches(4)))
    texts = [row["text"].decode() for row in dataset.train.take(4).as_numpy_iterator()]
    assert ["".join(dataset.info.vocabulary[i] for i in row) for row in np.asarray(classes)] == texts
    assert pixels.shape[1:] == (48, 480, 3)
    with pytest.raises(UsageError, match=r"a line has \d+ characters: set task.width to \d+ or more"):
        make_plan("text_recognition", data_dir=data_dir("text_recognition"), settings={"task.width": 64}).load_data()


def test_kernels_are_each_taken_once():
    assert len(set(_kernels())) == len(_kernels()) == 54


@pytest.mark.parametrize("shape", [(32, 640, 3), (48, 100, 3), (48, 640, 1)])
def test_images_of_other_sizes_are_refused(shape):
    with pytest.raises(UsageError, match=r"task\.height must be 48, task\.width a multiple of 8"):
        zoo.build("text_recognition", image_shape=shape)
