"""Augmentation: a gallery of its seven parameters. Transfer learning: its four cases, and the decision."""

import dataclasses
from typing import Any

import numpy as np

from docs.course.lessons.images import stamps
from docs.course.page import Page, axes_row, show

PARAMETERS = {  # parameter -> policy
    "rotation": "rotation=40",
    "width_shift": "width_shift=0.3",
    "height_shift": "height_shift=0.3",
    "shear": "shear=35",
    "zoom": "zoom=0.4",
    "flip": "flip",
    "fill": "rotation=40,fill=reflect",
}
VIEWS = 5
SIZES = (500, 50_000)  # training images of a small and of a large dataset


def photograph() -> np.ndarray:
    """Return a photograph uint8 (128, 128, 3)."""
    from PIL import Image
    from sklearn.datasets import load_sample_image

    picture = Image.fromarray(load_sample_image("flower.jpg")).crop((150, 0, 577, 427))
    return np.asarray(picture.resize((128, 128)))


def views(image: np.ndarray, policy: str, seed: int = 0) -> np.ndarray:
    """Return augmented views (VIEWS, H, W, 3) of an image; each is a function of (seed, epoch, index of the image)."""
    import tensorflow as tf

    import pipelines

    augment = pipelines.augment.policy(policy)
    keys = tf.constant([[seed, epoch, 0] for epoch in range(VIEWS)], tf.int64)
    batch = tf.constant(np.repeat(image[None], VIEWS, axis=0), tf.float32)
    return np.asarray(augment(batch, keys))


def decision(count: int, similarity: str) -> tuple[str, tuple[Any, ...]]:
    """Return the case that the task chooses for a dataset, and its phases of training."""
    import pipelines
    import zoo

    task = dataclasses.replace(zoo.get_spec("flowers").task, similarity=similarity)
    info = pipelines.Info("x", "x", "x", "x", {}, {"train": count}, class_names=("a", "b"))
    return task.case(info), task.phases(zoo.get_spec("flowers").recipe("default"), info)


def draw_decision(axes: Any, cases: dict[tuple[int, str], str], large: int) -> None:
    """Draw the four cases by size and similarity."""
    texts = {
        "head": "head\nnew last layer on\nfrozen features",
        "earlier": "earlier\nnew last layer on an\nearlier block, frozen",
        "finetune": "finetune\nnew last layer, then all layers\nat a low learning rate",
        "full": "full\nall layers and batch statistics,\nfrom pretrained weights",
    }
    for (count, similarity), case in cases.items():
        x, y = int(count >= large), int(similarity == "similar")
        axes.add_patch(_rectangle(x, y, f"C{list(texts).index(case)}"))
        axes.text(x + 0.5, y + 0.5, texts[case], ha="center", va="center", fontsize=10)
    axes.set(xlim=(0, 2), ylim=(0, 2), title="What is trained")
    axes.set_xticks([0.5, 1.5], [f"fewer than {large:,}\ntraining images", f"{large:,} or more"])
    axes.set_yticks([0.5, 1.5], ["different", "similar\nto ImageNet"])


def _rectangle(x: int, y: int, colour: str) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((x + 0.02, y + 0.02), 0.96, 0.96, facecolor=colour, alpha=0.3)


def write(page: Page) -> None:
    """Measure and write the page."""
    image = photograph()
    page.text(
        """An augmentation changes a training image so that it still shows the same thing: the network sees a new image
        in every epoch, and learns what does not matter. Each row shows one parameter, the first image is the
        photograph."""
    )
    gallery = {name: views(image, policy) for name, policy in PARAMETERS.items()}
    figure, axes = axes_row(VIEWS + 1, height=1.15, width=1.15, rows=len(gallery))
    for line, (name, changed) in zip(axes, gallery.items(), strict=True):
        for cell, view in zip(line, [image, *changed], strict=True):
            show(cell, view)
        line[0].set_ylabel(name, fontsize=7)
    page.figure(
        figure,
        "gallery",
        "Five views of a photograph for each of seven parameters",
        data="a photograph of scikit-learn",
        seeds="Seed 0",
    )
    page.table(["parameter", "policy"], [(name, f"`{policy}`") for name, policy in PARAMETERS.items()])
    page.text(
        """`fill` says what stands where the moved image leaves a gap: its nearest pixels (above), its reflection (last
        row), or one value. Brightness, contrast, noise, cutout and mixup are further parameters."""
    )
    page.text(
        """Only training images are changed. Validation and test images stay as the files are: they stand for the images
        that the model will be given, and a validation loss that changes from epoch to epoch by chance would choose the
        wrong epoch. `plan.feed(dataset, "train")` has the policy, `plan.feed(dataset, "validation")` has none."""
    )
    page.code(views)
    page.command(
        "python -m pipelines preview PHOTOS/ --augment rotation=40,zoom=0.4 -o grid.png",
        "python -m zoo.train flowers --data-dir PHOTOS/ --set recipe.augment=rotation=40,zoom=0.4,flip",
    )
    page.claim(
        all(np.array_equal(views(image, policy), gallery[name]) for name, policy in PARAMETERS.items()),
        "The same seed, epoch and index give the same view again, for each of the seven parameters.",
    )
    changed = {name: sum(not np.allclose(view, image, atol=1) for view in v) for name, v in gallery.items()}
    page.claim(min(changed.values()) > 0, "Each of the seven changes some of the views.")
    mirrored = [any(np.allclose(view, other, atol=1) for other in (image, image[:, ::-1])) for view in gallery["flip"]]
    page.claim(all(mirrored), "Each view of `flip` is the photograph or its mirror image.")
    page.claim(
        not np.allclose(gallery["fill"], gallery["rotation"], atol=1),
        "`fill=reflect` fills the corners of the rotated image differently.",
    )

    page.heading("Transfer learning: four cases")
    page.text(
        """A network that was trained on ImageNet has learnt edges and textures in its first layers, and parts of things
        in its last. How much of it to keep depends on how many images there are, and on how similar they are. The task
        of `flowers`, `landmarks` and `skin_lesions` decides by the same drawing."""
    )
    decisions = {(n, s): decision(n, s) for n in SIZES for s in ("similar", "different")}
    import zoo

    large = zoo.get_spec("flowers").task.large
    figure, (axes,) = axes_row(1, width=7, height=4)
    draw_decision(axes, {key: case for key, (case, _) in decisions.items()}, large)
    page.figure(
        figure,
        "decision",
        "Four cases by size and similarity of the data",
        data="none; the rule is that of the task",
        seeds="Seed 0",
    )
    rows = [
        (f"{n:,}", similarity, case, ", then ".join(_phase(phase) for phase in phases))
        for (n, similarity), (case, phases) in decisions.items()
    ]
    page.table(["training images", "similarity", "case", "phases"], rows)
    page.code(decision)
    page.command(
        "python -m zoo.train flowers --data-dir PHOTOS/ --set task.similarity=different",
        "python -m zoo.train flowers --data-dir PHOTOS/ --set task.policy=finetune",
    )
    expected = {(500, "similar"): "head", (500, "different"): "earlier"}
    expected |= {(50_000, "similar"): "finetune", (50_000, "different"): "full"}
    page.claim(
        {key: case for key, (case, _) in decisions.items()} == expected,
        "Few and similar: head. Few and different: earlier. Many and similar: finetune. Many and different: full.",
    )
    page.claim(
        all(phases[0].frozen for _, phases in decisions.values())
        and all((len(phases) == 2) == (n >= large) for (n, _), (_, phases) in decisions.items()),
        "In every case the backbone is frozen at first; only large datasets have a second phase that trains all of it.",
    )
    _measured(page)


def _measured(page: Page) -> None:
    page.heading("The four cases, measured")
    if page.small:
        images, labels = stamps.two_photographs()
        few, more = 2, 3
    else:
        images, labels = stamps.photographs()
        few, more = 4, 16
    domains = {"similar": images, "different": stamps.in_tiles(images)}
    page.text(
        f"""{len(images)} photographs of {", ".join(stamps.CLASSES[:-1])} and {stamps.CLASSES[-1]} at 96x96 pixels,
        {few} or {more} of each class for training, the others for the test. *Similar*: the photographs. *Different*:
        the same photographs cut into 4x4 tiles that lie in another order, the same for all; edges and textures are
        those of photographs, things are not. On frozen features of EfficientNet-Lite0 a new last layer is trained
        (three seeds); all layers are trained with {more} of each class only, from ImageNet's weights and from random
        ones. Real large data sets are not here: {more * (labels.max() + 1)} images are *more*, not many."""
    )
    show_figure, axes = axes_row(2, width=5.5, height=1.6)
    order = np.random.default_rng(1).permutation(len(images))[:8]
    for cell, (name, pixels) in zip(axes, domains.items(), strict=True):
        show(cell, np.concatenate(list(pixels[order]), axis=1), name)
    source = "Tux Paint stamps, Debian package tuxpaint-stamps-default (GPL-2)"
    page.figure(show_figure, "stamps", "Eight photographs, and the same in tiles", data=source, seeds="Seed 1")
    rows: dict[tuple[str, int], dict[str, list[float]]] = {}
    for domain, pixels in domains.items():
        features = stamps.frozen_features(pixels)
        for count in (few, more):
            parts = [stamps.split(labels, count, seed) for seed in (0, 1, 2)]
            row = {name: [stamps.head(x, labels, *p) for p in parts] for name, x in features.items()}
            if count == more and not page.small:
                for name, weights in (("all layers", "imagenet"), ("from random weights", None)):
                    row[name] = [stamps.whole_network(pixels, labels, parts[0], weights, 0)]
            rows[domain, count] = row
    names = list(rows["similar", more])
    page.table(
        ["data", "a class", *names],
        [
            (domain, str(count), *(f"{np.mean(row[n]):.3f}" if n in row else "" for n in names))
            for (domain, count), row in rows.items()
        ],
    )
    page.text(
        "The figures are the mean over the classes of the share that is recognised; guessing has "
        f"{1 / (labels.max() + 1):.2f}."
    )
    page.code(stamps.head, stamps.in_tiles)
    if page.small:  # photographs of noise
        return
    gain = {key: float(np.mean(row["earlier"]) - np.mean(row["head"])) for key, row in rows.items()}
    on_few, on_more, on_similar = gain["different", few], gain["different", more], gain["similar", more]
    page.claim(
        on_more > max(0.02, on_similar),
        f"On different data the earlier block is better than the last one, by {on_more:.3f} with {more} of each class "
        f"and by {on_few:.3f} with {few} (more than 0.02); on similar data by {on_similar:.3f}.",
    )
    page.claim(
        all(
            min(np.mean(rows[d, more][n]) for n in ("head", "earlier", "all layers"))
            > np.mean(rows[d, more]["from random weights"]) + 0.1
            for d in domains
        ),
        "Every kind of transfer is better than training from random weights, by 0.1 or more.",
    )
    page.claim(
        all(min(rows[d, more][n]) > max(rows[d, few][n]) - 0.05 for d in domains for n in ("head", "earlier")),
        "More images of each class are better than few, for every kind of frozen features.",
    )


def _phase(phase: Any) -> str:
    what = "frozen backbone" if phase.frozen else "all layers"
    return f"{what}, {phase.recipe.epochs} epochs at {phase.recipe.learning_rate:g}"
