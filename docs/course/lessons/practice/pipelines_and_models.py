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


def overlapped(files: list[bytes], prefetch: bool, pause: float) -> float:
    """Return the seconds of an epoch in which the files come from a slow store, and a device computes.

    Both waits, of `pause` seconds a batch, stand for something that is not this processor: a disk or a network, and a
    GPU. While one of them is waited for, the other can be used, or not.
    """
    import tensorflow as tf

    def stored(batch: tf.Tensor) -> tf.Tensor:
        return tf.numpy_function(lambda values: (time.sleep(pause), values)[1], [batch], tf.string)

    dataset = tf.data.Dataset.from_tensor_slices(files).batch(16).map(stored).unbatch().map(decode).batch(16)
    options = tf.data.Options()
    options.experimental_optimization.apply_default_optimizations = False  # else TensorFlow reads ahead by itself
    dataset = (dataset.prefetch(2) if prefetch else dataset).with_options(options)
    return seconds(dataset, lambda batch: time.sleep(pause), 1)[0]


def _pipelines(page: Page) -> None:
    page.heading("Where prefetch, cache and parallel map pay")
    files, epochs = photographs(page.choose(256, 16)), page.choose(8, 3)
    page.text(
        f"""{len(files)} JPEG files of 384x384 pixels are decoded to {SIDE}x{SIDE}, in batches of 16. Left, reading
        only: a parallel map decodes several files at once, a cache keeps what was decoded, from the second epoch on.
        Right, the files come from a slow store, and a device that is not this processor computes with every batch
        (both are waits of twice the time that decoding takes): a prefetch fetches and decodes the next batch while
        the device computes. Where the processor itself does everything, there is nothing to overlap, and a prefetch
        gains nothing. By default TensorFlow makes a map parallel and adds a prefetch by itself; that is switched off
        on the right. The figures are those of the fastest epoch, on the left after the first one: other work on the
        machine can only slow an epoch down."""
    )
    pipelines = {name: data for name, data in pipelines_of(files).items() if "prefetch" not in name}
    reading = {name: seconds(data, lambda batch: None, epochs) for name, data in pipelines.items()}
    batches = len(files) / 16
    pause = 2 * min(reading["map"][1:]) / batches
    both: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(epochs):  # in turn, so that other work slows both down
        for prefetch, durations in both.items():
            durations.append(overlapped(files, prefetch, pause))
    fastest = {name: min(values[1:]) for name, values in reading.items()}
    waiting = {"no prefetch": min(both[False]), "prefetch": min(both[True])}
    rows = [(name, 1000 * values[0], 1000 * fastest[name]) for name, values in reading.items()]
    page.table(["reading only", "first epoch, ms", "fastest later epoch, ms"], rows)
    page.table(["with a slow store and a device", "fastest epoch, ms"], [(n, 1000 * v) for n, v in waiting.items()])
    figure, axes = axes_row(2, height=2.6, width=5.5)
    for cell, values, title in (
        (axes[0], fastest, "reading only"),
        (axes[1], waiting, "with a slow store and a device"),
    ):
        names = list(values)[::-1]
        cell.barh(names, [1000 * values[name] for name in names], color="C0")
        cell.set(title=title, xlabel="ms of an epoch")
    page.figure(
        figure, "pipelines", "Time of an epoch", data="crops of two photographs of scikit-learn", seeds="Seed 0"
    )
    if not page.small:  # which has one batch
        page.claim(
            waiting["prefetch"] < 0.75 * waiting["no prefetch"],
            f"With a slow store and a device, prefetching takes {waiting['prefetch'] / waiting['no prefetch']:.2f} "
            f"of the time "
            "(less than 0.75).",
        )
        page.claim(
            fastest["parallel map, cache"] < 0.5 * fastest["parallel map"],
            "From the second epoch on, a cache takes less than half of the time of decoding.",
        )
    page.text(
        """`pipelines.feed` does all three (`cache="memory"`, on disk, or none), and `python -m benchmarks` compares
        it with others."""
    )
    page.code(pipelines_of, overlapped)
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
