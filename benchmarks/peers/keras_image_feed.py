"""Images/s of `image_dataset_from_directory` and Keras' random layers, mapped in parallel.

Source: https://keras.io/examples/vision/image_classification_from_scratch/ (option 2, with prefetch), with the layers
that correspond to our policy "photographs".
"""

import json
import os

import keras
import tensorflow as tf

from benchmarks.timing.feeding import BATCH, SIZE, measure_feed


def main() -> dict[str, float]:
    """Feed all images repeatedly."""
    layers = [
        keras.layers.RandomFlip("horizontal"),
        keras.layers.RandomRotation(15 / 360),
        keras.layers.RandomTranslation(0.1, 0.1),
        keras.layers.RandomShear(0.05, 0.05),
        keras.layers.RandomZoom(0.15),
        keras.layers.RandomBrightness(0.1),
        keras.layers.RandomContrast(0.2),
    ]
    folder = os.path.join(os.environ["BENCHMARK_DATA"], "photographs")
    data = keras.utils.image_dataset_from_directory(
        folder, image_size=(SIZE, SIZE), batch_size=BATCH, crop_to_aspect_ratio=True, verbose=False
    )

    def augment(images):
        for layer in layers:
            images = layer(images, training=True)
        return images

    data = data.map(lambda images, labels: (augment(images), labels), tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
    return measure_feed(iter(data.repeat()), len(data))


print(json.dumps(main()))
