"""Tensors, shapes, models in four styles, and where prefetch, cache and parallel map pay."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from docs.course.page import Page, axes_row

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

SIDE = 128
FILTERS = {"filters": (8, 16), "depths": (1, 1)}
APIS = ("sequential", "functional", "subclassed")


def by_add(layers: Sequence[keras.layers.Layer]) -> keras.Model:
    """Return a model to which the layers are added one by one."""
    import keras

    model = keras.Sequential()
    model.add(keras.Input((28, 28, 1), name="image"))
    for layer in layers:
        model.add(layer)
    return model


def four_styles() -> dict[str, keras.Model]:
    """Return the same network as a list of layers, by `.add`, as a graph, and as a class."""
    import zoo

    models = {api: zoo.build("fashion_mnist", api=api) for api in APIS}
    copies = [type(layer).from_config(layer.get_config()) for layer in models["sequential"].layers]
    models["sequential, by .add"] = by_add(copies)
    for model in models.values():
        model.set_weights(models["sequential"].get_weights())
    return models


def photographs(count: int) -> list[bytes]:
    """Return JPEG files: squares of two photographs."""
    import tensorflow as tf
    from sklearn.datasets import load_sample_images

    pictures, random = load_sample_images().images, np.random.default_rng(0)
    corners = random.integers(0, (427 - 384, 640 - 384), (count, 2))
    squares = (pictures[i % 2][y : y + 384, x : x + 384] for i, (y, x) in enumerate(corners))
    return [tf.io.encode_jpeg(square).numpy() for square in squares]


def decode(file: tf.Tensor) -> tf.Tensor:
    """Return the pixels (128, 128, 3) of a JPEG file."""
    from pipelines import images

    return images.decode(file, SIDE, SIDE, 3)


def pipelines_of(files: list[bytes]) -> dict[str, tf.data.Dataset]:
    """Return five ways to feed the same files."""
    import tensorflow as tf

    source = tf.data.Dataset.from_tensor_slices(files)
    plain = source.map(decode)
    parallel = source.map(decode, num_parallel_calls=tf.data.AUTOTUNE)
    return {
        "map": plain.batch(16),
        "parallel map": parallel.batch(16),
        "parallel map, prefetch": parallel.batch(16).prefetch(tf.data.AUTOTUNE),
        "parallel map, cache": parallel.cache().batch(16),
        "parallel map, cache, prefetch": parallel.cache().batch(16).prefetch(tf.data.AUTOTUNE),
    }


def seconds(dataset: tf.data.Dataset, use: Callable[[Any], Any], epochs: int) -> list[float]:
    """Return how long each epoch takes in which `use` is called with every batch."""
    durations = []
    for _ in range(epochs):
        start = time.perf_counter()
        for batch in dataset:
            use(batch)
        durations.append(time.perf_counter() - start)
    return durations


def write(page: Page) -> None:
    """Measure and write the page."""
    _shapes(page)
    _styles(page)
    _pipelines(page)


def _shapes(page: Page) -> None:
    import zoo

    page.text(
        """A tensor is an array with a dtype and a shape. The first dimension of what a model takes is the batch. On its
        way from the file to the answer an image of `fashion_mnist` has these:"""
    )
    plan = page.plan("fashion_mnist", {"recipe.limit": page.choose(1000, 100)})
    dataset = page.dataset(plan)
    example = next(iter(dataset.train))
    images, labels = next(iter(plan.feed(dataset, "train").batches(32)))
    model = zoo.build("fashion_mnist", weights="default")
    features = zoo.build("fashion_mnist", weights="default", features_only=True)(images)
    tensors = {
        "example in the dataset: PNG bytes": example["image"],
        "its label": example["label"],
        "a batch of the feed": images,
        "labels of the batch": labels,
        **{f"feature maps, {name}": tensor for name, tensor in features.items()},
        "logits": model(images),
    }
    page.table(["", "dtype", "shape"], [(name, t.dtype.name, str(tuple(t.shape))) for name, t in tensors.items()])
    page.claim(
        tuple(images.shape) == (32, 28, 28, 1) and tuple(tensors["logits"].shape) == (32, 10),
        "A batch of 32 images (32, 28, 28, 1) becomes logits (32, 10).",
    )


def _styles(page: Page) -> None:
    page.heading("One network, four styles")
    page.text(
        """The builder of `fashion_mnist` takes `api`. *Sequential* is a list of layers, all at once or one by one with
        `.add`. *Functional* calls each layer on a tensor, which allows branches and several inputs. A *subclass* writes
        `call` itself, which allows anything Python can say; in turn, Keras no longer knows the graph."""
    )
    page.code(by_add)
    models = four_styles()
    images = np.random.default_rng(0).uniform(0, 255, (16, 28, 28, 1)).astype(np.float32)
    outputs = {name: np.asarray(model(images, training=False)) for name, model in models.items()}
    first = outputs["sequential"]
    rows = [
        (name, type(model).__name__, model.count_params(), float(np.abs(outputs[name] - first).max()))
        for name, model in models.items()
    ]
    page.table(["style", "class", "parameters", "largest difference of logits"], rows)
    page.claim(
        len({row[2] for row in rows}) == 1 and max(row[3] for row in rows) < 1e-5,
        f"With the same weights the four styles have {rows[0][2]:,} parameters each and the same logits (within 1e-5).",
    )
    page.command(*(f"python -m zoo.train fashion_mnist --api {api}" for api in APIS))


def _pipelines(page: Page) -> None:
    import keras

    import zoo

    page.heading("Where prefetch, cache and parallel map pay")
    files, epochs = photographs(page.choose(256, 16)), page.choose(4, 2)
    model = zoo.build("fashion_mnist", image_shape=(SIDE, SIDE, 3), **FILTERS)
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    labels = np.zeros(16, np.int64)
    model.train_on_batch(np.zeros((16, SIDE, SIDE, 3), np.float32), labels)  # builds the graph

    uses = {"reading only": lambda batch: None, "training": lambda batch: model.train_on_batch(batch, labels)}
    durations = {
        use: {name: seconds(d, function, epochs) for name, d in pipelines_of(files).items()}
        for use, function in uses.items()
    }
    page.text(
        f"""{len(files)} JPEG files of 384x384 pixels are decoded to {SIDE}x{SIDE}, in batches of 16. A parallel map
        decodes several files at once. A cache keeps what was decoded, from the second epoch on. A prefetch prepares
        the next batch while the model trains on this one, so it can only save time where there is something to do at
        the same time. Milliseconds an epoch:"""
    )
    rows = []
    for name in durations["training"]:
        milliseconds = [1000 * np.array(durations[use][name]) for use in uses]
        rows.append((name, *(round(float(v)) for m in milliseconds for v in (m[0], np.median(m[1:])))))
    page.table(["pipeline", "reading: first epoch", "later", "with training: first epoch", "later"], rows)
    figure, axes = axes_row(2, height=2.6, width=5.5)
    for cell, (use, values) in zip(axes, durations.items(), strict=True):
        names = list(values)[::-1]
        later = [np.array(values[name][1:]) * 1000 for name in names]
        middles = [np.median(v) for v in later]
        spread = [[m - v.min() for m, v in zip(middles, later, strict=True)]]
        spread.append([v.max() - m for m, v in zip(middles, later, strict=True)])
        cell.barh(names, middles, xerr=spread, color="C0", ecolor="grey")
        cell.set(title=f"{use}: ms an epoch, after the first")
    axes[1].set_yticklabels([])
    page.figure(figure, "pipelines", "Time of an epoch of five pipelines")
    page.text(
        """The times are those of one machine with other work on it, and no claim of this page. `pipelines.feed` does
        all three (`cache="memory"`, on disk, or none), and `python -m benchmarks` compares it with others on a quiet
        machine."""
    )
    page.code(pipelines_of)
    contents = {name: [batch.numpy() for batch in d] for name, d in pipelines_of(files[:16]).items()}
    page.claim(
        all(np.array_equal(a, b) for c in contents.values() for a, b in zip(c, contents["map"], strict=True)),
        "All five give the same batches in the same order.",
    )
    feed = page.plan("mnist", {"data": "digits", "recipe.limit": 100})
    feed = feed.feed(page.dataset(feed), "train")
    orders = [[int(y) for _, batch in feed.epochs(10, seed=0, start=e, stop=e + 1) for y in batch] for e in (0, 1, 1)]
    page.claim(
        orders[1] == orders[2] != orders[0] and sorted(orders[0]) == sorted(orders[1]),
        "The feed of the zoo shuffles each epoch differently, and epoch 1 is the same whenever it is asked for.",
    )
