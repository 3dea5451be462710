"""Augmentation: a gallery of its seven parameters. Transfer learning: its four cases, and the decision."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

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
    page.text(
        """What frozen features are worth with few images is measured in a
        [notebook](../notebooks/features_for_scikit_learn.md)."""
    )


def _phase(phase: Any) -> str:
    what = "frozen backbone" if phase.frozen else "all layers"
    return f"{what}, {phase.recipe.epochs} epochs at {phase.recipe.learning_rate:g}"
