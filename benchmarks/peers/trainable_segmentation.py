"""Mean IoU of scikit-image's trainable segmentation on `garment_scenes`: a random forest of local features of pixels.

    python -m benchmarks.peers.trainable_segmentation        # 9 minutes on one core beside other work, prints JSON

Source: https://scikit-image.org/docs/stable/auto_examples/segmentation/plot_trainable_segmentation.html, with its
features and 50 trees. Their depth is chosen on validation.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable

import numpy as np
from skimage.feature import multiscale_basic_features
from sklearn.ensemble import RandomForestClassifier

from pipelines.dataset import Info
from pipelines.feeding import Feed
from zoo.core.plan import make_plan
from zoo.evaluation import segmentation

IMAGES = 2000  # training scenes
PIXELS = 100  # pixels of each
DEPTHS = (10, 20, None)
CHOOSING = 200  # validation scenes by which the depth is chosen

Scenes = Iterable[tuple[np.ndarray, np.ndarray]]  # features (H, W, F), class ids (H, W)


def main() -> None:
    """Fit a forest for each depth, and print the scores of the best on the test split."""
    plan = make_plan("unet")
    dataset = plan.load_data()
    feed = functools.partial(plan.feed, dataset)
    random, rows, labels = np.random.default_rng(0), [], []
    for features, ids in scenes(feed("train").take(IMAGES)):
        chosen = random.choice(np.flatnonzero(ids.ravel() != segmentation.IGNORE), PIXELS, replace=False)
        rows.append(features.reshape(-1, features.shape[-1])[chosen])
        labels.append(ids.ravel()[chosen])
    x, y = np.concatenate(rows), np.concatenate(labels)
    forests = {
        depth: RandomForestClassifier(50, max_depth=depth, n_jobs=-1, random_state=0).fit(x, y) for depth in DEPTHS
    }
    validation = list(scenes(feed("validation").take(CHOOSING)))
    best = max(DEPTHS, key=lambda depth: scores(forests[depth], validation, dataset.info)["mean_iou"])
    print(json.dumps({"depth": best, **scores(forests[best], scenes(feed("test")), dataset.info)}))


def scenes(feed: Feed) -> Scenes:
    """Yield features and class ids of the scenes of a feed."""
    for image, ids, *_ in feed.batches(1, augmented=False).unbatch().as_numpy_iterator():
        yield multiscale_basic_features(image, edges=True, texture=True, sigma_max=16, channel_axis=-1), ids


def scores(forest: RandomForestClassifier, scenes: Scenes, info: Info) -> dict[str, float]:
    """Return mean IoU and pixel accuracy of a forest."""
    total = 0
    for features, ids in scenes:
        predicted = forest.predict(features.reshape(-1, features.shape[-1])).reshape(1, *ids.shape)
        total = total + segmentation.confusion(ids[None], predicted, len(info.class_names)).sum(axis=0)
    found = segmentation.scores(total, info.class_names)
    return {name: found[name] for name in ("mean_iou", "pixel_accuracy")}


if __name__ == "__main__":
    main()
