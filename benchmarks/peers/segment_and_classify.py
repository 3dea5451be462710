"""Mean IoU on `garment_scenes` without a network: segment the foreground, then classify each region.

    python -m benchmarks.peers.segment_and_classify        # 9 minutes beside other work, prints JSON

scikit-image's local features and a random forest say which pixels are not photograph; neighbouring ones of similar
colour are a region; the pixels of a region at 28x28 go to scikit-learn's SVC, which is fitted to regions of the
training masks. How similar, and the penalty of the SVC, are chosen on validation.
"""

import functools
import json
from collections.abc import Iterable, Iterator

import cv2
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from skimage.feature import multiscale_basic_features
from sklearn.ensemble import RandomForestClassifier

from pipelines.feeding import Feed
from zoo.core.plan import make_plan
from zoo.evaluation import segmentation
from zoo.evaluation.image_baselines import best_svc

FOREGROUND = 400  # training scenes of the forest
PIXELS = 100  # pixels of each
REGIONS = 2000  # training scenes whose regions the SVC learns
CHOOSING = 100  # validation scenes
# largest difference of the colours, as shares of their sum, within a region
SIMILAR = (0.005, 0.01, 0.02, 0.05, np.inf)
SMALLEST = 30  # pixels of a region
SIDE = 28

Scene = tuple[np.ndarray, np.ndarray]  # image (H, W, 3), class ids (H, W)


def main() -> None:
    """Fit the forest and the SVC, and print the scores of the test split."""
    plan = make_plan("unet")
    dataset = plan.load_data()
    feed = functools.partial(plan.feed, dataset)
    forest = fit_foreground(scenes(feed("train").take(FOREGROUND)))
    training, validation = (true_regions(scenes(feed(s).take(REGIONS))) for s in ("train", "validation"))
    svc = best_svc(training, validation)

    def score(split: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]], similar: float) -> dict[str, float]:
        total = 0
        for image, ids, foreground in split:
            predicted = np.zeros_like(ids)
            for region in regions(colours(image), foreground, similar):
                predicted[region] = svc.predict(crop(image, region)[None])[0]
            total = total + segmentation.confusion(ids[None], predicted[None], len(dataset.info.class_names)).sum(0)
        found = segmentation.scores(total, dataset.info.class_names)
        return {name: found[name] for name in ("mean_iou", "pixel_accuracy", "mean_dice")}

    choosing = list(with_foreground(forest, scenes(feed("validation").take(CHOOSING))))
    similar = max(SIMILAR, key=lambda value: score(choosing, value)["mean_iou"])
    result = score(with_foreground(forest, scenes(feed("test"))), similar)
    print(json.dumps({"similar": similar, "penalty": svc.C, "regions": len(training[0]), **result}))


def scenes(feed: Feed) -> Iterator[Scene]:
    """Yield images and class ids of a feed."""
    for image, ids, *_ in feed.batches(1, augmented=False).unbatch().as_numpy_iterator():
        yield image, ids.astype(np.int64)


def features(image: np.ndarray) -> np.ndarray:
    """Return local features of the pixels (H * W, F): of the colours and of their shares of the sum."""
    channels = np.concatenate([image / 255.0, colours(image)], axis=-1)
    local = multiscale_basic_features(channels, edges=True, texture=False, sigma_max=8, channel_axis=-1)
    return local.reshape(-1, local.shape[-1])


def colours(image: np.ndarray) -> np.ndarray:
    """Return the share of each colour in the sum, without noise: a garment has one tint, light or dark."""
    smooth = cv2.medianBlur(image.astype(np.uint8), 3).astype(np.float32) + 4.0
    return smooth / smooth.sum(axis=-1, keepdims=True)


def fit_foreground(training: Iterable[Scene]) -> RandomForestClassifier:
    """Fit a forest to random pixels: 1 where there is a garment."""
    random, rows, labels = np.random.default_rng(0), [], []
    for image, ids in training:
        chosen = random.choice(ids.size, PIXELS, replace=False)
        rows.append(features(image)[chosen])
        labels.append(ids.ravel()[chosen] > 0)
    return RandomForestClassifier(25, min_samples_leaf=5, random_state=0).fit(
        np.concatenate(rows), np.concatenate(labels)
    )


def with_foreground(forest: RandomForestClassifier, split: Iterable[Scene]) -> Iterator[tuple]:
    """Yield image, class ids and foreground (H, W) bool."""
    for image, ids in split:
        yield image, ids, forest.predict(features(image)).reshape(ids.shape)


def regions(tint: np.ndarray, foreground: np.ndarray, similar: float) -> Iterator[np.ndarray]:
    """Yield the masks (H, W) of connected pixels of the foreground whose neighbours have similar colours."""
    number, edges = np.arange(foreground.size).reshape(foreground.shape), []
    for a, b in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        joined = foreground[a] & foreground[b] & (np.abs(tint[a] - tint[b]).max(axis=-1) < similar)
        edges.append(np.stack([number[a][joined], number[b][joined]]))
    rows, columns = np.concatenate(edges, axis=1)
    graph = coo_array((np.ones(len(rows)), (rows, columns)), shape=(foreground.size, foreground.size))
    labels = connected_components(graph, directed=False)[1]
    for label in np.flatnonzero(np.bincount(labels) >= SMALLEST):
        yield (labels == label).reshape(foreground.shape)


def crop(image: np.ndarray, region: np.ndarray) -> np.ndarray:
    """Return the pixels of a region, grey and as bright as possible, in a square of 28x28: (784,) in [0, 1]."""
    rows, columns = (np.flatnonzero(region.any(axis=axis)) for axis in (1, 0))
    grey = image.max(axis=-1).astype(np.float32) * region
    cut = grey[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = cut.shape
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    square = cv2.copyMakeBorder(cut, top, side - height - top, left, side - width - left, cv2.BORDER_CONSTANT)
    small = cv2.resize(square, (SIDE, SIDE), interpolation=cv2.INTER_AREA).ravel()
    return small / max(float(small.max()), 1.0)


def true_regions(split: Iterable[Scene]) -> tuple[np.ndarray, np.ndarray]:
    """Return crops (N, 784) and class ids (N,) of the regions of true masks."""
    rows, labels = [], []
    for image, ids in split:
        for label in np.unique(ids[ids > 0]):
            mask = ids == label
            for region in regions(colours(image), mask, SIMILAR[-1]):
                rows.append(crop(image, region))
                labels.append(label)
    return np.stack(rows), np.array(labels)


if __name__ == "__main__":
    main()
