"""Images/s of `image_dataset_from_directory` and Keras' random layers, mapped in parallel.

Source: https://keras.io/examples/vision/image_classification_from_scratch/ (option 2, and its prefetch), with the
layers that our policy "photographs" has.
"""

import json
import os
import time

import keras
import tensorflow as tf

SIZE, BATCH, PASSES = 224, 32, 4


def main() -> dict[str, float]:
    """Feed all pictures again and again; return images a second, and CPU time an image, after the first pass."""
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
    sum(1 for _ in data)  # traces, fills the disk cache, starts workers
    began, used = time.perf_counter(), time.process_time()
    count = sum(len(labels) for _ in range(PASSES) for _, labels in data)
    seconds, used = time.perf_counter() - began, time.process_time() - used
    return {"value": count / seconds, "CPU ms an image": 1000 * used / count}


print(json.dumps(main()))
