"""The base class of tasks, and the argument and return types of its methods."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from zoo.core.recipe import Recipe

if TYPE_CHECKING:
    import keras
    import numpy as np
    import tensorflow as tf
    from matplotlib.figure import Figure

    from export.contract import Contract, Endpoint
    from pipelines.dataset import Dataset, Info
    from pipelines.feeding import Feed


@dataclass(frozen=True)
class SplitEvaluation:
    """The outputs of a model for a split, in memory, or what the task's `reduce` keeps of them.

    Attributes:
        inputs: Input name -> array (N, ...).
        outputs: Output name -> array (N, ...).
        truth: Array (N, ...), or None if there is none.
        info: Info of the dataset.
        metrics: The metrics, once computed.
        split: Name of the split.
        arrays: Arrays by name that the task's `evaluate_extra` computes for its `figures`.
        baselines: Name of a baseline -> its outputs for the same examples, in the form that the task's `metrics` takes.
    """

    inputs: Mapping[str, np.ndarray]
    outputs: Mapping[str, np.ndarray]
    truth: np.ndarray | None
    info: Info
    metrics: Mapping[str, Any] = field(default_factory=dict)
    split: str = "test"
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    baselines: Mapping[str, Mapping[str, np.ndarray]] = field(default_factory=dict)


@dataclass(frozen=True)
class Prediction:
    """A prediction or generated sample as text lines, table rows and an image.

    Attributes:
        lines: Text for the terminal.
        rows: JSON-able dictionaries with the same keys, for --json and CSV.
        image: uint8 array (H, W, 1 or 3), or None.
        outputs: The outputs of `serving_default` by name, without batch dimension; empty for a generated sample.
        mask: Class ids uint8 (H, W) of the pixels, or None.
    """

    lines: tuple[str, ...] = ()
    rows: tuple[Mapping[str, Any], ...] = ()
    image: np.ndarray | None = None
    outputs: Mapping[str, np.ndarray] = field(default_factory=dict)
    mask: np.ndarray | None = None


@dataclass(frozen=True)
class Phase:
    """One phase of a training.

    Attributes:
        name: "head" or "tune".
        recipe: Training settings.
        frozen: Whether the backbone is frozen, so that its features are computed once.
        statistics: Whether the moving statistics of batch normalisation are updated.
    """

    name: str
    recipe: Recipe
    frozen: bool
    statistics: bool = False


def head_and_tune(
    recipe: Recipe, examples: int, tune_epochs: int | None, tune_rate: float, statistics: bool = False
) -> tuple[Phase, ...]:
    """Return the phases of a head on a frozen backbone and, unless `tune_epochs` is None, of all layers at a low rate.

    Small datasets get smaller batches, so that an epoch of the `examples` has at least 20 steps.
    """
    size = max(8, min(recipe.batch_size, examples // 20))
    head = Phase("head", replace(recipe, batch_size=size), frozen=True)
    if tune_epochs is None:
        return (head,)
    tuned = replace(recipe, epochs=tune_epochs, learning_rate=tune_rate, batch_size=min(size, 32), warmup=0.1)
    return head, Phase("tune", tuned, frozen=False, statistics=statistics)


class BaseTask:
    """The problem-specific part of training, evaluation, export and prediction.

    Subclasses implement the methods of the first section. The hooks of the second section do nothing by default. Tasks
    are frozen dataclasses: their fields are the settings `task.FIELD` of the command line.

    Attributes:
        title: Name of the problem, such as "image classification".
        accepts: Inputs of `predict`: "images" (files, or folders of them) or "texts"; empty if models do not predict on
            single inputs. A task that sets it implements `parse` and `show`.
        generates: The options that `sample` takes; empty if models do not generate.
        adversarial: Whether a model's `compile` takes `g_optimizer` and `d_optimizer`, not `optimizer`.
        output: Name of the output, if the model has one output whose layer has another name; else empty.
        monitor: Name in the logs of the validation quantity that selects the best epoch; lower is better.
        supports: Those of the recipe fields `OF_TASKS` that the task's examples, losses and models use. Others are
            refused, because they would have no effect.
        required_features: Names of the features that examples must have.
        counts_examples: Whether the first metric is a share of the examples, of which one is the smallest change.
        reads_rows: Whether models take rows of named columns, as `read_rows` makes them of a table.
        not_trained: Why models are not trained here, in one sentence; empty if they are.
        sequential: Whether neighbouring examples of a split depend on each other, as the hours of a day do.
    """

    title: str
    accepts = ""
    generates: tuple[str, ...] = ()
    adversarial = False
    output = ""
    monitor = "val_loss"
    supports: frozenset[str] = frozenset()
    required_features: tuple[str, ...] = ()
    reads_rows = False
    counts_examples = False
    not_trained = ""
    sequential = False

    # === Methods that every task implements ===

    def model_args(self, info: Info) -> dict[str, Any]:
        """Return the JSON-able builder arguments that the data determines."""
        raise NotImplementedError

    def examples(
        self, split: tf.data.Dataset, info: Info, recipe: Recipe, arguments: Mapping[str, Any], training: bool
    ) -> Feed:
        """Return the feed of (x, y[, weight]) for feature dicts; x is a tensor, or a dict by input name.

        Args:
            split: Examples as feature dicts.
            info: Info of the dataset.
            recipe: Settings of the training, such as the augmentation.
            arguments: All builder arguments, defaults included, such as the size of noise.
            training: Whether examples are augmented.
        """
        raise NotImplementedError

    def served(self, model: keras.Model) -> Mapping[str, keras.Model]:
        """Return the models that are exported, by the suffix of their bundles."""
        return {"": model}

    def contract(self, served: keras.Model, info: Info) -> Contract:
        """Return the contract of one served model."""
        raise NotImplementedError

    def metrics(self, outputs: Mapping[str, np.ndarray], truth: np.ndarray, info: Info) -> dict[str, Any]:
        """Return the metrics of the outputs of any runtime; the first is the headline metric."""
        raise NotImplementedError

    def figures(self, evaluation: SplitEvaluation) -> Iterator[tuple[str, Figure]]:
        """Yield (file name without suffix, figure)."""
        raise NotImplementedError

    def parse(self, argument: str, endpoint: Endpoint, info: Info) -> Mapping[str, np.ndarray]:
        """Return the model inputs of one command-line argument, without batch dimension."""
        raise NotImplementedError

    def show(self, argument: str, outputs: Mapping[str, np.ndarray], info: Info, top_k: int) -> Prediction:
        """Return the prediction for one input.

        Args:
            argument: The command-line argument.
            outputs: The outputs of `serving_default`, without batch dimension.
            info: Info of the dataset.
            top_k: Number of ranked predictions.
        """
        raise NotImplementedError

    # === Hooks ===

    def compile_arguments(self, model: keras.Model, recipe: Recipe, info: Info) -> dict[str, Any]:
        """Return loss and metrics, as arguments of the model's `compile`; {} if the model computes its own losses."""
        return {}

    def check_arguments(self, arguments: Mapping[str, Any]) -> None:
        """Raise UsageError for builder arguments that cannot be right, before the data is loaded."""

    def finish_compile(self, model: keras.Model, recipe: Recipe, steps: int) -> None:
        """Change a compiled model that is trained for `steps` optimizer steps in all."""

    def missing_features(self, info: Info) -> list[str]:
        """Return what the examples of a dataset lack: by default those of `required_features` that they do not have."""
        return [name for name in self.required_features if name not in info.features]

    def prepare(self, dataset: Dataset) -> Dataset:
        """Return the dataset with statistics of its training split, such as a vocabulary, added to its `info`."""
        return dataset

    def initialize(self, model: keras.Model, dataset: Dataset) -> None:
        """Set initial weights: statistics of the training split, or trained weights of a part of the model.

        Also called before a resumed run restores its state.
        """

    def phases(self, recipe: Recipe, info: Info) -> tuple[Phase, ...]:
        """Return the phases of a training from a pretrained backbone, in order; () for a training in one piece."""
        return ()

    def train_phases(self, session: Any) -> Any:
        """Train the phases of a `zoo.training.session.Session`; returns what `zoo.training.trainer.fit` does."""
        raise NotImplementedError

    def preview(self, model: keras.Model, validation: Feed, info: Info) -> Callable[[], np.ndarray] | None:
        """Return a function that draws uint8 (H, W, 1 or 3): the model's outputs for fixed inputs after each epoch."""
        return None

    def reduce(self, batch: SplitEvaluation) -> SplitEvaluation:
        """Return what is kept of a batch of outputs for `metrics` and `figures`: by default everything.

        The batches of a split are concatenated in memory, and all batches have the same arrays. A task with an output
        for every pixel returns a few numbers for each example instead, such as the confusion matrix of each image. Its
        `metrics` are computed from these, also those of quantised files, whose confidence interval needs a row for
        each example.

        Args:
            batch: Inputs, outputs and truth of a batch; the inputs are {} for a quantised file.

        Returns:
            Arrays with one row for each example.
        """
        return batch

    def evaluate_extra(
        self, evaluation: SplitEvaluation, contract: Contract, dataset: Dataset, feed: Callable[[str], Feed]
    ) -> SplitEvaluation:
        """Return the evaluation with metrics that need more than outputs and truth, and with the arrays of `figures`.

        Such as the outputs of other endpoints, or of baselines fitted to the training split: those with an output for
        each example are its `baselines`, which are compared with the model pairwise; of others, the metric `compared`
        has a row each. If several models are served, the endpoints of the contract have their names. A metric that is
        a mapping of mappings, {row: {column: number}}, is shown as a table.

        Args:
            evaluation: The evaluation with the metrics of `metrics`.
            contract: Contract of the evaluated model.
            dataset: The splits.
            feed: Name of a split -> its feed.
        """
        return evaluation

    def probabilities(self, outputs: Mapping[str, np.ndarray]) -> np.ndarray | None:
        """Return the probabilities of the classes (N, classes); None if the outputs are no classes."""
        return None

    def residuals(self, outputs: Mapping[str, np.ndarray], truth: np.ndarray) -> np.ndarray | None:
        """Return the predicted minus the true number of each example (N,); None if the outputs are no numbers."""
        return None

    def conformal(self, validation: SplitEvaluation, test: SplitEvaluation) -> dict[str, Any] | None:
        """Return the coverage of prediction sets or intervals, as `zoo.evaluation.conformal` does; None without them.

        Args:
            validation: Outputs and truth of examples that were not trained on, by which their size is chosen.
            test: Those on which they are evaluated.
        """
        return None

    def per_example(self, outputs: Mapping[str, np.ndarray], truth: np.ndarray) -> Mapping[str, np.ndarray]:
        """Return numbers for each example, (N,) each, that `metrics` takes in place of the outputs.

        For metrics that are costly to compute again for a part of the examples, as their intervals need. By default the
        outputs themselves.
        """
        return outputs

    def result_files(self, evaluation: SplitEvaluation) -> Mapping[str, bytes]:
        """Return additional files of an evaluation of the test split, for the run folder: {file name: content}."""
        return {}

    def explain(
        self,
        argument: str,
        inputs: Mapping[str, np.ndarray],
        outputs: Mapping[str, np.ndarray],
        call: Callable[[str, Mapping[str, np.ndarray]], Mapping[str, np.ndarray]],
        info: Info,
        top_k: int,
    ) -> Prediction:
        """Return a prediction that needs further calls, such as an explanation or a search; by default that of `show`.

        Args:
            argument: The command-line argument.
            inputs: The inputs that `parse` returned for it.
            outputs: The outputs of `serving_default`, without batch dimension.
            call: (endpoint, inputs with batch dimension) -> outputs.
            info: Info of the dataset.
            top_k: Number of ranked predictions.
        """
        return self.show(argument, outputs, info, top_k)

    def sample(self, call: Any, contract: Contract, options: Mapping[str, Any], seed: int, info: Info) -> Prediction:
        """Generate a sample.

        Args:
            call: (endpoint, inputs) -> outputs, in any runtime.
            contract: The endpoints.
            options: Those of `generates` that are given.
            seed: Random seed.
            info: Info of the dataset.
        """
        raise NotImplementedError

    def read_rows(self, cells: Mapping[str, Sequence[Any]], info: Info) -> tuple[dict[str, np.ndarray], list[str]]:
        """Return the inputs for the rows of a table, and sentences about what is unknown, for `reads_rows`.

        Args:
            cells: Column name as in the file -> its cells.
            info: Info of the dataset.
        """
        raise NotImplementedError

    def bundle_assets(self, info: Info) -> Mapping[str, bytes]:
        """Return additional files of a bundle, such as a vocabulary: {file name: content}."""
        return {}

    def golden_inputs(self, samples: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        """Return real inputs for the golden cases: those of `serving_default`, and of other endpoints that need them.

        An endpoint without real inputs gets generated ones.

        Args:
            samples: Examples of the test split by input name, (N, ...).
        """
        return samples

    def code_snippets(self, info: Info) -> Mapping[str, str]:
        """Return Python snippets for the model card, by heading: how a client computes the ids that artifacts take."""
        return {}

    def describe_case(self, info: Info, arguments: Mapping[str, Any]) -> str:
        """Return one sentence about the use of a pretrained backbone for this data; empty if there is none."""
        return ""


def first_metrics(metrics: Mapping[str, Any]) -> Iterable[tuple[str, float]]:
    """Yield the scalar metrics in order, the headline metric first."""
    return ((k, v) for k, v in metrics.items() if isinstance(v, int | float) and not isinstance(v, bool))
