"""The model behind `predict` and `sample`: a run, a bundle or a model with shipped weights, opened in a runtime."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.sources import storage
from zoo.core import registry
from zoo.core.capabilities import Explains, Rows
from zoo.core.plan import read_task, zoo_metadata
from zoo.core.run_folder import RunFolder, check_source
from zoo.core.run_store import RunStore
from zoo.core.task import Query
from zoo.prediction.inputs import names_of
from zoo.prediction.table_files import Cells, tables_of
from zoobase.errors import MissingError, UsageError
from zoobase.notebook import html_table

if TYPE_CHECKING:
    import keras

    from export.contract import Contract, Tensor
    from pipelines.dataset import Info
    from zoo.core.task import BaseTask, Prediction

BATCH = 4096  # rows of a table
Call = Callable[[str, Mapping[str, np.ndarray]], dict[str, np.ndarray]]


@dataclass(frozen=True)
class Predictor:
    """An opened model; see `load`.

    Attributes:
        task: Task of the model.
        info: Info of the dataset that it was trained on.
        contract: Its endpoints.
        call: (endpoint name, inputs by name, each with batch dimension) -> outputs by name.
        source: What was opened: a run, a bundle or a model.
        runtime: Where it runs.
    """

    task: BaseTask
    info: Info
    contract: Contract
    call: Call
    source: str = ""
    runtime: str = "keras"

    def __repr__(self) -> str:
        endpoints = ", ".join(self.endpoints)
        return f"Predictor({self.source!r}, {self.task.title}, {self.runtime}, endpoints: {endpoints})"

    def _repr_html_(self) -> str:
        def described(tensors: Sequence[Tensor]) -> str:
            shapes = ((t.name, t.dtype, str(tuple(t.shape)).replace("None", "B", 1)) for t in tensors)
            return ", ".join(" ".join(words) for words in shapes)

        rows = [(e.name, described(e.inputs), described(e.outputs)) for e in self.contract.endpoints]
        return html_table(repr(self), rows, ("endpoint", "inputs", "outputs"))

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The names of the endpoints that `call` takes."""
        return tuple(endpoint.name for endpoint in self.contract.endpoints)

    def check(self) -> None:
        """Raise MissingError if the task does not support prediction on single inputs."""
        if not self.task.accepts:
            raise MissingError(
                f"models for {self.task.title} do not support prediction on single inputs; try python -m zoo.sample"
            )

    def predict(self, inputs: Any, top_k: int = 3) -> list[Prediction]:
        """Predict on files, texts, arrays or rows.

        Args:
            inputs: One or several of

                - paths of files, also folders of images, for a task on files; texts for a task on texts,
                - arrays of the model's only input, such as uint8 pixels (H, W, C), or one of (N, H, W, C); for a model
                  of several inputs a dict of arrays (N, ...) by name,
                - rows of a table, as a dict or as JSON; columns as a dict or a data frame; a path of a .csv, .tsv or
                  .parquet file. None and NaN are missing cells.
            top_k: Number of ranked predictions.

        Returns:
            A prediction for each input: `rows` with labels and probabilities, `image`, and the raw `outputs`.

        Raises:
            MissingError: The task does not support prediction on single inputs.
            UsageError: An array of another shape, or what is none of the above.
            pipelines.DataError: A file is not an image; a cell is not of the kind of its column.

        Example:
            >>> predictor = load("fashion_mnist")
            >>> (prediction,) = predictor.predict(np.zeros((1, 28, 28, 1), np.uint8), top_k=1)
            >>> sorted(prediction.rows[0]), prediction.outputs["logits"].shape
            (['input', 'label', 'probability'], (10,))
        """
        self.check()
        if isinstance(self.task, Rows):
            return list(self._predict_tables(inputs, top_k))
        if isinstance(inputs, str | Path):
            inputs = [inputs]
        if isinstance(inputs, Mapping):
            inputs = [dict(zip(inputs, values, strict=True)) for values in zip(*inputs.values(), strict=True)]
        elif isinstance(inputs, np.ndarray) and inputs.dtype.kind in "biuf":
            inputs = inputs if _as_input(inputs, self._only_input) is None else [inputs]
        return [p for i, value in enumerate(inputs) for n in self._named(i, value) for p in self.explain([n], top_k)]

    def _predict_tables(self, inputs: Any, top_k: int) -> Iterator[Prediction]:
        for name, cells in tables_of(inputs, self.info):
            if isinstance(cells, str):
                yield from self.explain([(name, self.parse(cells))], top_k)
                continue
            predictions, remarks = self.predict_cells(cells, top_k, name, strict=True)
            for remark in remarks:
                storage.log.warning("%s", remark)
            yield from predictions

    def predict_cells(
        self, cells: Cells, top_k: int, name: str = "", strict: bool = False
    ) -> tuple[list[Prediction], list[str]]:
        """Return the predictions for the rows of a table, and sentences about what is unknown; see `Rows.read_rows`."""
        inputs, remarks = self.task.read_rows(cells, self.info, strict)
        count = len(next(iter(inputs.values())))
        rows = [(f"{name}{i + 1}", {key: values[i] for key, values in inputs.items()}) for i in range(count)]
        batches = (rows[start : start + BATCH] for start in range(0, count, BATCH))
        return [prediction for batch in batches for prediction in self.explain(batch, top_k)], remarks

    def _named(self, index: int, value: Any) -> Iterator[tuple[str, Mapping[str, np.ndarray]]]:
        """Yield the named inputs that a value of `predict` stands for: several for a folder."""
        if isinstance(value, str | Path):
            for name in names_of([str(value)], self.task.accepts == "images"):
                yield name, self.parse(name)
            return
        if isinstance(value, Mapping):
            yield str(index), value
            return
        if value is None or not np.ndim(value):
            raise UsageError(f"input {index} is {value!r}: it is neither a text, a path nor an array")
        tensor = self._only_input
        if (array := _as_input(np.asarray(value), tensor)) is None:
            raise UsageError(f"input {index} has the shape {np.shape(value)}: {tensor.name} is {tensor.shape[1:]}")
        yield str(index), {tensor.name: array}

    @property
    def _only_input(self) -> Tensor:
        tensors = self.contract["serving_default"].inputs
        if len(tensors) != 1:
            names = ", ".join(tensor.name for tensor in tensors)
            raise UsageError(f"the model takes {names}: give a dict of arrays by name")
        return tensors[0]

    def parse(self, argument: str) -> Mapping[str, np.ndarray]:
        """Return the inputs of `serving_default` for a file or a text, without batch dimension.

        Raises:
            pipelines.DataError: The file is not an image.
        """
        return self.task.parse(argument, self.contract["serving_default"], self.info)

    def explain(self, batch: Sequence[tuple[str, Mapping[str, np.ndarray]]], top_k: int) -> Iterator[Prediction]:
        """Yield the predictions for named inputs of `parse`, computed in one call if all have the same shapes."""
        if len({tuple(np.shape(value) for value in inputs.values()) for _, inputs in batch}) > 1:
            for one in batch:
                yield from self.explain([one], top_k)
            return
        arrays = {name: np.stack([inputs[name] for _, inputs in batch]) for name in batch[0][1]}
        outputs = self.call("serving_default", arrays)
        for i, (name, inputs) in enumerate(batch):
            one = {key: value[i] for key, value in outputs.items()}
            if isinstance(self.task, Explains):
                prediction = self.task.explain(Query(name, inputs, one, self.call, self.info, top_k, self.contract))
            else:
                prediction = self.task.show(name, one, self.info, top_k)
            yield dataclasses.replace(prediction, outputs=one)


def _as_input(array: np.ndarray, tensor: Tensor) -> np.ndarray | None:
    """Return one example of an input, a grey image also without its last dimension; None for another shape."""
    shape = tensor.shape[1:]
    array = array[..., None] if shape[-1:] == (1,) and array.ndim == len(shape) - 1 else array
    fits = len(shape) == array.ndim and all(s in (None, n) for s, n in zip(shape, array.shape, strict=True))
    return array if fits else None


def category_names(info: Info, path: Path) -> Info:
    """Return the dataset info with the class names of a JSON file {class: name}; other classes keep their names.

    Raises:
        MissingError: The file does not exist.
        UsageError: The file is not JSON of this form, or names none of the classes.
    """
    try:
        names = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MissingError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not JSON: {error}") from error
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        raise UsageError(f'{path} is not a JSON object of names, such as {{"21": "fire lily"}}')
    if not set(names) & set(info.class_names or ()):
        classes = ", ".join((info.class_names or ())[:3])
        raise UsageError(f"{path} names none of the classes of this model, which are {classes}, ...")
    return dataclasses.replace(info, class_names=tuple(names.get(name, name) for name in info.class_names))


def load(source: str | Path, runtime: str | None = None, served: str | None = None) -> Predictor:
    """Open a run, a bundle, or a model of the zoo with its shipped weights, for predictions in this process.

    Args:
        source: The folder; or the name of a model, if no folder has that name.
        runtime: "keras", "saved_model", "c_api" or "tflite"; None is keras for a run and saved_model for a bundle. For
            a run, the runtimes other than keras use the run's own bundle.
        served: Which of the task's served models to open, such as "a2b"; None is the first, or the one of the bundle.

    Raises:
        UsageError: Neither a run, a bundle of this zoo nor a model with weights; or there is no such served model.
        MissingError: The runtime needs a bundle, and the run has none.

    Example:
        >>> predictor = load("fashion_mnist")
        >>> predictor.endpoints
        ('serving_default', 'bytes')
        >>> predictor.info.class_names[:2]
        ('T-shirt/top', 'Trouser')
    """
    from zoo.core import environment

    path = Path(store.path if (store := RunStore.of(source)) else source)
    check_source(path)
    shipped = not path.exists() and str(path) in registry.entries()
    is_bundle = (path / "manifest.json").is_file()
    if not shipped and (is_bundle or runtime not in (None, "keras")):
        return _bundle(path if is_bundle else _bundle_of_run(path, served), runtime or "saved_model", served)
    environment.prepare()
    if shipped:
        return _shipped(str(path), runtime, served)
    run = RunFolder.open(path)
    return _live(str(path), run.plan().task, run.model(), run.info(), served)


def _bundle_of_run(path: Path, served: str | None) -> Path:
    """Return the bundle of a run for one of the task's served models."""
    bundles = sorted(p.parent for p in path.glob("bundle*/manifest.json"))
    if not bundles:
        raise MissingError(f"{path} has no bundle: python -m zoo.export {path} writes one")
    return next((b for b in bundles if served == zoo_metadata(b).get("served")), bundles[0])


def image_reader(name: str, image_shape: Sequence[int] | None) -> Callable[[Iterable[str | Path]], np.ndarray]:
    """See `zoo.preprocess`."""
    task, defaults = registry.get_spec(name).task, registry.get_entry(name).defaults
    if "image_shape" not in defaults or task.accepts != "images":
        raise UsageError(f"{name} ({task.title}) does not take images of one size")
    from pipelines import images

    shape = image_shape or defaults["image_shape"]
    return lambda paths: np.stack([images.read(path, *shape, task.fit) for path in paths])


def _shipped(name: str, runtime: str | None, served: str | None) -> Predictor:
    from zoo import weights

    if "default" not in registry.get_spec(name).weights:
        raise UsageError(f"{name} has no shipped weights: python -m zoo.train {name}, then use its run folder")
    if runtime not in (None, "keras"):
        raise UsageError(f"the shipped weights of {name} run in keras only; for {runtime}, name a run or a bundle")
    plan, model, info = weights.open_default(name)
    return _live(name, plan.task, model, info, served)


def _live(source: str, task: BaseTask, model: keras.Model, info: Info, served: str | None) -> Predictor:
    from zoo.evaluation import outputs

    every = task.served(model)
    _check_served(served, every)
    contract = task.contract(every[served or next(iter(every))], info)
    return Predictor(task, info, contract, outputs.caller(contract), source)


def _check_served(served: str | None, available: Iterable[str]) -> None:
    names = [name for name in available if name]
    if served is not None and served not in names:
        reason = f"this is {' and '.join(names)}" if names else "this model has one direction only"
        raise UsageError(f"{served} is not available: {reason}")


def _bundle(path: Path, runtime: str, served: str | None) -> Predictor:
    import export
    from zoo.core import environment
    from zoo.evaluation.outputs import cast_inputs

    if runtime != "tflite":
        environment.prepare()
    task, info = read_task(path)
    _check_served(served, [zoo_metadata(path).get("served")])
    loaded = export.load(path, runtime)

    def call(endpoint: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        if endpoint not in loaded and "encoded" in loaded and isinstance(task, Rows):  # TFLite has no strings
            endpoint, inputs = "encoded", task.encode_rows(inputs, info)
        return loaded[endpoint](**cast_inputs(loaded.contract[endpoint], inputs))

    return Predictor(task, info, loaded.contract, call, str(path), runtime)
