"""Unpaired image to image translation in both directions."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.core.recipe import Recipe
from zoo.core.task import SplitEvaluation
from zoo.tasks.generative.image_translation import PREVIEWED, SHOWN, ImageTranslation, image_columns

if TYPE_CHECKING:
    import keras
    import tensorflow as tf
    from matplotlib.figure import Figure

    from export.contract import Contract
    from pipelines.dataset import Dataset, Info
    from pipelines.feeding import Feed

DOMAINS = {"a2b": ("a", "b"), "b2a": ("b", "a")}  # direction -> source and target domain


@dataclass(frozen=True)
class UnpairedImageTranslation(ImageTranslation):
    """Translation in both directions; two models are served, `a2b` and `b2a`, each with its own bundle."""

    monitor = "val_frechet_distance"

    def examples(
        self, split: tf.data.Dataset, info: Info, recipe: Recipe, arguments: Mapping[str, Any], training: bool
    ) -> Feed:
        """Return ({"a", "b"}, each uint8 (H, W, C); both of them, uint8 (2, H, W, C), for the metrics)."""
        import tensorflow as tf

        return self.pair_feed(split, info, recipe, training, lambda a, b: ({"a": a, "b": b}, tf.stack([a, b], axis=1)))

    def distances(self, info: Info) -> list[keras.metrics.Metric]:
        """Return the Frechet distance of each direction."""
        from zoo.evaluation.generative_metrics import FrechetDistance, feature_extractor_for

        extractor = feature_extractor_for(info, self.shape(info))
        return [FrechetDistance(extractor, name=f"frechet_{direction}") for direction in DOMAINS]

    def preview(self, model: keras.Model, validation: Feed, info: Info) -> Callable[[], np.ndarray]:
        """Return a function that draws rows of input, translation and reconstruction, first of a, then of b."""
        inputs = {k: v.numpy() for k, v in next(iter(validation.take(PREVIEWED).batches(PREVIEWED)))[0].items()}

        def draw() -> np.ndarray:
            fakes = {k: np.asarray(v) for k, v in model(inputs, training=False).items()}
            cycles = model(fakes, training=False)
            return image_columns(inputs["a"], fakes["b"], cycles["a"], inputs["b"], fakes["a"], cycles["b"])

        return draw

    def served(self, model: keras.Model) -> Mapping[str, keras.Model]:
        """Return both generators."""
        return {"a2b": model.a2b, "b2a": model.b2a}

    def contract(self, served: keras.Model, info: Info) -> Contract:
        """Return `serving_default`: a -> b, or b -> a, both (B, H, W, C) in [0, 255]."""
        return self.translation_contract(served, info, DOMAINS[served.name])

    def metrics(self, outputs: Mapping[str, np.ndarray], truth: np.ndarray, info: Info) -> dict[str, Any]:
        """Return the Frechet distance of translated and real images, for each direction in `outputs`."""
        from zoo.evaluation.generative_metrics import feature_distance

        features = self.per_example(outputs, truth, info)
        return {
            f"frechet_distance_{direction}": feature_distance(features[f"real {target}"], features[f"made {target}"])
            for direction, (_, target) in DOMAINS.items()
            if f"made {target}" in features
        }

    def per_example(self, outputs: Mapping[str, np.ndarray], truth: np.ndarray, info: Info) -> Mapping[str, np.ndarray]:
        """Return the features (N, D) of the real and of the translated images of each domain in `outputs`."""
        from zoo.evaluation.generative_metrics import collect, feature_extractor_for

        if not {"a", "b"} & outputs.keys():
            return outputs
        features = feature_extractor_for(info, self.shape(info)).features
        real = {f"real {name}": collect(features, truth[:, "ab".index(name)]) for name in "ab" if name in outputs}
        return real | {f"made {name}": collect(features, outputs[name]) for name in "ab" if name in outputs}

    def evaluate_extra(
        self, evaluation: SplitEvaluation, contract: Contract, dataset: Dataset, feed: Callable[[str], Feed]
    ) -> SplitEvaluation:
        """Add bounds of the distances in one table, precision and recall, and the cycle error."""
        # The lower bound is the distance of two halves of the real images, the upper bound that of the untranslated
        # input. The metrics are, for each direction, `precision`, `recall`, `frechet_to_input` (relative to the upper
        # bound) and `cycle_error` (the mean absolute difference of input and reconstruction, of pixels in [0, 1]), and
        # `compared`. If the feature extractor has classes, `taken_for_target` is the fraction of images that are
        # classified as the most frequent class of the target domain.
        from zoo.evaluation import generative_metrics
        from zoo.evaluation.generative_metrics import collect

        extractor = generative_metrics.feature_extractor_for(dataset.info, self.shape(dataset.info))
        extra: dict[str, Any] = {}
        compared: dict[str, dict[str, float]] = {}
        cycles: dict[str, np.ndarray] = {}
        for (direction, (source, target)), inverse in zip(DOMAINS.items(), reversed(DOMAINS), strict=True):
            inputs, outputs, real = evaluation.inputs[source], evaluation.outputs[target], evaluation.inputs[target]
            rows = generative_metrics.compare_sets(extractor, real, outputs, {"untranslated": inputs})
            if extractor.classify is not None:
                for name, images in (
                    ("this model", outputs),
                    (generative_metrics.REAL_HALVES, real),
                    ("untranslated", inputs),
                ):
                    rows[name]["taken_for_target"] = generative_metrics.target_class_share(extractor, real, images)
            compared |= {f"{direction}: {name}": row for name, row in rows.items()}
            row, upper_bound = rows["this model"], rows["untranslated"]["frechet_distance"]
            endpoint = contract[inverse]
            cycles[direction] = collect(lambda x, e=endpoint, t=target, s=source: e.call({t: x})[s], outputs, batch=50)
            extra |= {
                f"precision_{direction}": row["precision"],
                f"recall_{direction}": row["recall"],
                f"frechet_to_input_{direction}": row["frechet_distance"] / upper_bound,
                **({f"taken_for_target_{direction}": row["taken_for_target"]} if "taken_for_target" in row else {}),
                f"cycle_error_{direction}": float(np.abs(cycles[direction] - inputs).mean() / 255),
            }
        metrics = {**evaluation.metrics, **extra, "feature_extractor": extractor.name, "compared": compared}
        return dataclasses.replace(evaluation, metrics=metrics, arrays=cycles)

    def figures(self, evaluation: SplitEvaluation) -> Iterator[tuple[str, Figure]]:
        """Yield held-out images, what they became, and what came back, for each way."""
        from zoo.evaluation import plots

        for way, (given, made) in DOMAINS.items():
            rows = {"given": evaluation.inputs[given], "made": evaluation.outputs[made]}
            rows |= {"back again": evaluation.arrays[way]} if way in evaluation.arrays else {}
            yield way, plots.image_rows({k: v[:SHOWN] for k, v in rows.items()}, f"Held-out images, {way}")
