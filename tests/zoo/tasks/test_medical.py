"""Medical metrics compared with counts by hand."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import pipelines
import zoobase.errors
from zoo.core.task import SplitEvaluation
from zoo.tasks.image import medical
from zoo.tasks.image.medical import MedicalClassification

NAMES = ("melanoma", "nevus", "seborrheic_keratosis")


def info(names=NAMES):
    return pipelines.Info("x", "x", "x", "x", {}, {"test": 60}, class_names=names)


@pytest.fixture(scope="module")
def predictions():
    random = np.random.default_rng(0)
    truth = random.integers(0, 3, 60)
    logits = random.normal(size=(60, 3)) + 1.5 * np.eye(3)[truth]
    return {"logits": logits}, truth


def test_confusion_counts_of_a_threshold():
    is_positive = np.array([True, True, True, False, False, False, False])
    probability = np.array([0.9, 0.6, 0.1, 0.7, 0.3, 0.2, 0.0])
    row = medical.threshold_row(is_positive, probability, 0.5)
    assert row | {"threshold": 0.5} == row
    assert (row["found"], row["missed"], row["falsely_raised"], row["rightly_cleared"]) == (2, 1, 1, 3)
    assert (row["sensitivity"], row["specificity"]) == (pytest.approx(2 / 3), 0.75)
    assert medical.threshold_for(is_positive, probability, 1.0) == 0.1
    assert medical.threshold_for(is_positive, probability, 0.6) == 0.6
    summary = medical.error_summary("melanoma", row)
    assert "1 of 3 melanoma missed (type II error 33.3%, at most 90.6%)" in summary  # Clopper and Pearson
    assert "1 of 4 others falsely positive (type I error 25.0%, at most 80.6%)" in summary


def test_metrics_have_the_positive_class_and_every_other(predictions):
    outputs, truth = predictions
    metrics = MedicalClassification(sensitivity=0.9).metrics(outputs, truth, info())
    assert next(iter(metrics)) == "accuracy"
    assert metrics["positive_class"] == "melanoma"
    assert [row["threshold"] for row in metrics["thresholds"]] == [0.2, 0.5, 0.8]
    assert metrics["sensitivity"] == metrics["thresholds"][1]["sensitivity"]
    assert metrics["per_class"]["melanoma"]["auc"] == pytest.approx(metrics["auc"])
    assert metrics["per_class"]["nevus"]["sensitivity"] == metrics["per_class"]["nevus"]["recall"]
    assert len(metrics["errors"]) == 3
    assert MedicalClassification(positive="nevus").metrics(outputs, truth, info())["positive_class"] == "nevus"


def test_the_threshold_is_chosen_on_the_validation_split(predictions):
    outputs, truth = predictions
    task, half = MedicalClassification(sensitivity=0.9), slice(None, 30)
    test = {"logits": outputs["logits"][30:]}
    evaluation = SplitEvaluation({}, test, truth[30:], info(), task.metrics(test, truth[30:], info()))
    (*_, row) = task.with_threshold(evaluation, {"logits": outputs["logits"][half]}, truth[half]).metrics["thresholds"]
    probability = medical.softmax(outputs["logits"])[:, 0]
    assert row["threshold"] == medical.threshold_for(truth[half] == 0, probability[half], 0.9)
    assert row["threshold"] != medical.threshold_for(truth[30:] == 0, probability[30:], 0.9)
    assert row == medical.threshold_row(truth[30:] == 0, probability[30:], row["threshold"])
    assert task.with_threshold(evaluation, outputs, np.ones(60, int)) is evaluation  # no positives to choose it on


def test_intervals_of_thresholds_leave_out_patients(predictions):
    outputs, truth = predictions
    task, patients = MedicalClassification(), np.arange(60) // 10
    metrics = task.metrics(outputs, truth, info())
    evaluation = SplitEvaluation({}, outputs, truth, info(), metrics, groups=patients)
    found = task.with_threshold(evaluation, outputs, truth).metrics
    widths = [np.diff(row["sensitivity_interval"]) for row in (metrics["thresholds"][1], found["thresholds"][1])]
    assert widths[1] > 1.2 * widths[0]
    one = medical.threshold_row(truth == 0, np.ones(60), 0.5, np.zeros(60))
    assert one["sensitivity_interval"] == [0.0, 1.0]
    assert found["errors"][1] == medical.error_summary("melanoma", found["thresholds"][1])
    assert len(found["errors"]) == 4


def test_undefined_metrics_are_omitted(predictions):
    outputs, truth = predictions
    metrics = MedicalClassification().metrics({"logits": outputs["logits"][truth > 0]}, truth[truth > 0], info())
    assert "auc" not in metrics
    assert len(metrics["thresholds"]) == 3


def test_the_positive_class_is_set_or_recognised():
    assert MedicalClassification().positive_class(info(("benign", "malignant"))) == 1
    assert MedicalClassification().positive_class(info(("a", "b", "c"))) == 2
    with pytest.raises(zoobase.errors.UsageError, match="did you mean melanoma"):
        MedicalClassification(positive="melanom").positive_class(info())
    with pytest.raises(zoobase.errors.UsageError, match=r"task\.sensitivity"):
        MedicalClassification(sensitivity=0)


def test_figures_are_drawn(predictions):
    outputs, truth = predictions
    task = MedicalClassification()
    inputs = {"image": np.zeros((60, 8, 8, 3), np.uint8)}
    evaluation = SplitEvaluation(inputs, outputs, truth, info(), task.metrics(outputs, truth, info()))
    names = [name for name, _ in task.figures(evaluation)]
    assert {"confusion_matrix", "calibration", "confident_mistakes", "roc", "precision_recall"} == set(names)


def test_two_areas_and_their_mean_as_in_the_isic_challenge(predictions):
    outputs, truth = predictions
    probability = medical.softmax(outputs["logits"])
    metrics = MedicalClassification().metrics(outputs, truth, info())
    areas = [roc_auc_score(truth == label, probability[:, label]) for label in (0, 2)]
    assert (metrics["auc"], metrics["auc_second"]) == pytest.approx(areas)
    assert metrics["auc_mean"] == pytest.approx(np.mean(areas))
    other = MedicalClassification(second="nevus").metrics(outputs, truth, info())
    assert other["auc_second"] == pytest.approx(roc_auc_score(truth == 1, probability[:, 1]))
    assert "auc_second" not in MedicalClassification().metrics(outputs, truth % 2, info(("benign", "malignant", "c")))
    with pytest.raises(zoobase.errors.UsageError, match="is the positive class"):
        MedicalClassification(second="melanoma").second_class(info())
    with pytest.raises(zoobase.errors.UsageError, match="did you mean nevus"):
        MedicalClassification(second="nevu").second_class(info())


def test_results_csv(predictions):
    outputs, truth = predictions
    files = np.array([f"melanoma/{i}.jpg" for i in range(60)], object)
    evaluation = SplitEvaluation({}, outputs, truth, info(), arrays={"file": files})
    (content,) = MedicalClassification().result_files(evaluation).values()
    header, first, *rest = content.decode().splitlines()
    assert (header, len(rest)) == ("Id,task_1,task_2", 59)
    probability = medical.softmax(outputs["logits"])[0]
    assert first == f"melanoma/0.jpg,{probability[0]:.6f},{probability[2]:.6f}"
    two = SplitEvaluation({}, {"logits": outputs["logits"][:, :2]}, truth % 2, info(("benign", "malignant")))
    (content,) = MedicalClassification().result_files(two).values()
    assert content.decode().splitlines()[0] == "Id,task_1"
