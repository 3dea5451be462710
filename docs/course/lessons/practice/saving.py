"""Saving and loading: what each file holds, resuming exactly, the best model, and no overwriting."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from docs.course.page import Page, axes_row, train_command

if TYPE_CHECKING:
    import keras

HOLDS = {  # artifact -> what it holds
    "model.keras": "layers and weights (and, saved during training, the optimizer); loaded by Keras",
    "model.h5": "the same in the older HDF5 form; loaded by Keras",
    "model.weights.h5": "weights only; the code that builds the model must be there",
    "saved_model/1": "the computation as a graph, with weights and named endpoints; needs TensorFlow, but no code",
    "tflite/float32.tflite": "one flat file for LiteRT on phones and in browsers; needs no TensorFlow",
}


def settings(page: Page) -> dict[str, Any]:
    """Return the settings of the trainings of this page: dropout, so that the random state matters, too."""
    size = {"recipe.limit": page.choose(1000, 100), "recipe.epochs": page.choose(8, 4), "recipe.batch_size": 32}
    return size | {"data": "digits", "model.units": [32], "recipe.dropout": 0.3, "recipe.learning_rate": 0.01}


def interrupt() -> keras.callbacks.Callback:
    """Return a callback that ends a training after its second epoch, as Ctrl-C does."""
    import keras

    class Interrupt(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
            if epoch == 2:
                raise KeyboardInterrupt

    return Interrupt()


def interrupted_and_resumed(page: Page) -> tuple[Any, Any]:
    """Return the run that was never interrupted, and the one that was, and was then resumed by the same command."""
    from zoo import train
    from zoo.core.run_folder import RunFolder

    arguments = {"settings": settings(page), "precision": "float32", "export": False}
    whole, parts = page.scratch / "whole", page.scratch / "parts"
    train.run("mnist", **arguments, out=str(whole))
    with contextlib.suppress(KeyboardInterrupt):
        train.run("mnist", **arguments, out=str(parts), callbacks=[interrupt()])
    finished = len(RunFolder(parts).history())
    train.run("mnist", **arguments, out=str(parts))
    page.claim(finished == 2, "The interrupted run had two finished epochs in its folder.")
    return RunFolder(whole), RunFolder(parts)


def size(path: Path) -> int:
    """Return the bytes of a file, or of all files of a folder."""
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file()) if path.is_dir() else path.stat().st_size


def optimizer_after_loading(model: keras.Model, folder: Path) -> dict[str, int]:
    """Return how many variables the optimizer has before saving, and after loading, by format."""
    import keras

    counts = {"trained": len(model.optimizer.variables)}
    for ending in ("keras", "h5"):
        with contextlib.redirect_stdout(None):
            model.save(folder / f"trained.{ending}")
        counts[ending] = len(keras.saving.load_model(folder / f"trained.{ending}").optimizer.variables)
    return counts


def write(page: Page) -> None:
    """Measure and write the page."""
    whole, parts = interrupted_and_resumed(page)
    page.heading("What each file holds")
    bundle = _bundle(page, whole)
    rows = [(f"`{n}`", holds, size(bundle.path / n)) for n, holds in HOLDS.items() if (bundle.path / n).exists()]
    page.table(["file", "holds", "bytes"], rows)
    page.text("Each was loaded in a fresh process without the code of this project, and compared with the model:")
    certificate = [(row.artifact, row.runtime or "", row.state) for row in bundle.certificate.rows]
    page.table(["file", "loaded by", "state"], certificate)
    page.claim(bundle.certificate.verdict == "pass", "Every file of the bundle passed its verification.")
    page.command(
        f"{train_command('mnist', settings(page)).removesuffix(' --no-export')} --out RUN",
        "python -m export verify RUN/bundle",
    )
    page.heading("Resume exactly")
    page.text(
        """A checkpoint from which training continues needs more than weights: the state of the optimizer, the epoch,
        the order of the examples, and the state of dropout's random numbers. A run folder has them all. The same
        command resumes it. Below, one run was interrupted after its second epoch, and resumed."""
    )
    page.command(f"{train_command('mnist', settings(page))} --out RUN", "python -m zoo.train --resume RUN")
    weights = [run.model().get_weights() for run in (whole, parts)]
    losses = [[row["val_loss"] for row in run.history()] for run in (whole, parts)]
    figure, (axes,) = axes_row(1, width=6, height=3)
    axes.plot(range(1, len(losses[0]) + 1), losses[0], color="C0", linewidth=5, alpha=0.4, label="not interrupted")
    axes.plot(range(1, len(losses[1]) + 1), losses[1], ".-", color="C3", label="interrupted after epoch 2, resumed")
    axes.axvline(2.5, color="grey", linestyle=":")
    axes.set(xlabel="epoch", ylabel="validation loss")
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)
    page.figure(figure, "resume", "Validation loss of both runs", data="digits of scikit-learn", seeds="Seed 0")
    page.claim(
        losses[0] == losses[1] and all(np.array_equal(a, b) for a, b in zip(*weights, strict=True)),
        "The resumed run has the same losses and, bit for bit, the same weights as the one that was not interrupted.",
    )
    counts = _optimizer(page)
    page.text(
        f"""Keras' own files differ here. Adam has {counts["trained"]} variables: the step, and two
        moving averages for each weight. After loading there are {counts["keras"]} of them with `.keras`, and
        {counts["h5"]} with `.h5`: from the HDF5 file training does not continue, `fit` raises a `ValueError`."""
    )
    page.code(optimizer_after_loading)
    page.claim(counts["keras"] == counts["trained"], "The `.keras` file holds all variables of the optimizer.")
    page.claim(counts["h5"] < counts["trained"], "The `.h5` file does not.")
    _best_and_guard(page, whole)


def _bundle(page: Page, run: Any) -> Any:
    from export import export_model

    plan, info, model = run.plan(), run.info(), run.model()
    contract = plan.task.contract(model, info)
    formats = page.choose(("keras", "hdf5", "weights", "saved_model", "tflite"), ("keras", "weights", "tflite"))
    return export_model(model, page.scratch / "bundle", contract=contract, formats=formats)


def _optimizer(page: Page) -> dict[str, int]:
    import zoo
    from zoo.training.compiling import compile_model

    plan = page.plan("mnist", settings(page))
    dataset = page.dataset(plan)
    model = zoo.build("mnist", units=[8])
    compile_model(model, plan, dataset.info, steps=10)
    images, labels = next(iter(plan.feed(dataset, "train").batches(32)))
    model.train_on_batch(images, labels)
    folder = page.scratch / "keras"
    folder.mkdir()
    return optimizer_after_loading(model, folder)


def _best_and_guard(page: Page, run: Any) -> None:
    import keras

    from export import export_model
    from zoo import train

    page.heading("The best model, and no overwriting")
    history = run.history()
    best = min(range(len(history)), key=lambda i: history[i]["val_loss"])
    plan, dataset = run.plan(), run.dataset()
    feed = plan.feed(dataset, "validation")
    images, labels = next(iter(feed.batches(feed.count)))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    logits = run.model()(images, training=False)
    measured = {
        "val_loss": float(loss(labels, logits)),
        "val_accuracy": float(np.mean(np.argmax(logits, axis=-1) == np.asarray(labels))),
    }
    page.text(
        f"""The weights of a run are those of its best epoch, not of its last: here epoch {best + 1} of {len(history)},
        with a validation loss of {history[best]["val_loss"]:.4f}. Where it lowers the cross-entropy of held-out
        validation, the last layer is then divided by a temperature, which changes no class: the loss of the saved
        weights is {measured["val_loss"]:.4f}. A run folder or a bundle that is there is never overwritten:"""
    )
    page.claim(
        abs(measured["val_accuracy"] - history[best]["val_accuracy"]) < 1e-6,
        f"The saved weights have the validation accuracy of the best epoch: {measured['val_accuracy']:.4f}.",
    )
    page.claim(measured["val_loss"] < history[best]["val_loss"] + 1e-4, "Their validation loss is not higher.")
    messages, before = [], size(page.scratch / "bundle")
    for action in (
        lambda: train.run("mnist", settings=settings(page), precision="float32", export=False, out=str(run.path)),
        lambda: export_model(run.model(), page.scratch / "bundle"),
    ):
        try:
            action()
        except Exception as error:
            messages.append(str(error).replace(str(page.scratch), "FOLDER"))
    page.output("\n".join(messages))
    page.claim(
        len(messages) == 2, "A second training into a finished run, and a second export into a bundle, are refused."
    )
    page.claim(size(page.scratch / "bundle") == before, "The bundle has the same files after the refusal.")
