"""Figures of a run. Figures are made without pyplot, so that they need no display and leave no state behind."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.patches import Patch

CURVES = 3  # panels of a row


def curves(history: Sequence[Mapping[str, float]], title: str) -> Figure:
    """Plot training and validation of every quantity that is validated, and the learning rate, against epochs."""
    # One epoch is no curve: its values are shown as bars.
    names = [n.removeprefix("val_") for n in history[0] if n.startswith("val_")]
    names = [name for i, name in enumerate(names) if not any(_same(history, name, other) for other in names[:i])]
    names += ["learning_rate"] if "learning_rate" in history[0] else []
    columns = min(max(len(names), 1), CURVES)
    rows = -(-max(len(names), 1) // columns)
    figure = Figure(figsize=(4.5 * columns, 3.4 * rows + 0.2), layout="constrained")
    cells = np.atleast_1d(figure.subplots(rows, columns)).ravel()
    for axes in cells[len(names) :]:
        axes.set_axis_off()
    for axes, name in zip(cells, names, strict=False):
        series = {label: key for label, key in (("training", name), ("validation", f"val_{name}")) if key in history[0]}
        series = {"learning rate": name} if name == "learning_rate" else series
        axes.set(ylabel=name.replace("_", " "))
        if len(history) == 1:
            axes.bar_label(axes.bar(list(series), [history[0][key] for key in series.values()]), fmt="{:.3g}")
            axes.margins(y=0.15)
            continue
        for label, key in series.items():
            axes.plot([row["epoch"] for row in history], [row[key] for row in history], label=label, marker=".")
        axes.set(xlabel="epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        if len(series) > 1:
            axes.legend()
    figure.suptitle(title)
    return figure


def _same(history: Sequence[Mapping[str, float]], name: str, other: str) -> bool:
    """Whether two validated quantities have the same values, as the loss and the cross-entropy of a plain training."""
    return all(np.isclose(row[f"val_{name}"], row[f"val_{other}"], rtol=1e-4) for row in history)


def caption(figure: Figure, text: str) -> Figure:
    """Write a line below a figure, such as which model it shows on which data."""
    figure.supxlabel(text, fontsize=8, color="grey")
    return figure


def compared(histories: Mapping[str, Sequence[Mapping[str, float]]]) -> Figure:
    """Plot the validation quantities of several runs, by name, that all of them have."""
    names = [n for n in next(iter(histories.values()))[0] if n.startswith("val_")]
    names = [n for n in names if all(n in rows[0] for rows in histories.values())] or ["loss"]
    figure = Figure(figsize=(5 * len(names), 3.8), layout="constrained")
    for axes, name in zip(np.atleast_1d(figure.subplots(1, len(names))), names, strict=True):
        for run, rows in histories.items():
            axes.plot([r["epoch"] for r in rows], [r[name] for r in rows], marker=".", label=run)
        axes.set(xlabel="epoch", ylabel=name.replace("_", " "))
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7)
    return figure


def confusion_matrix(matrix: np.ndarray, names: Sequence[str]) -> Figure:
    """Plot a confusion matrix (true rows, predicted columns), with counts where they can be read."""
    n = len(names)
    side = min(4 + 0.45 * n, 30)
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.subplots()
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    axes.set(xlabel="predicted", ylabel="true", title="Confusion matrix, test split")
    axes.set_xticks(range(n), names, rotation=90)
    axes.set_yticks(range(n), names)
    for i, j in zip(*np.nonzero(matrix), strict=True):
        shade = "white" if share[i, j] > 0.5 else "black"
        axes.text(j, i, str(matrix[i, j]), ha="center", va="center", color=shade, fontsize=8 if n <= 30 else 6)
    return figure


def calibration(confidence: np.ndarray, correct: np.ndarray, bins: int = 15) -> Figure:
    """Plot how often the model is right against how sure it is, and how sure it usually is."""
    from sklearn.calibration import calibration_curve

    right, sure = calibration_curve(correct, confidence, n_bins=bins)
    figure = Figure(figsize=(5, 5), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    upper.plot([0, 1], [0, 1], color="grey", linestyle=":", label="perfect")
    upper.plot(sure, right, marker=".", label="model")
    upper.set(ylabel="accuracy", ylim=(0, 1), title="Calibration, test split")
    upper.legend()
    lower.hist(confidence, bins=np.linspace(0, 1, bins + 1))
    lower.set(xlabel="confidence", ylabel="examples", xlim=(0, 1))
    return figure


def roc(truth: np.ndarray, probabilities: np.ndarray, names: Sequence[str], positive: int) -> Figure:
    """Plot sensitivity against 1 - specificity of each class against the rest, the positive one in front."""
    # Of two classes only the positive one: the curve of the other is the same, reflected.
    from sklearn.metrics import auc, roc_curve

    figure = Figure(figsize=(5.5, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":")
    shown_classes = [positive] if len(names) == 2 else sorted(range(len(names)), key=lambda i: i != positive)
    for label in shown_classes:
        if 0 < (truth == label).sum() < len(truth):
            raised, found, _ = roc_curve(truth == label, probabilities[:, label])
            shown = f"{names[label]}{' (positive)' if label == positive else ''}: AUC {auc(raised, found):.3f}"
            axes.plot(raised, found, label=shown, linewidth=2.5 if label == positive else 1)
    axes.set(xlabel="1 - specificity (type I errors)", ylabel="sensitivity", title="ROC, test split")
    axes.legend(fontsize=7)
    return figure


def precision_recall(truth: np.ndarray, probabilities: np.ndarray, names: Sequence[str], positive: int) -> Figure:
    """Plot precision against recall of the positive class."""
    from sklearn.metrics import average_precision_score, precision_recall_curve

    figure = Figure(figsize=(5.5, 5), layout="constrained")
    axes = figure.subplots()
    ill = truth == positive
    if ill.any():
        precision, recall, _ = precision_recall_curve(ill, probabilities[:, positive])
        average = average_precision_score(ill, probabilities[:, positive])
        axes.step(recall, precision, where="post", label=f"{names[positive]}: average precision {average:.3f}")
        axes.axhline(ill.mean(), color="grey", linestyle=":", label="chance")
        axes.legend(fontsize=8)
    axes.set(
        xlabel="recall (sensitivity)", ylabel="precision", title="Precision and recall, test split", ylim=(0, 1.02)
    )
    return figure


def over_time(truth: np.ndarray, predicted: np.ndarray, label: str, times: np.ndarray | None = None) -> Figure:
    """Plot actual and predicted values (N,) in the order of the rows, and one against the other."""
    figure = Figure(figsize=(12, 3.8), layout="constrained")
    line, cloud = figure.subplots(1, 2, width_ratios=(3, 1))
    x = np.arange(len(truth)) if times is None else times
    line.plot(x, truth, label="actual", linewidth=1)
    line.plot(x, predicted, label="predicted", linewidth=1)
    line.set(xlabel="row of the test split" if times is None else "time", ylabel=label, title="Predicted and actual")
    if times is not None:
        line.xaxis.set_major_formatter(ConciseDateFormatter(line.xaxis.get_major_locator()))
    line.legend()
    ends = [min(truth.min(), predicted.min()), max(truth.max(), predicted.max())]
    cloud.plot(ends, ends, color="grey", linewidth=0.8)
    cloud.scatter(truth, predicted, s=5, alpha=0.4)
    cloud.set(xlabel="actual", ylabel="predicted")
    return figure


def forecast(
    history: np.ndarray,
    truth: np.ndarray,
    predicted: np.ndarray,
    margins: Sequence[float] | None,
    errors: Mapping[str, np.ndarray],
    label: str,
    interval: str,
) -> Figure:
    """Plot a forecast (H,) after its history (L,), with a band of `margins` (H,); and mean errors (H,) by name."""
    figure = Figure(figsize=(12, 3.8), layout="constrained")
    line, error = figure.subplots(1, 2, width_ratios=(3, 2))
    steps = np.arange(1, len(truth) + 1)
    line.plot(np.arange(1 - len(history), 1), history, color="grey", linewidth=1, label="history")
    line.plot(steps, truth, label="actual")
    line.plot(steps, predicted, label="forecast")
    if margins is not None:
        band = np.asarray(margins)
        line.fill_between(steps, predicted - band, predicted + band, alpha=0.2, label="prediction band of 90%")
    line.set(xlabel=f"rows, one every {interval}", ylabel=label, title="The last forecast of the split")
    line.legend(fontsize=8)
    for name, values in errors.items():
        error.plot(steps, values, label=name, linewidth=2 if name == "this model" else 1)
    error.set(xlabel="row of the forecast", ylabel="mean absolute error", title="Error by row")
    error.legend(fontsize=8)
    return figure


def image_grid(images: np.ndarray, captions: Sequence[str] | None, title: str, columns: int = 5) -> Figure:
    """Plot images (N, H, W, 1 or 3), pixels in [0, 255], in a grid."""
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(1.6 * columns, (2.1 if captions else 1.6) * rows + 0.5), layout="constrained")
    for i, axes in enumerate(np.atleast_1d(figure.subplots(rows, columns)).flat):
        axes.axis("off")
        if i < len(images):
            axes.imshow(np.clip(images[i], 0, 255).astype(np.uint8).squeeze(), cmap="gray", vmin=0, vmax=255)
            if captions:
                axes.set_title(captions[i], fontsize=7)
    figure.suptitle(title)
    return figure


def image_rows(
    rows: Mapping[str, np.ndarray], title: str, colours: Mapping[str, np.ndarray] | None = None, size: float = 1.1
) -> Figure:
    """Plot rows of images, name -> (N, H, W, 1 or 3) in [0, 255]; a column belongs together. `size` in inches."""
    most = max(len(images) for images in rows.values())
    figure = Figure(figsize=(size * most + 1.2, 1.05 * size * len(rows) + 0.5), layout="constrained")
    for axes, (name, images) in zip(figure.subplots(len(rows), squeeze=False).flat, rows.items(), strict=True):
        axes.imshow(_side_by_side(images, most), cmap="gray", vmin=0, vmax=255)
        axes.set(xticks=[], yticks=[], frame_on=False)
        axes.set_ylabel(name, fontsize=8)
    if colours:
        handles = [Patch(color=colour / 255, label=name) for name, colour in colours.items()]
        figure.legend(handles=handles, loc="outside right center", fontsize=8)
    figure.suptitle(title)
    return figure


def _side_by_side(images: np.ndarray, count: int) -> np.ndarray:
    """Return images (N, H, W, 1 or 3) as one uint8 (H, W', 3) or (H, W'); missing ones are white."""
    # One image is drawn in a tenth of the time of ten, each with axes of its own.
    height, width, channels = images.shape[1:]
    gap = max(1, width // 16)
    row = np.full((count, height, width + gap, channels), 255, np.uint8)
    row[: len(images), :, :width] = np.clip(images, 0, 255)
    row = np.concatenate(row, axis=1)[:, :-gap]
    return row[..., 0] if channels == 1 else row


def scatter(points: np.ndarray, labels: np.ndarray, names: Sequence[str], title: str) -> Figure:
    """Plot points (N, 2) in the colour of their labels (N,), with a legend of the classes."""
    figure = Figure(figsize=(8, 6), layout="constrained")
    axes = figure.subplots()
    for i, name in enumerate(names):
        chosen = points[labels == i]
        axes.scatter(chosen[:, 0], chosen[:, 1], s=4, alpha=0.5, color=f"C{i % 10}", label=name, rasterized=True)
    axes.set(xticks=[], yticks=[])
    axes.set_title(title, fontsize=10)
    figure.legend(loc="outside right upper", markerscale=3, fontsize=8)
    return figure


def words(points: np.ndarray, names: Sequence[str], bold: int, title: str) -> Figure:
    """Plot names at points (N, 2), the first `bold` of them bold."""
    figure = Figure(figsize=(10, 8), layout="constrained")
    axes = figure.subplots()
    axes.scatter(points[:, 0], points[:, 1], s=3, color="grey")
    for i, ((x, y), name) in enumerate(zip(points, names, strict=True)):
        axes.annotate(name, (x, y), fontsize=9 if i < bold else 7, fontweight="bold" if i < bold else "normal")
    axes.margins(x=0.12, y=0.06)  # for the names, which the layout does not know
    axes.set(title=title, xticks=[], yticks=[])
    return figure


def alignments(maps: Sequence[tuple[np.ndarray, Sequence[str], Sequence[str]]], title: str) -> Figure:
    """Plot attention maps: shares in [0, 1] (written, read), with the names of what was written and read."""
    figure = Figure(figsize=(9, 2.8 * max(len(maps), 1) + 0.4), layout="constrained")
    for axes, (shares, written, read) in zip(np.atleast_1d(figure.subplots(len(maps), 1)), maps, strict=True):
        if shares.size:
            axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        axes.set_xticks(range(len(read)), read, rotation=0 if all(len(r) == 1 for r in read) else 90)
        axes.set_yticks(range(len(written)), written)
    figure.suptitle(title)
    return figure


def pixels(figure: Figure) -> np.ndarray:
    """Return a figure as uint8 (H, W, 3)."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def line(values: Sequence[float], x: str, y: str, title: str) -> Figure:
    """Plot values against their places 0, 1, 2, ..."""
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.plot(range(len(values)), values)
    axes.set(xlabel=x, ylabel=y, title=title)
    axes.grid(alpha=0.3)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    FigureCanvasAgg(figure).print_png(str(path))
