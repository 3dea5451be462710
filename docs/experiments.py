"""The experiments of the page on recipes: each changes one setting of one small training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from zoo.core.plan import make_plan

MODEL, PRECISION = "mnist", "float32"
LARGE, SMALL = [256, 256], [4]
COMMON = {
    "data": "digits",
    "recipe.split": "20/30/50",  # 359 training images: few enough to overfit
    "recipe.epochs": 40,
    "recipe.optimizer": "adam",
    "recipe.schedule": "constant",
    "recipe.dropout": 0.0,
    "model.units": LARGE,
}
SGD = {"recipe.optimizer": "sgd", "recipe.learning_rate": 0.02}
NARROW = {"model.units": [8], "recipe.learning_rate": 0.01}
HOT = SGD | {"recipe.learning_rate": 0.3, "recipe.momentum": 0.9, "recipe.clip_norm": 1.0}


@dataclass(frozen=True)
class Experiment:
    """One section of the page.

    Attributes:
        name: Name of its figure.
        title: Heading of the section.
        text: Description of the fields.
        variants: Label -> settings in addition to `COMMON`, in the order of the table.
        panel: Additional panel of the figure: "learning_rate", "weights" or none.
    """

    name: str
    title: str
    text: str
    variants: Mapping[str, Mapping[str, Any]]
    panel: str = ""
    fields: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Determine the recipe fields that differ between variants."""
        keys = [k for settings in self.variants.values() for k in settings if k.startswith("recipe.")]
        varied = [k for k in dict.fromkeys(keys) if len({str(s.get(k)) for s in self.variants.values()}) > 1]
        object.__setattr__(self, "fields", tuple(k.removeprefix("recipe.") for k in varied))

    def settings(self, label: str) -> dict[str, Any]:
        """Return all settings of a variant, in the form of `--set`."""
        return {**COMMON, **self.variants[label]}

    def command(self, label: str) -> str:
        """Return the command line that trains a variant."""
        plan = make_plan(MODEL, settings=self.settings(label), precision=PRECISION)
        return f"{plan.command()} --precision {PRECISION} --no-export"


EXPERIMENTS = (
    Experiment(
        "capacity",
        "Underfitting and overfitting",
        "Four units cannot separate ten digits: both losses stay high and close together, which is *underfitting*. "
        "Two layers of 256 memorise the 359 digits: the training loss goes to zero while the validation loss rises "
        "after its minimum, which is *overfitting*. The sections below are about the gap between the two lines.",
        {"4 units": {"model.units": SMALL}, "32 units": {"model.units": [32]}, "256, 256 units": {}},
    ),
    Experiment(
        "early_stopping",
        "Early stopping",
        "`recipe.patience` ends a training when the validation loss has not improved for so many epochs. The star "
        "marks the epoch whose weights are kept, the dotted line where training stopped. Every run keeps its best "
        "epoch with or without it, so what early stopping saves is time; the test figures are those of the same "
        "epoch.",
        {"no patience": {}, "patience 5": {"recipe.patience": 5}},
    ),
    Experiment(
        "momentum",
        "Momentum",
        "`recipe.momentum` (Nesterov's, with `optimizer=sgd`; beta1 with adam) accumulates gradients of the same "
        "sign: with a small learning rate, 0.9 moves about ten times as far as 0. Too close to one it overshoots "
        "and oscillates.",
        {f"momentum {m}": SGD | {"recipe.momentum": m} for m in (0.0, 0.5, 0.9, 0.98)},
    ),
    Experiment(
        "schedule",
        "Step decay and other schedules",
        "All start with a learning rate that is too high to converge (0.3, gradients clipped to a norm of 1). "
        "`schedule=step` multiplies it by `decay` every `decay_epochs` epochs, `exponential` does the same "
        "smoothly, `cosine` ends at zero, `one_cycle` rises first. `warmup` puts a linear rise before any of them. "
        "The lines become smoother as the learning rate falls; see the column `at the end`: with so few images the "
        "best epoch is early.",
        {
            "constant": HOT,
            "step, halved every 8": HOT | {"recipe.schedule": "step", "recipe.decay": 0.5, "recipe.decay_epochs": 8},
            "exponential": HOT | {"recipe.schedule": "exponential", "recipe.decay": 0.5, "recipe.decay_epochs": 8},
            "cosine": HOT | {"recipe.schedule": "cosine"},
            "cosine after warm-up": HOT | {"recipe.schedule": "cosine", "recipe.warmup": 0.1},
            "one_cycle": HOT | {"recipe.schedule": "one_cycle"},
        },
        panel="learning_rate",
    ),
    Experiment(
        "penalties",
        "L1, L2 and weight decay",
        "`l1` and `l2` add a penalty on kernels to the loss, so their losses in the image and in the first columns "
        "include the penalty and are not comparable between variants; the test loss does not include it. L1 moves "
        "every weight towards zero at the same rate, so that few large ones remain; L2 and `weight_decay` "
        "(decoupled from the gradient, with `optimizer=adamw`; a step subtracts the learning rate times it) shrink "
        "each in proportion to its size.",
        {
            "none": {},
            "L1 0.0003": {"recipe.l1": 3e-4},
            "L2 0.003": {"recipe.l2": 3e-3},
            "weight decay 10": {"recipe.optimizer": "adamw", "recipe.weight_decay": 10.0},
        },
        panel="weights",
    ),
    Experiment(
        "dropout",
        "Dropout",
        "`recipe.dropout` sets that share of the units to zero in every training step, in builders that have the "
        "argument. Memorising becomes slower, and the training loss (which is computed with dropout) stays higher.",
        {f"dropout {d}": {"recipe.dropout": d} if d else {} for d in (0.0, 0.3, 0.6)},
    ),
    Experiment(
        "augmentation",
        "Augmentation",
        "`recipe.augment` rotates, shifts and scales every training image differently in every epoch, so that no "
        "image is seen twice.",
        {
            "none": {},
            "rotation, shift, zoom": {"recipe.augment": "rotation=10,width_shift=0.1,height_shift=0.1,zoom=0.1"},
        },
    ),
    Experiment(
        "smoothing",
        "Label smoothing, averaged weights, batch size",
        "`label_smoothing` replaces hard targets by slightly softer ones and keeps logits small (its losses have a "
        "minimum above zero). `ema` validates and keeps the moving average of the weights. A larger `batch_size` "
        "takes fewer steps with less noise.",
        {
            "none": {},
            "label smoothing 0.1": {"recipe.label_smoothing": 0.1},
            "EMA 0.95": {"recipe.ema": 0.95},
            "batches of 16": {"recipe.batch_size": 16},
        },
    ),
    Experiment(
        "restarts",
        "Random restarts",
        "The result of a training depends on the initial weights, most of all in a small network. `recipe.restarts` "
        "trains from that many seeds and keeps the one with the lowest validation loss; the test split is not used.",
        {"one training": NARROW, "the best of 4": NARROW | {"recipe.restarts": 4}},
    ),
)
