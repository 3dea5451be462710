"""The text of a line in an image, by connectionist temporal classification (Graves 2006)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

import pipelines
from pipelines.text import words
from zoo.core.recipe import Recipe
from zoo.core.task import Prediction, SplitEvaluation
from zoo.tasks.classifier import softmax
from zoo.tasks.image.base import ImageTask
from zoobase.errors import UsageError

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from export.contract import Contract
    from pipelines.dataset import Dataset, Info
    from pipelines.feeding import Feed

BLANK = ""  # class 0
STEP = 8  # pixels of a step of the output


@dataclass(frozen=True)
class TextRecognition(ImageTask):
    """Text of lines; the model returns `logits` (B, W / 8, characters), of which class 0 is the blank of CTC."""

    fit: str = "pad"
    # characters: "pretrained", those of its weights, or "texts", those of the training lines, with which no weights fit
    vocabulary: Literal["pretrained", "texts"] = "pretrained"

    title = "text recognition"
    required_features = ("image", "text")

    def prepare(self, dataset: Dataset) -> Dataset:
        """Return the dataset with the characters, and the number of those of its longest line."""
        lines = [row["text"].decode() for part in dataset.info.counts for row in dataset[part].as_numpy_iterator()]
        if self.vocabulary == "texts":
            characters = (
                BLANK,
                *sorted({c for row in dataset.train.as_numpy_iterator() for c in row["text"].decode()}),
            )
        else:
            from zoo import weights

            characters = tuple(weights.description("text_recognition")["info"]["vocabulary"])
        longest = max(map(len, lines))
        if longest > self.shape(dataset.info)[1] // STEP:
            raise UsageError(f"a line has {longest} characters: set task.width to {2 * STEP * longest} or more")
        statistics = {**dataset.info.statistics, "longest": longest}
        return dataclasses.replace(
            dataset, info=dataclasses.replace(dataset.info, vocabulary=characters, statistics=statistics)
        )

    def model_args(self, info: Info) -> dict[str, Any]:
        """Return the number of characters, the blank included, and the shape of the images."""
        return {"num_classes": len(info.vocabulary), **super().model_args(info)}

    def examples(
        self, split: tf.data.Dataset, info: Info, recipe: Recipe, arguments: Mapping[str, Any], training: bool
    ) -> Feed:
        """Return (pixels uint8 (H, W, C), classes of the characters int32 (longest,), padded with 0)."""
        import tensorflow as tf

        find, longest = words.finder(info.vocabulary, missing=0), info.statistics["longest"]

        def decode(example: Mapping[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
            ids = find(tf.strings.unicode_split(example["text"], "UTF-8"))
            ids = tf.boolean_mask(ids, ids > 0)[:longest]  # without characters that the model does not have
            return self.preprocess(example["image"], info), tf.pad(ids, [[0, longest - tf.size(ids)]])

        return pipelines.feed(split, decode=decode)

    def compile_arguments(self, model: keras.Model, recipe: Recipe, info: Info) -> dict[str, Any]:
        """Return the loss of CTC."""
        import keras

        return {"loss": keras.losses.CTC()}

    def contract(self, served: keras.Model, info: Info) -> Contract:
        """Return `serving_default` (pixels -> logits) and `bytes` (encoded images -> logits)."""
        from export.contract import Contract, Tensor
        from export.contract.endpoints import bytes_endpoint, tensor_endpoint

        shape = (None, self.shape(info)[1] // STEP, len(info.vocabulary))
        pixels = tensor_endpoint(served, [self.tensor(info)], [Tensor("logits", "float32", shape)])
        return Contract((pixels, bytes_endpoint(pixels, lambda image: self.preprocess(image, info))))

    def reduce(self, batch: SplitEvaluation) -> SplitEvaluation:
        """Return the edit distance of each line to its text, and the number of characters of that, (N,) each."""
        from zoo.evaluation.sequence_metrics import token_errors

        read, true = ([list(map(str, row)) for row in rows] for rows in (_read(batch.outputs["logits"]), batch.truth))
        true = [[number for number in row if number != "0"] for row in true]
        errors, characters = token_errors(range(len(true)), read, true)
        return dataclasses.replace(batch, inputs={}, outputs={"errors": errors, "characters": characters})

    def metrics(self, outputs: Mapping[str, np.ndarray], truth: np.ndarray, info: Info) -> dict[str, Any]:
        """Return the character error rate, and the share of lines without an error, of what `reduce` keeps."""
        errors, characters = outputs["errors"], outputs["characters"]
        return {
            "character_error_rate": float(errors.sum() / characters.sum()),
            "lines_right": float(np.mean(errors == 0)),
        }

    def show(self, argument: str, outputs: Mapping[str, np.ndarray], info: Info, top_k: int) -> Prediction:
        """Return the text, and the mean probability of its characters."""
        logits = outputs["logits"]
        (classes,), probabilities = _read(logits[None]), softmax(logits).max(axis=-1)
        text = "".join(info.vocabulary[number] for number in classes)
        score = float(probabilities[logits.argmax(axis=-1) > 0].mean()) if classes else 0.0
        row = {"input": argument, "text": text, "probability": round(score, 6)}
        return Prediction(lines=(f"{text}  ({score:.1%})",), rows=(row,))


def _read(logits: np.ndarray) -> list[Sequence[int]]:
    """Return the classes of each line of logits (B, T, C): the best of each step, without repetitions and blanks."""
    best = logits.argmax(axis=-1)
    changes = np.diff(best, axis=-1, prepend=0) != 0
    return [row[kept].tolist() for row, kept in zip(best, changes & (best > 0), strict=True)]
