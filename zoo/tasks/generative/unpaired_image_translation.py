"""Pictures of one kind into pictures of another and back, learned without pairs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.core.recipe import Recipe
from zoo.core.task import Evaluation
from zoo.tasks.generative.image_translation import SHOWN, WATCHED, ImageTranslation, rows_of

if TYPE_CHECKING:
    import keras
    import tensorflow as tf
    from matplotlib.figure import Figure

    from export.contract import Contract
    from pipelines.dataset import Dataset, Info
    from pipelines.feeding import Feed

WAYS = {"a2b": ("a", "b"), "b2a": ("b", "a")}  # direction -> what is given, what is made


@dataclass(frozen=True)
class UnpairedImageTranslation(ImageTranslation):
    """Translation both ways; two models are served, `a2b` and `b2a`, and each gets a bundle."""

    monitor = "val_frechet_distance"

    def examples(
        self, split: tf.data.Dataset, info: Info, recipe: Recipe, arguments: Mapping[str, Any], training: bool
    ) -> Feed:
        """Return ({"a", "b"}, each uint8 (H, W, C); both of them, uint8 (2, H, W, C), which the judge takes)."""
        import tensorflow as tf

        return self.both(split, info, recipe, training, lambda a, b: ({"a": a, "b": b}, tf.stack([a, b], axis=1)))

    def distances(self, info: Info) -> list[keras.metrics.Metric]:
        """Return the Frechet distance of each way."""
        from zoo.evaluation.generative_metrics import FrechetDistance
        from zoo.training.feature_extractor import feature_extractor_for

        judge = feature_extractor_for(self.shape(info))
        return [FrechetDistance(judge, name=f"frechet_{way}") for way in WAYS]

    def preview(self, model: keras.Model, validation: Feed, info: Info) -> Callable[[], np.ndarray]:
        """Return what draws rows of given, made and what comes back, from a on the left and from b on the right."""
        sides = {k: v.numpy() for k, v in next(iter(validation.take(WATCHED).batches(WATCHED)))[0].items()}

        def draw() -> np.ndarray:
            made = {k: np.asarray(v) for k, v in model(sides, training=False).items()}
            back = model(made, training=False)
            return rows_of(sides["a"], made["b"], back["a"], sides["b"], made["a"], back["b"])

        return draw

    def served(self, model: keras.Model) -> Mapping[str, keras.Model]:
        """Return both generators."""
        return {"a2b": model.a2b, "b2a": model.b2a}

    def contract(self, served: keras.Model, info: Info) -> Contract:
        """Return `serving_default`: a -> b, or b -> a, both (B, H, W, C) in [0, 255]."""
        return self.translator(served, info, WAYS[served.name])

    def metrics(self, outputs: Mapping[str, np.ndarray], truth: np.ndarray, info: Info) -> dict[str, Any]:
        """Return the Frechet distance from real pictures of what was made, for each way that `outputs` has."""
        from zoo.evaluation.generative_metrics import collect, distance_of
        from zoo.training.feature_extractor import feature_extractor_for

        look = feature_extractor_for(self.shape(info)).features
        return {
            f"frechet_distance_{way}": distance_of(
                collect(look, truth[:, "ab".index(made)]), collect(look, outputs[made])
            )
            for way, (_, made) in WAYS.items()
            if made in outputs
        }

    def evaluate_extra(
        self, evaluation: Evaluation, contract: Contract, dataset: Dataset, feed: Callable[[str], Feed]
    ) -> Evaluation:
        """Put the distances between floor and ceiling in one table, and see what comes back of a picture.

        The floor are halves of the real pictures, the ceiling is what was given, not translated. The metrics get, for
        each way, `precision`, `recall`, `frechet_to_input` (a share of the ceiling) and `cycle_error` (the mean
        absolute difference between what was given and what comes back, of pixels in [0, 1]), and `compared`. A judge
        who knows classes also says how many pictures it takes for what most of the real ones are: `taken_for_target`.
        """
        from zoo.evaluation.generative_metrics import collect, compare_sets, taken_for
        from zoo.training.feature_extractor import feature_extractor_for

        judge = feature_extractor_for(self.shape(dataset.info))
        extra: dict[str, Any] = {}
        compared: dict[str, dict[str, float]] = {}
        found: dict[str, np.ndarray] = {}
        for (way, (given, made)), back in zip(WAYS.items(), reversed(WAYS), strict=True):
            inputs, outputs, real = evaluation.inputs[given], evaluation.outputs[made], evaluation.inputs[made]
            rows = compare_sets(judge, real, outputs, {"untranslated": inputs})
            if judge.classify is not None:
                for name, images in (("this model", outputs), ("real halves", real), ("untranslated", inputs)):
                    rows[name]["taken_for_target"] = taken_for(judge, real, images)
            compared |= {f"{way}: {name}": row for name, row in rows.items()}
            ours, ceiling = rows["this model"], rows["untranslated"]["frechet_distance"]
            found[way] = collect(lambda x, b=back, m=made, g=given: contract[b].call({m: x})[g], outputs, batch=50)
            extra |= {
                f"precision_{way}": ours["precision"],
                f"recall_{way}": ours["recall"],
                f"frechet_to_input_{way}": ours["frechet_distance"] / ceiling,
                **({f"taken_for_target_{way}": ours["taken_for_target"]} if "taken_for_target" in ours else {}),
                f"cycle_error_{way}": float(np.abs(found[way] - inputs).mean() / 255),
            }
        metrics = {**evaluation.metrics, **extra, "judge": judge.name, "compared": compared}
        return dataclasses.replace(evaluation, metrics=metrics, arrays=found)

    def figures(self, evaluation: Evaluation) -> Iterator[tuple[str, Figure]]:
        """Yield held-out pictures, what they became, and what came back, for each way."""
        from zoo.evaluation import plots

        for way, (given, made) in WAYS.items():
            rows = {"given": evaluation.inputs[given], "made": evaluation.outputs[made]}
            rows |= {"back again": evaluation.arrays[way]} if way in evaluation.arrays else {}
            yield way, plots.image_rows({k: v[:SHOWN] for k, v in rows.items()}, f"Held-out pictures, {way}")
