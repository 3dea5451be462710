"""The doctor's figures against scikit-learn's definitions and numbers counted by hand."""

import numpy as np
import pytest

import pipelines
import zoo
from zoo.core.task import Evaluation
from zoo.tasks.image import medical
from zoo.tasks.image.medical import MedicalClassification

NAMES = ("melanoma", "nevus", "seborrheic_keratosis")


def info(names=NAMES):
    return pipelines.Info("x", "x", "x", "x", {}, {"test": 60}, class_names=names)


@pytest.fixture(scope="module")
def answers():
    random = np.random.default_rng(0)
    truth = random.integers(0, 3, 60)
    logits = random.normal(size=(60, 3)) + 1.5 * np.eye(3)[truth]
    return {"logits": logits}, truth


def test_thresholds_count_what_is_missed_and_raised():
    ill = np.array([True, True, True, False, False, False, False])
    chance = np.array([0.9, 0.6, 0.1, 0.7, 0.3, 0.2, 0.0])
    row = medical.threshold_row(ill, chance, 0.5)
    assert row | {"threshold": 0.5} == row
    assert (row["found"], row["missed"], row["falsely_raised"], row["rightly_cleared"]) == (2, 1, 1, 3)
    assert (row["sensitivity"], row["specificity"]) == (pytest.approx(2 / 3), 0.75)
    assert medical.threshold_for(ill, chance, 1.0) == 0.1
    assert medical.threshold_for(ill, chance, 0.6) == 0.6
    words = medical.in_words("melanoma", row)
    assert "1 of 3 melanoma would be missed (type II error 33.3%)" in words
    assert "1 of 4 others falsely raised (type I error 25.0%)" in words


def test_metrics_have_the_positive_class_and_every_other(answers):
    outputs, truth = answers
    told = MedicalClassification(sensitivity=0.9).metrics(outputs, truth, info())
    assert next(iter(told)) == "accuracy"
    assert told["positive_class"] == "melanoma"
    assert [row["threshold"] for row in told["thresholds"][:3]] == [0.2, 0.5, 0.8]
    assert told["thresholds"][3]["sensitivity"] >= 0.9
    assert told["sensitivity"] == told["thresholds"][1]["sensitivity"]
    assert told["per_class"]["melanoma"]["auc"] == pytest.approx(told["auc"])
    assert told["per_class"]["nevus"]["sensitivity"] == told["per_class"]["nevus"]["recall"]
    assert len(told["errors"]) == 4
    assert MedicalClassification(positive="nevus").metrics(outputs, truth, info())["positive_class"] == "nevus"


def test_a_split_without_positives_leaves_out_what_is_undefined(answers):
    outputs, truth = answers
    told = MedicalClassification().metrics({"logits": outputs["logits"][truth > 0]}, truth[truth > 0], info())
    assert "auc" not in told
    assert len(told["thresholds"]) == 3


def test_the_positive_class_is_told_or_found():
    assert MedicalClassification().positive_class(info(("benign", "malignant"))) == 1
    assert MedicalClassification().positive_class(info(("a", "b", "c"))) == 2
    with pytest.raises(zoo.core.errors.UsageError, match="did you mean melanoma"):
        MedicalClassification(positive="melanom").positive_class(info())
    with pytest.raises(zoo.core.errors.UsageError, match=r"task\.sensitivity"):
        MedicalClassification(sensitivity=0)


def test_figures_are_drawn(answers):
    outputs, truth = answers
    task = MedicalClassification()
    pictures = {"image": np.zeros((60, 8, 8, 3), np.uint8)}
    evaluation = Evaluation(pictures, outputs, truth, info(), task.metrics(outputs, truth, info()))
    names = [name for name, _ in task.figures(evaluation)]
    assert {"confusion_matrix", "calibration", "confident_mistakes", "roc", "precision_recall"} == set(names)
