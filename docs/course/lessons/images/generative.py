"""Generative adversarial networks: progress, a divergence, and images to images."""

from typing import Any

import numpy as np

from docs.course.page import Page, axes_row, band, show, train_command

BAD = {"recipe.learning_rate": 0.1, "recipe.momentum": 0.9, "recipe.epochs": 8}  # with which it diverges
SAMPLES = 2000


def settings(page: Page, model: str, **changes: Any) -> dict[str, Any]:
    """Return the settings of a training."""
    sizes = {"gan": ((5000, 20), (200, 3)), "dcgan": ((5000, 15), (100, 2))}[model]
    limit, epochs = page.choose(*sizes)
    narrow = {
        "gan": {"model.units": [128, 256], "recipe.learning_rate": 5e-4},
        "dcgan": {"model.filters": page.choose(24, 4), "recipe.learning_rate": 5e-4},
    }[model]
    common = {
        "recipe.limit": limit,
        "recipe.epochs": epochs,
        "recipe.batch_size": page.choose(32, 20),
        "recipe.ema": 0.0,
    }
    common |= page.choose({"recipe.split": "94/1/5"}, {})  # few images for validation, which is expensive
    return common | narrow | changes


def generated(run: Any, count: int = SAMPLES) -> np.ndarray:
    """Return images that a trained model makes of noise."""
    (generator,) = run.plan().task.served(run.model()).values()
    noise = np.random.default_rng(0).normal(size=(count, generator.input.shape[1])).astype(np.float32)
    return generator.predict(noise, verbose=0)


def real_images(page: Page, run: Any) -> np.ndarray:
    """Return test images."""
    batches = run.plan().feed(page.dataset(run.plan()), "test").batches(500)
    return np.concatenate([np.asarray(x) for _, x in batches])[: page.choose(SAMPLES, 100)]


def coverage(page: Page, run: Any) -> dict[str, Any]:
    """Return the measures of mode collapse: diversity of the features of a classifier, and shares of the classes."""
    from zoo.evaluation.generative_metrics import feature_extractor_for, mode_coverage

    extractor, real = feature_extractor_for(page.dataset(run.plan()).info, (28, 28, 1)), real_images(page, run)
    return mode_coverage(extractor, real, generated(run, len(real)))


def distance(page: Page, run: Any) -> float:
    """Return the Frechet distance of generated and of test images in the features of a classifier."""
    from zoo.evaluation.generative_metrics import collect, feature_distance, feature_extractor_for

    extractor, real = feature_extractor_for(page.dataset(run.plan()).info, (28, 28, 1)), real_images(page, run)
    return feature_distance(*(collect(extractor.features, x) for x in (real, generated(run, len(real)))))


def progress(page: Page, run: Any, shown: int) -> list[tuple[str, np.ndarray]]:
    """Return the images that `zoo.train` drew for the same noise after some epochs."""
    from PIL import Image

    files = sorted((run.path / "progress").glob("*.png"))
    chosen = np.unique(np.linspace(0, len(files) - 1, shown).round().astype(int))
    return [(f"epoch {i + 1}", np.asarray(Image.open(files[i]))) for i in chosen]


def write(page: Page) -> None:
    """Measure and write the page."""
    page.text(
        """After every epoch `zoo.train` draws the images of the same noise, here after some of them: above `gan` (dense
        layers), below `dcgan` (convolutions), both narrower than their defaults and trained on few images. Last, 20
        images of the shipped weights of `dcgan`, which were trained on all images for thirty epochs."""
    )
    models = ("gan", "dcgan")
    runs = {model: [page.train(model, settings(page, model), seed) for seed in page.seeds] for model in models}
    strips = {model: progress(page, trained[0], page.choose(5, 2)) for model, trained in runs.items()}
    count = max(map(len, strips.values()))
    figure, axes = axes_row(count, width=1.7, height=1.9, rows=2)
    for line, (model, images) in zip(axes, strips.items(), strict=True):
        for cell, (title, image) in zip(line, images, strict=False):
            show(cell, image[:118, :118], title)
        line[0].set_ylabel(model)
    page.figure(
        figure, "progress", "Generated images after some epochs of gan and dcgan", data="Fashion-MNIST", seeds="Seed 0"
    )
    _shipped(page)
    page.command(*(train_command(model, settings(page, model)) for model in runs))
    distances = {model: [distance(page, run) for run in trained] for model, trained in runs.items()}
    page.table(
        ["model", "epochs", *(f"Frechet distance, seed {seed}" for seed in page.seeds)],
        [(model, settings(page, model)["recipe.epochs"], *values) for model, values in distances.items()],
    )
    if not page.small:  # which trains two epochs
        worst, best = max(distances["dcgan"]), min(distances["gan"])
        page.claim(
            worst < 0.8 * best,
            f"DCGAN is nearer to the test images than the GAN of dense layers, with every seed: at most {worst:.2f} "
            f"against at least {best:.2f} (less than 0.8 of it), in fewer epochs.",
        )
    page.claim(
        all(np.abs(images[-1][1].astype(float) - images[0][1]).mean() > 1 for images in strips.values()),
        "The images of the same noise change between the first and the last of the shown epochs.",
    )
    _collapse(page, runs["dcgan"])
    _translation(page)


def _shipped(page: Page) -> None:
    import zoo

    (generator,) = zoo.get_spec("dcgan").task.served(zoo.build("dcgan", weights="default")).values()
    noise = np.random.default_rng(1).normal(size=(20, generator.input.shape[1])).astype(np.float32)
    made = generator.predict(noise, verbose=0).reshape(2, 10, 28, 28)
    figure, (axes,) = axes_row(1, width=7, height=1.7)
    show(axes, np.concatenate([np.concatenate(list(row), 1) for row in made]))
    page.figure(
        figure, "shipped", "Images of the shipped weights of dcgan", data="Fashion-MNIST", seeds="Seed of the noise 1"
    )


def _collapse(page: Page, good: list[Any]) -> None:
    page.heading("A training that diverges, and how it is noticed")
    page.text(
        f"""Two failures end in images that are all alike. In *mode collapse* the generator makes only the few images
        that the discriminator takes for real. In a *divergence* the discriminator wins: it is never deceived, the
        generator gets no useful gradient, and its images mean nothing. A learning rate two hundred times higher and the
        usual momentum ({", ".join(f"`{k}={v}`" for k, v in BAD.items())}) make `dcgan` diverge: the loss of its
        discriminator is near zero, which looks like a success of that network. What tells both failures is the
        diversity, the spread of the features of generated images relative to that of real ones, and the classes that a
        classifier sees in them; `evaluate` reports either as mode collapse."""
    )
    page.code(coverage)
    bad = BAD | page.choose({}, {"recipe.epochs": 2})
    runs = {"as above": good, "provoked": [page.train("dcgan", settings(page, "dcgan", **bad), s) for s in page.seeds]}
    measures = {name: [coverage(page, run) for run in trained] for name, trained in runs.items()}
    images = {name: generated(trained[0], 10) for name, trained in runs.items()}
    figure, (left, *cells) = axes_row(3, width=4, height=3)
    for (name, trained), colour in zip(runs.items(), ("C0", "C3"), strict=True):
        band(left, [[row["d_loss"] for row in run.history()] for run in trained], name, colour)
    left.set(xlabel="epoch", ylabel="loss of the discriminator", yscale="symlog")
    left.legend(fontsize=8)
    for cell, (name, made) in zip(cells, images.items(), strict=True):
        rows = made.reshape(2, 5, 28, 28, 1)
        show(cell, np.concatenate([np.concatenate(list(row[..., 0]), 1) for row in rows]), name)
    page.figure(figure, "collapse", "Loss of the discriminator, and images of both trainings", data="Fashion-MNIST")
    page.table(
        ["training", "seed", "diversity", "classes with more than 1 %", "reported as collapsed"],
        [
            (name, seed, m["diversity"], sum(s["made"] > 0.01 for s in m["class_shares"].values()), str(m["collapsed"]))
            for name, all_seeds in measures.items()
            for seed, m in zip(page.seeds, all_seeds, strict=True)
        ],
    )
    page.command(train_command("dcgan", settings(page, "dcgan", **bad)), "python -m zoo.evaluate RUN")
    page.text("What `evaluate` says of the first seed of each:")
    page.output("\n".join(f"{name}: {all_seeds[0]['remarks'][0]}" for name, all_seeds in measures.items()))
    page.claim(
        all(m["collapsed"] for m in measures["provoked"]),
        "The loss of diversity is reported with every seed (`collapsed` in `evaluation.json`).",
    )
    if not page.small:  # which trains two epochs
        page.claim(
            not any(m["collapsed"] for m in measures["as above"]),
            "No collapse is reported of the other training, with any seed.",
        )
        highest = max(m["diversity"] for m in measures["provoked"])
        lowest = min(m["diversity"] for m in measures["as above"])
        page.claim(
            highest < lowest - 0.1,
            f"The diversity of the provoked is at most {highest:.2f}, that of the others at least {lowest:.2f} "
            f"(0.1 apart "
            "or more).",
        )


def _translation(page: Page) -> None:
    import zoo

    page.heading("Images to images")
    page.text(
        """`pix2pix` learns from pairs: edges in, garment out. `cyclegan` has no pairs, only two sets, sneakers and
        boots. It must be cycle-consistent: an image that is translated there and back is the original. Both by their
        shipped weights, on test images."""
    )
    plan = page.plan("pix2pix", {"recipe.limit": page.choose(500, 100)})
    x, y = next(iter(plan.feed(page.dataset(plan), "test").batches(50)))
    x, y = (np.asarray(next(iter(v.values())) if isinstance(v, dict) else v, np.float32) for v in (x, y))
    (generator,) = plan.task.served(zoo.build("pix2pix", weights="default")).values()
    made = generator.predict(x, verbose=0)
    unpaired = page.plan("cyclegan", {"recipe.limit": page.choose(500, 100)})
    batch = next(iter(unpaired.feed(page.dataset(unpaired), "test").batches(50)))[0]
    start = np.asarray(batch["a"] if isinstance(batch, dict) else batch, np.float32)
    both = unpaired.task.served(zoo.build("cyclegan", weights="default"))
    there = both["a2b"].predict(start, verbose=0)
    back = both["b2a"].predict(there, verbose=0)
    figure, axes = axes_row(2, width=5.5, height=3.2)
    for cell, rows, title in (
        (axes[0], (x, made, y), "pix2pix: edges, generated, real"),
        (axes[1], (start, there, back), "cyclegan: sneaker, as a boot, and back"),
    ):
        show(cell, np.concatenate([np.concatenate(list(row[:8, ..., 0]), axis=1) for row in rows]), title)
    page.figure(
        figure,
        "translation",
        "Test images of pix2pix and cyclegan",
        data="test images of Fashion-MNIST",
        seeds="Seed 0",
    )
    page.command("python -m zoo.train pix2pix", "python -m zoo.train cyclegan")
    error, plain = (float(np.abs(y - other).mean()) for other in (made, y.mean(axis=0)))
    page.claim(
        error < plain, f"pix2pix: the mean error is {error:.1f} grey levels, that of the mean image {plain:.1f}."
    )
    cycle, moved = (float(np.abs(start - other).mean()) for other in (back, there))
    page.claim(
        cycle < moved,
        f"cyclegan: the image differs by {moved:.1f} grey levels on its way, and by {cycle:.1f} when back.",
    )
