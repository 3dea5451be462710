"""Deployment: build, deploy, use, tune, update, by the commands of this project."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from docs.course.page import Page, axes_row, train_command

if TYPE_CHECKING:
    from pathlib import Path

DATA = {"data": "digits", "recipe.batch_size": 32, "recipe.learning_rate": 0.01}
CANDIDATES = ([8], [64], [256])


def settings(page: Page) -> dict[str, Any]:
    """Return the settings of the first training."""
    return DATA | {"recipe.epochs": page.choose(6, 2), "recipe.limit": page.choose(1000, 200), "model.units": [16]}


def exported(page: Page, name: str, run: Any) -> Path:
    """Export a run to a SavedModel and prove it; return the bundle."""
    from export import export_model
    from export.contract import Contract

    model = run.model()
    contract = Contract((run.plan().task.contract(model, run.info())["serving_default"],))
    dataset = page.dataset(run.plan())
    images = next(iter(run.plan().feed(dataset, "test").batches(64)))[0]
    samples = {"image": np.asarray(images)}
    return export_model(
        model, page.scratch / name, contract=contract, samples=samples, formats=("keras", "saved_model")
    ).path


def answers(bundle: Path, images: np.ndarray) -> np.ndarray:
    """Return the classes that the SavedModel of a bundle gives, by the loader of TF Serving."""
    from export import load

    return np.asarray(load(bundle, "c_api")["serving_default"](image=images)["logits"]).argmax(-1)


def rest_request(bundle: Path) -> dict[str, Any]:
    """Return a REST request of the bundle, as a client sends it to TF Serving."""
    path = next(iter(sorted((bundle / "golden" / "rest").glob("serving_default.*.json"))))
    return json.loads(path.read_text())


def write(page: Page) -> None:
    """Measure and write the page."""
    import export

    page.text(
        """The course deploys a sentiment model on Amazon SageMaker. The steps are the same everywhere: build, deploy,
        use, tune, update. Here each is one command, and the server is any that reads the folder of a SavedModel (TF
        Serving, SageMaker's container, Triton). The model is `mnist` on the digits of scikit-learn; `sentiment` goes
        the same way."""
    )
    served = page.scratch / "served"
    run = page.train("mnist", settings(page))
    page.heading("Build")
    page.text("Train, export, and prove that the exported files compute what the model does.")
    page.command(f"{train_command('mnist', settings(page)).removesuffix(' --no-export')} --out run")
    first = exported(page, "first", run)

    page.heading("Deploy")
    page.text("Copy the proven SavedModel to the folder that the server watches, at one rename.")
    page.command("python -m export publish run/bundle served/digits")
    export.publish(first, served)
    page.claim((served / "1" / "saved_model.pb").is_file(), "After `publish` the server's folder has version 1.")
    page.heading("Use")
    body = rest_request(first)
    page.text("A client sends JSON. The bundle has ready-made requests, and the code of clients in its README:")
    page.output(_short(json.dumps(body)))
    page.command(
        "curl -d @run/bundle/golden/rest/serving_default.row.json localhost:8501/v1/models/digits:predict",
        "python -m zoo.predict run/bundle digit.png",
    )
    plan, dataset = run.plan(), page.dataset(run.plan())
    images = np.asarray(next(iter(plan.feed(dataset, "test").batches(200)))[0])
    live = np.asarray(run.model()(images, training=False)).argmax(-1)
    same = float((answers(first, images.astype(np.float32)) == live).mean())
    page.code(answers)
    page.claim(same == 1, f"The published file gives the classes of the model for all {len(images)} test images.")

    page.heading("A page for everybody")
    page.text(
        """The course's last project is a page into which anybody types a review, and a server that answers. With the
        shipped weights of `sentiment` that is two commands; the last one serves model and page on this machine, at
        the URLs of TF Serving. The other ways are a docker compose file with TF Serving
        ([web](../how-to/web.md#a-page-with-a-server)), and the archive that SageMaker deploys
        ([serve](../how-to/serve.md#sagemaker))."""
    )
    page.command("python -m zoo.export sentiment", "python -m export serve bundles/sentiment --page")

    page.heading("Tune")
    page.text(
        """Train several architectures, and keep the one with the lowest validation loss. The test split is not used.
        `python -m zoo.tune` searches [all settings](../how-to/search.md)."""
    )
    candidates = json.dumps([{"units": units} for units in CANDIDATES])
    tuned_settings = {k: v for k, v in settings(page).items() if k != "model.units"}
    tuned_settings |= {"recipe.candidates": json.loads(candidates), "recipe.epochs": page.choose(12, 4)}
    tuned = page.train("mnist", tuned_settings)
    page.command(f"{train_command('mnist', tuned_settings).removesuffix(' --no-export')} --out tuned")
    inner = [type(run)(path) for path in sorted(tuned.path.glob("restarts/*"))]
    losses = [min(row["val_loss"] for row in other.history()) for other in inner]
    figure, (axes,) = axes_row(1, width=6, height=3)
    for units, other in zip(CANDIDATES, inner, strict=True):
        rows = [row["val_loss"] for row in other.history()]
        axes.plot(range(1, len(rows) + 1), rows, ".-", label=f"units {units}")
    axes.set(xlabel="epoch", ylabel="validation loss", title="three candidates")
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)
    page.figure(
        figure, "candidates", "Validation loss of three candidates", data="digits of scikit-learn", seeds="Seed 0"
    )
    chosen = tuned.plan().candidate
    page.claim(
        chosen == int(np.argmin(losses)), f"Of losses {_numbers(losses)} the lowest is kept: {CANDIDATES[chosen]}."
    )

    page.heading("Update")
    page.text(
        """A new version replaces the old one, and can be taken back: the version before is published again, under the
        next number, because servers serve the highest one. A canary, which gets a share of the requests first, is the
        work of a router: KServe's, or nginx before two base paths."""
    )
    page.command("python -m export publish tuned/bundle served/digits", "python -m export rollback served/digits")
    second = exported(page, "second", tuned)
    published = export.publish(second, served)
    back = export.rollback(served)
    page.table(
        ["command", "version", "model"],
        [
            ("publish", "1", "first"),
            ("publish", str(published.version), "second"),
            ("rollback", str(back.version), "first"),
        ],
    )
    page.claim(
        (published.version, back.version, back.copy_of) == (2, 3, 1),
        "A rollback publishes the version before the newest one again; no version is modified.",
    )
    page.text("How versions are compared before: [update a served model](../how-to/update-a-served-model.md).")


def _short(text: str, length: int = 300) -> str:
    return text if len(text) <= length else f"{text[:length]} ..."


def _numbers(values: list[float]) -> str:
    return ", ".join(f"{v:.3f}" for v in values)
