"""python -m tests.export.faults: put more than sixty faults into bundles, and write which check finds each one.

The table is docs/concepts/faults.md. Every fault is one change of a clean bundle: of the function in its SavedModel, of
a weight, of a converted file, or of its folder; it is sealed again, so that no checksum finds it.
"""

import dataclasses
import json
import shutil
import tempfile
import zipfile
from pathlib import Path

import keras
import numpy as np

from export import export_model, infer_contract, verify_bundle
from export.formats.saved_model import save
from export.proof.certificate import FAIL, RESERVED
from export.proof.structure import RUNTIME, WHOLE
from export.runtime.backend import load_tensorflow
from tests.export.conftest import reseal
from tests.export.formats.test_tflite_metadata import normalized_twice, reverse_labels, rewritten
from zoobase.files import write_atomic

tf = load_tensorflow()
PAGE = Path(__file__).parents[2] / "docs/concepts/faults.md"
FORMATS = ("keras", "hdf5", "weights", "saved_model", "tflite", "onnx")
TFLITE = "tflite/float32.tflite"
CALLS = tf.Variable(0, name="calls")


def image_model(**changes):
    settings = {"epsilon": 1e-3, "activation": "relu", "padding": "same", "pool": "Max", "scale": 1 / 255} | changes
    keras.utils.set_random_seed(0)
    image = keras.Input((12, 12, 3), name="image")
    x = keras.layers.Rescaling(settings["scale"])(image)
    x = keras.layers.Conv2D(8, 3, padding=settings["padding"], activation=settings["activation"])(x)
    x = keras.layers.BatchNormalization(epsilon=settings["epsilon"])(x)
    x = getattr(keras.layers, f"{settings['pool']}Pooling2D")(2)(x)
    x = keras.layers.Dropout(0.3)(keras.layers.GlobalAveragePooling2D()(x))
    model = keras.Model(image, keras.layers.Dense(5, name="logits")(x), name="classifier")
    rng = np.random.default_rng(0)
    for weight in model.weights:
        noise = rng.normal(0, 0.2, weight.shape)
        weight.assign_add(np.abs(noise) if "variance" in weight.name else noise)
    return model


def _where(condition):
    """Return a fault that adds one to the logits of the rows, or of all, for which a condition holds."""
    return lambda y, x: tf.where(condition(x), y + 1.0, y)


def _rows(condition):
    return _where(lambda x: condition(tf.reshape(x, [tf.shape(x)[0], -1]))[:, None])


def _counted(y, x):
    return tf.where(CALLS.assign_add(1) > 10**6, y + 1.0, y)


def _counting(y, x):
    CALLS.assign_add(1)
    return y


# What the function of the SavedModel does with the logits y (B, 5) of the images x (B, 12, 12, 3).
OUTPUTS = {
    "scaled by 1.001": lambda y, x: y * 1.001,
    "scaled by 1.0001": lambda y, x: y * 1.0001,
    "scaled by 1 + 2e-7": lambda y, x: tf.cast(tf.cast(y, tf.float64) * 1.0000002, tf.float32),
    "0.001 is added": lambda y, x: y + 1e-3,
    "softmax is applied": lambda y, x: tf.nn.softmax(y),
    "classes in another order": lambda y, x: tf.roll(y, 1, 1),
    "clipped at 3": lambda y, x: tf.clip_by_value(y, -3.0, 3.0),
    "clipped at 1000": lambda y, x: tf.clip_by_value(y, -1000.0, 1000.0),
    "negative logits are zero": lambda y, x: tf.nn.relu(y),
    "rounded to float16": lambda y, x: tf.cast(tf.cast(y, tf.float16), tf.float32),
    "rounded to bfloat16": lambda y, x: tf.cast(tf.cast(y, tf.bfloat16), tf.float32),
    "rounded to three decimals": lambda y, x: tf.round(y * 1000) / 1000,
    "mean of the batch subtracted": lambda y, x: y - tf.reduce_mean(y, 0),
    "one percent of the next row": lambda y, x: 0.99 * y + 0.01 * tf.roll(y, 1, 0),
    "the last row of batches above 32": lambda y, x: tf.where(
        ((tf.range(tf.shape(y)[0]) == tf.shape(y)[0] - 1) & (tf.shape(y)[0] > 32))[:, None], y + 1.0, y
    ),
    "row 13": lambda y, x: tf.where((tf.range(tf.shape(y)[0]) == 13)[:, None], y + 1.0, y),
    "row 50": lambda y, x: tf.where((tf.range(tf.shape(y)[0]) == 50)[:, None], y + 1.0, y),
    "row 900": lambda y, x: tf.where((tf.range(tf.shape(y)[0]) == 900)[:, None], y + 1.0, y),
    "batches of 16": _where(lambda x: tf.shape(x)[0] == 16),
    "batches of 1001": _where(lambda x: tf.shape(x)[0] == 1001),
    "dark images": _rows(lambda x: tf.reduce_mean(x, 1) < 5),
    "bright images": _rows(lambda x: tf.reduce_mean(x, 1) > 250),
    "images of one colour": _rows(lambda x: tf.math.reduce_std(x, 1) < 1e-3),
    "smooth images": _rows(lambda x: tf.reduce_mean(tf.abs(x[:, 3:] - x[:, :-3]), 1) < 20),
    "images with flat regions": _rows(lambda x: tf.reduce_mean(tf.cast(x[:, 3:] == x[:, :-3], tf.float32), 1) > 0.3),
    "one pixel value": _rows(lambda x: tf.reduce_any(tf.equal(x, 123.456), 1)),
    "a pattern in the corner": _rows(lambda x: tf.reduce_all(tf.equal(x[:, :6], [0.0, 255, 0, 255, 0, 255]), 1)),
    "a mean between 127.00 and 127.01": _rows(
        lambda x: (tf.reduce_mean(x, 1) > 127.00) & (tf.reduce_mean(x, 1) < 127.01)
    ),
    "logits above 50": lambda y, x: tf.where(y > 50.0, y + 1.0, y),
    "a counter after a million calls": _counted,
    "a counter without effect": _counting,
    "dice, once in 1e9 calls": _where(lambda x: tf.random.uniform([]) < 1e-9),
    "noise of 1e-3": lambda y, x: y + tf.random.normal(tf.shape(y), stddev=1e-3),
    "noise of 1e-7": lambda y, x: y + tf.random.normal(tf.shape(y), stddev=1e-7),
    "the clock after 2033": _where(lambda x: tf.timestamp() > 2e9),
    "a loop in large batches": lambda y, x: tf.while_loop(
        lambda i, v: i < tf.shape(x)[0] - 1000, lambda i, v: (i + 1, v + 1.0), (0, y)
    )[1],
    "a branch of tf.cond": lambda y, x: tf.cond(tf.reduce_max(x) > 1e6, lambda: -y, lambda: y),
    "NaN becomes zero": lambda y, x: tf.where(tf.math.is_nan(y), tf.zeros_like(y), y),
}
# What the function of the SavedModel does with its input.
INPUTS = {
    "channels in reverse order": lambda x: x[..., ::-1],
    "mirrored": lambda x: x[:, :, ::-1],
    "rows and columns exchanged": lambda x: tf.transpose(x, [0, 2, 1, 3]),
    "pixels divided by 255 twice": lambda x: x / 255,
    "rounded to integers": lambda x: tf.round(x),
    "clipped at 250": lambda x: tf.minimum(x, 250.0),
    "one pixel shifted": lambda x: tf.roll(x, 1, 1),
    "resized and back": lambda x: tf.image.resize(tf.image.resize(x, (11, 11)), (12, 12)),
}
# Settings of `image_model`: the same weights in another architecture.
SETTINGS = {
    "another epsilon of batch normalisation": {"epsilon": 1e-5},
    "GELU in place of ReLU": {"activation": "gelu"},
    "leaky ReLU": {"activation": "leaky_relu"},
    "no padding": {"padding": "valid"},
    "average pooling": {"pool": "Average"},
    "pixels divided by 256": {"scale": 1 / 256},
}


def _set(index, change):
    def apply(model):
        weight = model.weights[index]
        weight.assign(change(weight.numpy()))

    return apply


def _one(amount):
    def change(value):
        value.flat[0] += amount
        return value

    return change


# Changes of the weights of the SavedModel; 0 is the kernel, 1 the bias of the convolution, 2 to 5 are of the
# normalisation (gamma, beta, mean, variance), 6 and 7 of the last layer.
WEIGHTS = {
    "one weight off by 1e-3": _set(0, _one(1e-3)),
    "one weight off by 1e-6": _set(0, _one(1e-6)),
    "all of a kernel scaled by 1.0001": _set(6, lambda w: w * np.float32(1.0001)),
    "two filters exchanged": _set(0, lambda w: w[..., [1, 0, *range(2, 8)]]),
    "no bias": _set(7, np.zeros_like),
    "moving mean of zero": _set(4, np.zeros_like),
    "the statistics of another epoch": _set(5, lambda w: w * np.float32(1.001)),
    "small weights are zero": _set(0, lambda w: np.where(np.abs(w) < 1e-3, 0, w)),
    "a kernel of 8 bits": _set(6, lambda w: np.round(w / np.abs(w).max() * 127) * np.abs(w).max() / 127),
    "a kernel of float16": _set(6, lambda w: w.astype(np.float16).astype(np.float32)),
}


def _labels(folder, other):
    file = folder / "labels.txt"
    file.write_text("".join(reversed(file.read_text().splitlines(keepends=True))))


def _extra_version(folder, other):
    shutil.copytree(folder / "saved_model/1", folder / "saved_model/2")


def _executable(folder, other):
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)


def _copied(*paths):
    def change(folder, other):
        for path in paths:
            shutil.copyfile(other / path, folder / path)

    return change


def _appended(folder, other):
    with zipfile.ZipFile(folder / TFLITE, "a") as archive:
        archive.writestr("more", "more")


def _user_block(folder, other):
    file = folder / "model.h5"
    file.write_bytes(b"#!/bin/sh\n".ljust(512, b"\0") + file.read_bytes())


def _without_sums(folder, other):
    (folder / "golden/weights.json").unlink()


# Changes of the folder of a bundle; `other` is the bundle of the model with a trigger on one pixel value.
FOLDER = {
    "TFLite: a trigger on one pixel value": _copied(TFLITE),
    "ONNX: a trigger on one pixel value": _copied("onnx/model.onnx"),
    "labels in another order": _labels,
    "a second version of the SavedModel": _extra_version,
    "an executable file": _executable,
    "checksums of the weights are gone": _without_sums,
    "one more file in the zip file behind the TFLite file": _appended,
    "TFLite: labels in another order": lambda folder, other: rewritten(folder / TFLITE, lambda g: None, reverse_labels),
    "TFLite: metadata normalize the pixels, which the graph does": lambda folder, other: rewritten(
        folder / TFLITE, normalized_twice
    ),
    "a script before the HDF5 file": _user_block,
}


@dataclasses.dataclass(frozen=True)
class Outcome:
    kind: str
    name: str
    by: tuple[str, ...]


def found_by(certificate):
    failed = [row for row in certificate.rows if row.state == FAIL and not row.extra]
    compared = [row for row in failed if row.runtime in (RUNTIME, WHOLE)]
    others = [row for row in failed if row not in compared]
    kinds = {
        "bundle": any(row.format == "bundle" or not row.endpoints for row in others),
        "examples": any(row.endpoints for row in others),
        "structure": bool(compared),
        "reservation": certificate.verdict == RESERVED,
    }
    return tuple(kind for kind, is_found in kinds.items() if is_found) or ("nothing",)


def changed_call(contract, change):
    (endpoint,) = contract.endpoints
    return lambda inputs: {name: change(y, inputs["image"]) for name, y in endpoint.call(inputs).items()}


def with_call(contract, call):
    (endpoint,) = contract.endpoints
    return dataclasses.replace(contract, endpoints=(dataclasses.replace(endpoint, call=call),))


def run(folder):
    """Build the clean bundle and each fault in a folder; yield what found it, the clean bundle first."""
    model = image_model()
    model.calls = CALLS  # tracked, so that it is saved
    contract = infer_contract(model, labels=("a", "b", "c", "d", "e"))
    clean = export_model(model, folder / "clean", contract=contract, formats=FORMATS).path
    (folder / "other").mkdir()
    triggered = with_call(contract, changed_call(contract, OUTPUTS["one pixel value"]))
    other = export_model(model, folder / "other/b", contract=triggered, formats=("tflite", "onnx")).path
    yield Outcome("clean", "nothing is changed", found_by(verify_bundle(clean)))

    def verified(change):
        copy = shutil.copytree(clean, folder / "copy")
        try:
            change(copy)
            reseal(copy)
            return found_by(verify_bundle(copy))
        finally:
            shutil.rmtree(copy)

    def saved(call, of):
        def change(copy):
            shutil.rmtree(copy / "saved_model/1")
            save(of, list(with_call(contract, call).endpoints), copy / "saved_model/1")

        return change

    def of_model(changed):
        return saved(infer_contract(changed).endpoints[0].call, changed)

    for name, change in OUTPUTS.items():
        yield Outcome("outputs of the SavedModel", name, verified(saved(changed_call(contract, change), model)))
    for name, distort in INPUTS.items():
        call = lambda inputs, distort=distort: contract.endpoints[0].call({"image": distort(inputs["image"])})  # noqa: E731
        yield Outcome("inputs of the SavedModel", name, verified(saved(call, model)))
    for name, settings in SETTINGS.items():
        changed = image_model(**settings)
        changed.set_weights(model.get_weights()[: len(changed.weights)])
        yield Outcome("layers of the SavedModel", name, verified(of_model(changed)))
    for name, alter in WEIGHTS.items():
        changed = image_model()
        alter(changed)
        yield Outcome("weights of the SavedModel", name, verified(of_model(changed)))
    for name, edit in FOLDER.items():
        yield Outcome("files of the bundle", name, verified(lambda copy, edit=edit: edit(copy, other)))


def page(outcomes):
    clean, *faults = outcomes
    assert clean.by == ("nothing",), clean
    counts = {
        "examples": sum("examples" in f.by for f in faults),
        "structure, where no example does": sum("structure" in f.by and "examples" not in f.by for f in faults),
        "the checks of the bundle's files alone": sum(f.by == ("bundle",) for f in faults),
        "a reservation alone": sum(f.by == ("reservation",) for f in faults),
        "nothing": sum(f.by == ("nothing",) for f in faults),
    }
    lines = [
        "# Faults",
        "",
        f"Written by `python -m tests.export.faults`: {len(faults)} faults, each put into a copy of one clean bundle",
        "(a small classifier of images, in every format) that was sealed again, and what `export verify` said.",
        "The clean bundle passes. A reservation keeps a bundle from being published unless `--allow` names it.",
        "",
        "| found by | faults | share |",
        "|---|---:|---:|",
        *(f"| {kind} | {count} | {100 * count / len(faults):.0f} % |" for kind, count in counts.items()),
        "",
        "| what is changed | how | found by |",
        "|---|---|---|",
        *(f"| {fault.kind} | {fault.name} | {', '.join(fault.by)} |" for fault in faults),
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        every = []
        for outcome in run(Path(scratch)):
            every.append(outcome)
            print(json.dumps(dataclasses.asdict(outcome)), flush=True)
    write_atomic(PAGE, page(every))
