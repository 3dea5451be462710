"""The base class of tasks, and the argument and return types of its methods."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from zoo.core.recipe import Recipe

if TYPE_CHECKING:
    import keras
    import numpy as np
    import tensorflow as tf
    from matplotlib.figure import Figure

    from export.contract import Contract
    from pipelines.dataset import Dataset, Info
    from pipelines.feeding import Feed


@dataclass(frozen=True)
class SplitEvaluation:
    """The outputs of a model for a split, in memory, or what the task's `reduce` keeps of them."""

    inputs: Mapping[str, np.ndarray]  # name -> array (N, ...)
    outputs: Mapping[str, np.ndarray]  # name -> array (N, ...)
    truth: np.ndarray | None  # array (N, ...), or None if there is none
    info: Info
    metrics: Mapping[str, Any] = field(default_factory=dict)  # once computed
    split: str = "test"  # name of the split
    # by name, that the task's `evaluate_extra` computes for its `figures`
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    # name -> outputs for the same examples, in the form that the task's `metrics` takes
    baselines: Mapping[str, Mapping[str, np.ndarray]] = field(default_factory=dict)
    # what examples (N,) have in common that depend on each other, such as the patient, or None
    groups: np.ndarray | None = None


@dataclass(frozen=True)
class Prediction:
    """A prediction or generated sample as text lines, table rows and an image.

    Attributes:
        lines: Text for the terminal.
        rows: JSON-able dictionaries with the same keys, for --json and CSV.
        image: uint8 array (H, W, 1, 3 or, with transparency, 4), or None.
        outputs: The outputs of `serving_default` by name, without batch dimension; empty for a generated sample.
        mask: Class ids uint8 (H, W) of the pixels, or None.
    """

    lines: tuple[str, ...] = ()
    rows: tuple[Mapping[str, Any], ...] = ()
    image: np.ndarray | None = None
    outputs: Mapping[str, np.ndarray] = field(default_factory=dict)
    mask: np.ndarray | None = None


@dataclass(frozen=True)
class Query:
    """An input of a prediction that may call the model again."""

    argument: str  # of the command line
    inputs: Mapping[str, np.ndarray]  # that the task's `parse` returned for it
    outputs: Mapping[str, np.ndarray]  # of `serving_default`, without batch dimension
    call: Callable[[str, Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]  # endpoint, inputs with batch dimension
    info: Info
    top_k: int  # number of ranked predictions
    contract: Contract | None = None  # of what is called


@dataclass(frozen=True)
class Phase:
    """One phase of a training."""

    name: str  # "head" or "tune"
    recipe: Recipe
    frozen: bool  # whether the backbone is frozen, so that its features are computed once
    statistics: bool = False  # whether the moving statistics of batch normalisation are updated


@dataclass(frozen=True)
class Candidate:
    """A model that takes the place of a named one: with its inputs, its outputs and its contract."""

    title: str  # for tables
    build: Callable[..., keras.Model]  # (name, the builder arguments that the data determines), with any weights
    fit: Callable[[keras.Model, Any, Dataset], None]  # (the model, plan, dataset): sets its weights
    task: Mapping[str, Any] = field(default_factory=dict)  # fields of the task that it needs
    fast: bool = False  # whether it is fitted to any number of examples in seconds: every evaluation compares with it


def head_and_tune(
    recipe: Recipe, examples: int, tune_epochs: int | None, tune_rate: float, statistics: bool = False
) -> tuple[Phase, ...]:
    """Return the phases of a head on a frozen backbone and, unless `tune_epochs` is None, of all layers."""
    # Small datasets get smaller batches, so that an epoch of the `examples` has at least 20 steps.
    size = max(8, min(recipe.batch_size, examples // 20))
    head = Phase("head", replace(recipe, batch_size=size), frozen=True)
    if tune_epochs is None:
        return (head,)
    tuned = replace(recipe, epochs=tune_epochs, learning_rate=tune_rate, batch_size=min(size, 32), warmup=0.1)
    return head, Phase("tune", tuned, frozen=False, statistics=statistics)


class BaseTask:
    """The problem-specific part of training, evaluation, export and prediction: what every task fills.

    What only some tasks do is in `zoo.core.capabilities`. Tasks are frozen dataclasses: their fields are the settings
    `task.FIELD` of the command line.
    """

    title: str  # name of the problem, such as "image classification"
    # inputs of `predict`: "images" (files or folders), "files", "texts"; "" if there are none. Set by `Predicts`.
    accepts = ""
    adversarial = False  # whether a model's `compile` takes `g_optimizer` and `d_optimizer`, not `optimizer`
    output = ""  # name of the output, if the model has one output whose layer has another name; else empty
    monitor = "val_loss"  # name in the logs of the validation quantity that selects the best epoch; lower is better
    # recipe fields of `OF_TASKS` that the task uses; others are refused, because they would have no effect
    supports: frozenset[str] = frozenset()
    required_features: tuple[str, ...] = ()  # names of the features that examples must have
    counts_examples = False  # whether the first metric is a share of the examples, of which one is the smallest change
    sequential = False  # whether neighbouring examples of a split depend on each other, as the hours of a day do
    feeds_files = True  # whether what is fed is the file of an example, without noise or crops

    def model_args(self, info: Info) -> dict[str, Any]:
        """Return the JSON-able builder arguments that the data determines."""
        raise NotImplementedError

    def check_arguments(self, arguments: Mapping[str, Any]) -> None:
        """Raise UsageError for builder arguments that cannot be right, before the data is loaded."""

    def missing_features(self, info: Info) -> list[str]:
        """Return what the examples of a dataset lack: by default those of `required_features` that they do not have."""
        return [name for name in self.required_features if name not in info.features]

    def prepare(self, dataset: Dataset) -> Dataset:
        """Return the dataset with statistics of its training split, such as a vocabulary, added to its `info`."""
        return dataset

    def examples(
        self, split: tf.data.Dataset, info: Info, recipe: Recipe, arguments: Mapping[str, Any], training: bool
    ) -> Feed:
        """Return the feed of (x, y[, weight]) for feature dicts; x is a tensor, or a dict by input name.

        `arguments` are all of the builder, defaults included; `training` is whether examples are augmented.
        """
        raise NotImplementedError

    def compile_arguments(self, model: keras.Model, recipe: Recipe, info: Info) -> dict[str, Any]:
        """Return loss and metrics, as arguments of the model's `compile`; {} if the model computes its own losses."""
        return {}

    def around(self, network: keras.Model, reference: keras.Model, **arguments: Any) -> keras.Model:
        """Return a network of the user with the names of the input and the output of the model that it replaces."""
        import keras

        y = keras.layers.Activation("linear", dtype="float32", name=reference.output_names[0])
        return keras.Model(reference.input, y(network(reference.input)), name=reference.name)

    def served(self, model: keras.Model) -> Mapping[str, keras.Model]:
        """Return the models that are exported, by the suffix of their bundles."""
        return {"": model}

    def contract(self, served: keras.Model, info: Info) -> Contract:
        """Return the contract of one served model."""
        raise NotImplementedError

    def metrics(self, outputs: Mapping[str, np.ndarray], truth: np.ndarray, info: Info) -> dict[str, Any]:
        """Return the metrics of the outputs of any runtime; the first is the headline metric."""
        raise NotImplementedError

    def evaluate_extra(
        self, evaluation: SplitEvaluation, contract: Contract, dataset: Dataset, feed: Callable[[str], Feed]
    ) -> SplitEvaluation:
        """Return the evaluation with metrics that need more than outputs and truth, and with the arrays of `figures`.

        Such as the outputs of other endpoints, or of baselines fitted to the training split: those with an output for
        each example are its `baselines`, which are compared with the model pairwise; of others, the metric `compared`
        has a row each. If several models are served, the endpoints of the contract have their names. A metric that is
        a mapping of mappings, {row: {column: number}}, is shown as a table. `feed`: name of a split -> its feed.
        """
        return evaluation

    def figures(self, evaluation: SplitEvaluation) -> Iterator[tuple[str, Figure]]:
        """Yield (file name without suffix, figure)."""
        return iter(())

    def bundle_assets(self, info: Info) -> Mapping[str, bytes]:
        """Return additional files of a bundle, such as a vocabulary: {file name: content}."""
        return {}

    def code_snippets(self, info: Info) -> Mapping[str, str]:
        """Return Python snippets for the model card, by heading: how a client computes the ids that artifacts take."""
        return {}


def first_metrics(metrics: Mapping[str, Any]) -> Iterable[tuple[str, float]]:
    """Yield the scalar metrics in order, the headline metric first."""
    return ((k, v) for k, v in metrics.items() if isinstance(v, int | float) and not isinstance(v, bool))
