"""The experiments of the page on recipes: each changes one setting of one small training, with several seeds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from zoo.core.plan import make_plan

MODEL, PRECISION = "mnist", "float32"
SEEDS = (0, 1, 2)
COMMON = {
    "data": "fashion_mnist",
    "recipe.limit": 1000,  # few enough to overfit
    "recipe.epochs": 25,
    "recipe.batch_size": 32,
    "recipe.optimizer": "adam",
    "recipe.schedule": "constant",
    "recipe.dropout": 0.0,
    "model.units": [256, 256],
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
        panel: Additional panel of the figure: "learning_rate", "weights" (histograms) or none.
        seeds: The seeds with which every variant is trained.
    """

    name: str
    title: str
    text: str
    variants: Mapping[str, Mapping[str, Any]]
    panel: str = ""
    seeds: tuple[int, ...] = SEEDS
    fields: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Determine the recipe fields that differ between variants."""
        keys = [k for settings in self.variants.values() for k in settings if k.startswith("recipe.")]
        varied = [k for k in dict.fromkeys(keys) if len({str(s.get(k)) for s in self.variants.values()}) > 1]
        object.__setattr__(self, "fields", tuple(k.removeprefix("recipe.") for k in varied))

    def settings(self, label: str) -> dict[str, Any]:
        """Return all settings of a variant, in the form of `--set`."""
        return {**COMMON, **self.variants[label]}

    def command(self, label: str, seed: int = 0) -> str:
        """Return the command line that trains a variant."""
        plan = make_plan(MODEL, settings=self.settings(label), precision=PRECISION, seed=seed)
        return f"{plan.command()} --precision {PRECISION} --no-export"


EXPERIMENTS = (
    Experiment(
        "capacity",
        "Underfitting and overfitting",
        "8 units are too few: training and validation loss stay above those of 32 units, which is *underfitting*. With "
        "two layers of 256 units the training loss falls to a sixth of the validation loss, which rises after its "
        "minimum: *overfitting*. The "
        "sections below are about the gap between the two lines.",
        {
            "8 units": {"model.units": [8], "recipe.learning_rate": 0.005},
            "32 units": {"model.units": [32]},
            "256, 256 units": {},
        },
    ),
    Experiment(
        "early_stopping",
        "Early stopping",
        "`recipe.patience` ends a training when the validation loss has not improved for so many epochs. The star "
        "marks the lowest mean of the seeds, the dotted line the epoch at which the first of the seeds stopped. Every "
        "run keeps the weights of its own best epoch, with or without it, so what early stopping saves is "
        "time; the test "
        "figures are those of that epoch.",
        {"no patience": {}, "patience 5": {"recipe.patience": 5}},
    ),
    Experiment(
        "momentum",
        "Momentum",
        "`recipe.momentum` (Nesterov's, with `optimizer=sgd`; beta1 with adam) accumulates gradients of the same "
        "sign: with a small learning rate, 0.9 moves about ten times as far as 0, and has after 6 epochs the training "
        "loss that 0 has after 25. With 0.98 the loss oscillates, and its best epoch is early and worse.",
        {f"momentum {m}": SGD | {"recipe.momentum": m} for m in (0.0, 0.5, 0.9, 0.98)},
    ),
    Experiment(
        "schedule",
        "Step decay and other schedules",
        "All start with a learning rate that is too high to converge (0.3, gradients clipped to a norm of 1). "
        "`schedule=step` multiplies it by `decay` every `decay_epochs` epochs, `exponential` does the same "
        "smoothly, `cosine` ends at zero, `one_cycle` rises first. `warmup` puts a linear rise before any of them. "
        "The lines become smoother as the learning rate falls, and end far below that of the constant rate: see the "
        "column `at the end`.",
        {
            "constant": HOT,
            "step, halved every 5": HOT | {"recipe.schedule": "step", "recipe.decay": 0.5, "recipe.decay_epochs": 5},
            "cosine": HOT | {"recipe.schedule": "cosine"},
            "cosine after warm-up": HOT | {"recipe.schedule": "cosine", "recipe.warmup": 0.1},
            "one_cycle": HOT | {"recipe.schedule": "one_cycle"},
        },
        panel="learning_rate",
    ),
    Experiment(
        "penalties",
        "L1, L2 and weight decay",
        "`l1` and `l2` add a penalty on kernels to the loss, so the training losses include it and are not comparable "
        "between variants; the other columns do not include it. L1 moves "
        "every weight towards zero at the same rate, so that few large ones remain; L2 and `weight_decay` "
        "(decoupled from the gradient, with `optimizer=adamw`; a step subtracts the learning rate times it) shrink "
        "each in proportion to its size. The histograms are those of all kernels at the best epoch.",
        {
            "none": {},
            "L1 0.0001": {"recipe.l1": 1e-4},
            "L2 0.001": {"recipe.l2": 1e-3},
            "weight decay 1": {"recipe.optimizer": "adamw", "recipe.weight_decay": 1.0},
        },
        panel="weights",
    ),
    Experiment(
        "dropout",
        "Dropout",
        "`recipe.dropout` sets that share of the units to zero in every training step, in builders that have the "
        "argument. Memorising becomes slower: the validation loss has its minimum later and rises less after it. The "
        "training loss is computed with dropout. The minimum itself is not lower by more than the seeds differ.",
        {f"dropout {d}": {"recipe.dropout": d} if d else {} for d in (0.0, 0.3, 0.6)},
    ),
    Experiment(
        "augmentation",
        "Augmentation",
        "`recipe.augment` changes every training image differently in every epoch, so that it is harder to memorise: "
        "the two losses are closer together. It must suit the data: garments stand upright in the middle of all "
        "images, also of those for validation and test, and rotation, shift and zoom raise the validation loss of "
        "these 25 epochs.",
        {
            "none": {},
            "left-right flip": {"recipe.augment": "flip"},
            "rotation, shift, zoom": {"recipe.augment": "rotation=10,width_shift=0.1,height_shift=0.1,zoom=0.1"},
        },
    ),
    Experiment(
        "smoothing",
        "Label smoothing and averaged weights",
        "`label_smoothing` replaces hard targets by slightly softer ones and keeps logits small: its training loss has "
        "a minimum above zero, its test loss is higher, and its accuracy is not lower. "
        "`ema` validates and keeps the moving average of the weights.",
        {"none": {}, "label smoothing 0.1": {"recipe.label_smoothing": 0.1}, "EMA 0.98": {"recipe.ema": 0.98}},
    ),
    Experiment(
        "batch_size",
        "Batch size",
        "A larger `batch_size` takes fewer steps an epoch, each with a gradient of less noise. With the same learning "
        "rate and the same epochs, small batches fit the training images sooner, and overfit sooner.",
        {f"batches of {n}": {"recipe.batch_size": n} for n in (8, 32, 128, 512)},
    ),
    Experiment(
        "restarts",
        "Random restarts",
        "The result of a training depends on the initial weights, most of all in a small network: the loss has many "
        "local minima and plateaus, and descent ends in the one that it starts near. `recipe.restarts` "
        "trains from that many seeds and keeps the one with the lowest validation loss; the test split is not used. "
        "Here one of the four does not learn: its losses stay at 2.303, the logarithm of the ten classes.",
        {"one training": NARROW, "the best of 4": NARROW | {"recipe.restarts": 4}},
        seeds=(0,),
    ),
)
