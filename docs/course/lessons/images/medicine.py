"""Medicine: thresholds, sensitivity and specificity, two kinds of errors, curves, three illnesses."""

import itertools
from typing import Any

import numpy as np

from docs.course.page import Page, axes_row

THRESHOLDS = (0.2, 0.5, 0.8)
GARMENTS = ("Shirt", "Pullover", "Coat")
NAMES = ("shirt, as melanoma", "pullover, as nevus", "coat, as seborrheic keratosis")


def tumours() -> tuple[np.ndarray, np.ndarray]:
    """Return who is ill (N,) and the probability of a malignant tumour (N,), by the shipped weights, test split."""
    import pipelines
    import zoo
    from pipelines import tabular

    predictor = zoo.load("admissions")
    table = tabular.collect(pipelines.load("breast_cancer").test)
    columns = {tensor.name: table[tensor.name] for tensor in predictor.contract["serving_default"].inputs}
    return table["malignant"] == 1, predictor.call("serving_default", columns)["probability"]


def counts(ill: np.ndarray, probability: np.ndarray, threshold: float) -> tuple[int, int, int, int]:
    """Return the numbers of: found, missed, falsely alarmed, rightly cleared."""
    positive = probability >= threshold
    return tuple(int(np.sum(case)) for case in (ill & positive, ill & ~positive, ~ill & positive, ~ill & ~positive))


def sensitivity(found: int, missed: int) -> float:
    """Return the share of the ill that were found."""
    return found / (found + missed)


def specificity(cleared: int, alarmed: int) -> float:
    """Return the share of the healthy that were cleared."""
    return cleared / (cleared + alarmed)


def precision(found: int, alarmed: int) -> float:
    """Return the share of the alarms that are right; 1 without an alarm."""
    return found / (found + alarmed) if found + alarmed else 1.0


def precision_at(share: float, sensitivity: float, specificity: float) -> float:
    """Return the precision in a group of which a share is ill, by Bayes' rule."""
    right = share * sensitivity
    return right / (right + (1 - share) * (1 - specificity))


def curve(ill: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Return (threshold, sensitivity, specificity) of every threshold that changes something."""
    rows = []
    for threshold in [0.0, *np.unique(probability), 1.1]:
        found, missed, alarmed, cleared = counts(ill, probability, threshold)
        rows.append((threshold, sensitivity(found, missed), specificity(cleared, alarmed)))
    return np.array(rows)


def three_illnesses(page: Page) -> Any:
    """Return the evaluation of `fashion_mnist` on three garments, as `skin_lesions` evaluates three illnesses."""
    import dataclasses

    import zoo
    from zoo.core.task import SplitEvaluation
    from zoo.tasks import MedicalClassification

    plan = page.plan("fashion_mnist")
    dataset, feed = page.dataset(plan), plan.feed(page.dataset(plan), "test")
    labels = [dataset.info.class_names.index(name) for name in GARMENTS]
    model, logits, truth = zoo.build("fashion_mnist", weights="default"), [], []
    for images, y in feed.batches(500):
        chosen = np.isin(y, labels)
        logits.append(model.predict_on_batch(images[chosen])[:, labels])
        truth.append(np.array([labels.index(label) for label in y.numpy()[chosen]]))
    info = dataclasses.replace(dataset.info, class_names=NAMES)
    outputs, truth = {"logits": np.concatenate(logits)}, np.concatenate(truth)
    task = MedicalClassification()
    return task, SplitEvaluation({}, outputs, truth, info, task.metrics(outputs, truth, info))


def write(page: Page) -> None:
    """Measure and write the page."""
    from zoo.tasks.image.medical import threshold_row

    ill, probability = tumours()
    page.text(
        f"""The shipped weights of `admissions` were trained on breast cancer: thirty measurements of cell nuclei, and
        whether the tumour is malignant. The {len(ill)} test rows, {ill.sum()} of them malignant, each get a
        probability. A doctor needs a decision: from which probability on is it an alarm?"""
    )
    figure, (left, middle, right) = axes_row(3, height=3.6)
    jitter = np.random.default_rng(0).uniform(-0.35, 0.35, len(ill))
    for label, rows, colour in (("benign", ~ill, "C0"), ("malignant", ill, "C3")):
        left.scatter(probability[rows], ill[rows] + jitter[rows], s=8, color=colour, label=label)
    for threshold in THRESHOLDS:
        left.axvline(threshold, color="black", linestyle=":")
    left.set(xlabel="probability of malignant", title="a point for each row; thresholds at 0.2, 0.5, 0.8")
    left.title.set_fontsize(9)
    left.set_yticks([0, 1], ["benign", "malignant"])
    points = curve(ill, probability)
    middle.plot(points[:, 1], points[:, 2], ".-", markersize=3)
    middle.set(xlabel="sensitivity", ylabel="specificity", title="as the course draws it")
    right.plot(1 - points[:, 2], points[:, 1], ".-", markersize=3)
    right.plot([0, 1], [0, 1], ":", color="grey")
    right.set(xlabel="1 - specificity (type I errors)", ylabel="sensitivity", title="the usual ROC curve")
    page.figure(
        figure,
        "thresholds",
        "Histogram of both classes, sensitivity against specificity, and the ROC curve",
        data="breast cancer (scikit-learn), test split",
        seeds="Seed 0",
    )
    page.text(
        """The two curves are the same points: the usual one is flipped. The area below either is the probability that
        a malignant row gets a higher value than a benign one."""
    )

    page.heading("Sensitivity, specificity, and two kinds of errors")
    page.text(
        """A healthy person with an alarm is a type I error, an ill one without is a type II error. A lower threshold
        trades one for the other; which is worse, the model cannot know."""
    )
    page.code(counts, sensitivity, specificity, precision)
    rows = []
    for threshold in THRESHOLDS:
        found, missed, alarmed, cleared = counts(ill, probability, threshold)
        both = sensitivity(found, missed), specificity(cleared, alarmed)
        rows.append((threshold, found, missed, alarmed, cleared, *both, precision(found, alarmed)))
        row = threshold_row(ill, probability, threshold)
        page.claim(
            (row["sensitivity"], row["specificity"]) == both,
            f"At {threshold} the task of `skin_lesions` has the same sensitivity and specificity as the direct count: "
            f"{both[0]:.3f} and {both[1]:.3f}.",
        )
    header = ["threshold", "found", "missed (type II)", "falsely alarmed (type I)", "cleared"]
    page.table([*header, "sensitivity (recall)", "specificity", "precision"], rows)
    page.claim(
        all(a[5] >= b[5] and a[6] <= b[6] for a, b in itertools.pairwise(rows)),
        "A higher threshold never raises the sensitivity and never lowers the specificity.",
    )
    from sklearn.metrics import roc_auc_score

    area = float(np.trapezoid(points[::-1, 1], 1 - points[::-1, 2]))
    pairs = probability[ill][:, None] - probability[~ill][None]
    won = float((pairs > 0).mean() + 0.5 * (pairs == 0).mean())
    page.claim(
        abs(area - won) < 1e-9 and abs(area - roc_auc_score(ill, probability)) < 1e-9,
        f"The area under the curve is {area:.4f}; so is the share of the {pairs.size:,} pairs in which the malignant "
        "row has the higher probability, and scikit-learn's value.",
    )
    page.command("python -m zoo.train admissions", "python -m zoo.train skin_lesions --data-dir FOLDER")
    _precision(page, ill, probability, points)
    _three(page)


def _precision(page: Page, ill: np.ndarray, probability: np.ndarray, points: np.ndarray) -> None:
    from sklearn.metrics import precision_recall_curve

    page.heading("Precision and recall")
    page.text(
        """Recall is another word for sensitivity. Precision asks about the alarms: how many of them are right? It
        depends on how many are ill: right, the same test at the threshold 0.2, in
        groups of which a smaller and smaller share is ill."""
    )
    by_hand = [
        (precision(found, alarmed), sensitivity(found, missed))
        for found, missed, alarmed, _ in (counts(ill, probability, threshold) for threshold in points[1:-1, 0])
    ]
    found, missed, alarmed, cleared = counts(ill, probability, THRESHOLDS[0])
    both = sensitivity(found, missed), specificity(cleared, alarmed)
    shares = np.logspace(-4, -0.01, 60)
    figure, (left, right) = axes_row(2, width=5, height=3.2)
    left.plot([r for _, r in by_hand], [p for p, _ in by_hand], ".-", markersize=3)
    left.set(xlabel="recall", ylabel="precision", ylim=(0.3, 1.02), title="precision and recall by threshold")
    right.plot(shares, [precision_at(share, *both) for share in shares])
    right.axvline(ill.mean(), color="grey", linestyle=":", label=f"in these rows: {ill.mean():.2f}")
    right.set(xscale="log", xlabel="share that is ill", ylabel="precision", title="what an alarm means")
    right.legend(fontsize=8)
    page.figure(
        figure,
        "precision",
        "Precision against recall, and against the share of ill persons",
        data="breast cancer (scikit-learn), test split",
        seeds="Seed 0",
    )
    page.code(precision_at)
    p, r, thresholds = precision_recall_curve(ill, probability)
    page.claim(
        np.allclose(by_hand, np.stack([p[:-1], r[:-1]], axis=1)[-len(by_hand) :], atol=1e-9) or len(thresholds) == 0,
        "Precision and recall by hand are those of scikit-learn at every threshold.",
    )
    counted, rare = precision(found, alarmed), precision_at(0.001, *both)
    page.claim(
        abs(precision_at(float(ill.mean()), *both) - counted) < 1e-9,
        f"At the share of these rows Bayes' rule gives the counted precision, {counted:.3f}; if one of a thousand is "
        f"ill, it is {rare:.3f}.",
    )


def _three(page: Page) -> None:
    from zoo.evaluation import plots

    page.heading("Three illnesses")
    page.text(
        """The course's project tells melanoma, nevus and seborrheic keratosis apart. Its photographs cannot be fetched
        from a package registry, so three garments that are easily confused stand in for them here: shirt, pullover and
        coat, by the shipped weights of `fashion_mnist`. What is computed, and how, is that of `skin_lesions`."""
    )
    task, evaluation = three_illnesses(page)
    metrics = evaluation.metrics
    page.figure(
        plots.confusion_matrix(np.array(metrics["confusion_matrix"]), NAMES),
        "three",
        "Confusion matrix of three classes",
        data="Fashion-MNIST, test split",
        seeds="Seed 0",
    )
    page.table(
        ["class", "sensitivity", "specificity", "area under the ROC curve"],
        [(name, row["sensitivity"], row["specificity"], row["auc"]) for name, row in metrics["per_class"].items()],
    )
    page.text(
        f"""The project is scored by two areas under the curve: melanoma against the rest (`auc`, here
        {metrics["auc"]:.4f}), seborrheic keratosis against the rest (`auc_second`, here {metrics["auc_second"]:.4f}),
        and their mean (`auc_mean`, here {metrics["auc_mean"]:.4f}). `python -m zoo.evaluate RUN` writes all of it to
        `evaluation.json`, and the probabilities of both for each image to `results.csv`:"""
    )
    content = task.result_files(evaluation)["results.csv"].decode()
    page.output("\n".join(content.splitlines()[:4]))
    page.command(
        "python -m zoo.train skin_lesions --data-dir FOLDER --set task.positive=melanoma "
        "--set task.second=seborrheic_keratosis",
        "python -m zoo.evaluate RUN",
    )
    matrix = np.array(metrics["confusion_matrix"])
    by_hand = [matrix[i, i] / matrix[i].sum() for i in range(3)]
    page.claim(
        np.allclose(by_hand, [row["sensitivity"] for row in metrics["per_class"].values()]),
        "The sensitivity of each class is its diagonal cell divided by its row of the confusion matrix.",
    )
    page.claim(
        metrics["auc_mean"] == (metrics["auc"] + metrics["auc_second"]) / 2
        and len(content.splitlines()) == len(evaluation.truth) + 1,
        "The score is the mean of the two areas; `results.csv` has a row for each image.",
    )
