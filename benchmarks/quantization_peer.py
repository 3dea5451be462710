"""Train one network in float and with quantization, here or by tensorflow_model_optimization, and run the int8 file.

`python quantization_peer.py ours|tfmot DATA.npz SEED EPOCHS` prints one line of JSON. It runs in a process of its own,
because tf_keras takes the place of Keras 3 in TensorFlow.
"""

import contextlib
import json
import statistics
import sys
import tempfile
import time
from typing import Any

import numpy as np


def network(keras: Any) -> Any:
    """Return a network of two convolutions with batch normalisation, for images (B, 28, 28, 1) in [0, 1]."""
    image = x = keras.layers.Input((28, 28, 1))
    for filters in (16, 32):
        x = keras.layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        x = keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.9)(x))
        x = keras.layers.MaxPooling2D(2)(x)
    return keras.Model(image, keras.layers.Dense(10)(keras.layers.Flatten()(x)))


def fit(keras: Any, model: Any, x: np.ndarray, y: np.ndarray, epochs: int, callbacks: tuple = ()) -> float:
    """Train a model; return the median seconds of an epoch after the first."""
    seconds: list[float] = []

    class Clock(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.start = time.monotonic()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            seconds.append(time.monotonic() - self.start)

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(2e-3), loss, jit_compile=False)
    with contextlib.ExitStack() as stack:
        if keras.__version__.startswith("3"):
            from zoo.modeling.instance_methods import fused

            stack.enter_context(fused(model))  # as `zoo.train` does
        model.fit(x, y, epochs=epochs, batch_size=64, verbose=0, callbacks=[*callbacks, Clock()])
    return statistics.median(seconds[1:])


def int8_accuracy(tf: Any, model: Any, x: np.ndarray, y: np.ndarray) -> float:
    """Return the accuracy of the int8 file in LiteRT."""
    from ai_edge_litert.interpreter import Interpreter

    specs = tf.TensorSpec((1, 28, 28, 1), "float32")
    with tempfile.TemporaryDirectory() as folder:
        if model.__class__.__module__.startswith("keras"):
            model.export(folder, verbose=False, input_signature=[specs])
        else:
            call = tf.function(lambda rows: model(rows, training=False), input_signature=[specs])
            tf.saved_model.save(model, folder, signatures=call.get_concrete_function())
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        file = converter.convert()
    interpreter = Interpreter(model_content=file, num_threads=1)
    interpreter.allocate_tensors()
    (first,), (last,) = interpreter.get_input_details(), interpreter.get_output_details()
    right = 0
    for image, label in zip(x, y, strict=True):
        interpreter.set_tensor(first["index"], image[None])
        interpreter.invoke()
        right += int(interpreter.get_tensor(last["index"])[0].argmax() == label)
    return right / len(y)


def main(library: str, data: str, seed: int, epochs: int) -> dict[str, Any]:
    """Return accuracy and seconds."""
    import tensorflow as tf

    with np.load(data) as arrays:
        x, y, test_x, test_y = (arrays[k] for k in ("train_x", "train_y", "test_x", "test_y"))
    x, test_x = (np.float32(v) / 255 for v in (x, test_x))
    if library == "tfmot":
        import tensorflow_model_optimization as tfmot
        import tf_keras as keras
    else:
        import keras
    keras.utils.set_random_seed(seed)
    plain = network(keras)
    float_seconds = fit(keras, plain, x, y, 3)
    keras.utils.set_random_seed(seed)
    model = network(keras)
    if library == "tfmot":
        trained = served = tfmot.quantization.keras.quantize_model(model)
        seconds = fit(keras, trained, x, y, epochs)
    else:
        from zoo.compression.quantization import FreezeRanges, quantize, ranges_of, round_weights, simulate

        trained = quantize(model, "int8")
        seconds = fit(keras, trained, x, y, epochs, (FreezeRanges(epochs),))
        round_weights(trained)
        served = simulate(model, ranges_of(trained))
    accuracy = int8_accuracy(tf, served, test_x, test_y)
    return {"accuracy": accuracy, "seconds": round(seconds, 3), "float_seconds": round(float_seconds, 3)}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))))
