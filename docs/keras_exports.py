"""python -m docs.keras_exports: certify the files that Keras itself exports, and write docs/keras_exports.md.

Two networks are trained on the handwritten digits of scikit-learn: a convolutional one on pixels, and one on their 17
grey levels as tokens, as GPTQ and AWQ need a sequence. Each is quantized by Keras, exported by Keras, and
`python -m export certify` compares each file with the `.keras` file of the same network.
"""

from __future__ import annotations

import contextlib
import datetime
import importlib.metadata
import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from zoobase.files import write_atomic

PAGE = Path(__file__).with_name("keras_exports.md")
FILES = {
    "tf_saved_model": "saved_model",
    "litert": "model.tflite",
    "onnx": "model.onnx",
    "openvino": "openvino/model.xml",
    "torch": "model.pt2",
}
MODES = {"pixels": ("", "int8", "int4", "float8"), "tokens": ("gptq", "awq")}
TRAINING, LEVELS = 1500, 17
PACKAGES = ("keras", "tensorflow", "tf2onnx", "onnxruntime", "openvino", "ai-edge-litert")


def digits() -> tuple[Any, Any]:
    """Return 1,797 images (8, 8) of grey levels 0 to 16, and their digits."""
    from sklearn.datasets import load_digits

    return load_digits(return_X_y=True)


def build(kind: str) -> Any:
    """Return a trained network."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    rows, truth = digits()
    if kind == "pixels":
        inputs = keras.Input((8, 8, 1), name="image")
        x = layers.Conv2D(8, 3, activation="relu")(layers.Rescaling(1 / 16)(inputs))
        x = layers.MaxPooling2D()(layers.BatchNormalization()(x))
    else:
        inputs = keras.Input((64,), dtype="int32", name="levels")
        block = keras.Sequential([layers.Dense(16, activation="relu", name="in_block")], name="block")
        x = block(layers.Embedding(LEVELS, 16, name="embedding")(inputs))
    x = layers.Dense(32, activation="relu")(layers.Flatten()(x))
    model = keras.Model(inputs, layers.Dense(10, activation="softmax", name="probabilities")(x), name=kind)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy())
    model.fit(as_inputs(kind, rows)[:TRAINING], truth[:TRAINING], epochs=15, verbose=0)
    return model


def as_inputs(kind: str, rows: Any) -> Any:
    """Return rows as a network takes them."""
    return rows.reshape(-1, 8, 8, 1).astype("float32") if kind == "pixels" else rows.astype("int32")


def quantize(model: Any, mode: str) -> None:
    """Quantize a network in place."""
    import keras

    if mode in ("gptq", "awq"):
        structure = {
            "pre_block_layers": [model.get_layer("embedding")],
            "sequential_blocks": [model.get_layer("block")],
        }
        # given in the configuration it is a part of the dtype of each layer, which Keras then cannot save
        model.get_quantization_layer_structure = lambda mode: structure
        config = {"gptq": keras.quantizers.GPTQConfig, "awq": keras.quantizers.AWQConfig}[mode]
        rows = as_inputs("tokens", digits()[0])[:TRAINING]
        chosen = config(list(rows), object(), num_samples=64, sequence_length=64, group_size=-1)
        model.quantize(mode, config=chosen, filters="in_block")  # the only layer that takes a sequence
    elif mode:
        model.quantize(mode)


def measure(kind: str, folder: Path) -> Iterator[dict[str, Any]]:
    """Yield a row for each quantization: {"network", "mode", "accuracy", format: result}."""
    import keras
    import numpy as np

    build(kind).save(folder / "float.keras")
    rows, truth = digits()
    name = {"pixels": "image", "tokens": "levels"}[kind]
    np.savez(folder / "samples.npz", **{name: as_inputs(kind, rows)[TRAINING:]})
    for mode in MODES[kind]:
        row: dict[str, Any] = {"network": kind, "mode": mode or "none"}
        model, target = keras.saving.load_model(folder / "float.keras"), folder / (mode or "float")
        (target / "openvino").mkdir(parents=True)
        try:
            quantize(model, mode)
        except Exception as error:
            yield row | {"error": in_a_line(error)}
            continue
        answers = model.predict(as_inputs(kind, rows)[TRAINING:], verbose=0).argmax(-1)
        row["accuracy"] = float((answers == truth[TRAINING:]).mean())
        model.save(target / "model.keras")
        row["keras"] = certify(target / "model.keras", target / "model.keras")
        # what Keras cannot load again is compared with its SavedModel
        reference = target / ("model.keras" if "error" in row["keras"] else FILES["tf_saved_model"])
        for format, name in FILES.items():
            try:
                with contextlib.redirect_stdout(io.StringIO()):
                    model.export(str(target / name), format=format, verbose=False)
            except Exception as error:
                row[format] = {"state": "not written", "reason": in_a_line(error)}
            else:
                row[format] = certify(reference, target / name)
        yield row


def certify(reference: Path, candidate: Path) -> dict[str, Any]:
    """Return what `python -m export certify` says of a file."""
    samples = reference.parent.parent / "samples.npz"
    command = [sys.executable, "-m", "export", "certify", str(reference), str(candidate), "--samples", str(samples)]
    result = subprocess.run([*command, "--json"], capture_output=True, text=True)
    try:
        answer = json.loads(result.stdout)
    except ValueError:
        return {"state": "not compared", "reason": in_a_line(result.stderr.replace(f"{reference.parent}/", ""))}
    if "conclusion" not in answer:
        return {
            "state": "not compared",
            "reason": in_a_line(answer.get("error", "no answer").replace(f"{reference.parent}/", "")),
        }
    errors = [output["max_error"] for pair in answer["endpoints"] for output in pair["figures"].values()]
    return {"state": answer["conclusion"], "error": max(errors, default=0.0)}


def in_a_line(error: object) -> str:
    """Return an error as one line."""
    text = " ".join(str(error).replace("|", "/").replace("<", "&lt;").split())
    return f"{type(error).__name__}: {text}"[:200] if isinstance(error, Exception) else text[:200]


def page(rows: list[dict[str, Any]]) -> str:
    """Return the page."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    head = ["network", "`quantize`", "accuracy", "Keras", *(f"`{format}`" for format in FILES)]
    lines, notes = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"], dict[str, int]()

    def cell(result: dict[str, Any]) -> str:
        if "error" in result:
            return f"{result['state']}, {result['error']:.1e}"
        return f"{result['state']} [{notes.setdefault(result['reason'], len(notes) + 1)}]"

    for row in rows:
        cells = [row["network"], row["mode"]]
        if "error" in row:
            cells += [f"not quantized [{notes.setdefault(row['error'], len(notes) + 1)}]", *[""] * (len(head) - 3)]
        else:
            cells += [f"{row['accuracy']:.3f}", *(cell(row[format]) for format in ("keras", *FILES))]
        lines.append(f"| {' | '.join(cells)} |")
    count = len(digits()[1])
    text = [
        f"Written by `python -m docs.keras_exports`, {datetime.date.today()}, {versions}.",
        f"Two networks on the {count:,} digits of scikit-learn, quantized by `model.quantize` and written by",
        "`model.export(format=...)`; `python -m export certify` compares each file with the `.keras` file of the same,",
        "quantized network, or, where Keras cannot load that again, with its SavedModel. A cell has its conclusion and",
        "the largest difference of a probability; *incomplete*: the SavedModel also has a signature `serve`, which the",
        "file lacks. The accuracy is that of",
        f"the Keras model on the {count - TRAINING} digits after the first {TRAINING:,}.",
    ]
    numbered = [f"{number}. {reason}" for reason, number in notes.items()]
    return "\n".join(["# Files that Keras exports", "", *text, "", *lines, "", *numbered, ""])


def main() -> None:
    """Measure, and write the page."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    with tempfile.TemporaryDirectory() as folder:
        rows = []
        for kind in MODES:
            (target := Path(folder, kind)).mkdir()
            for row in measure(kind, target):
                rows.append(row)
                print(json.dumps(row), flush=True)
    write_atomic(PAGE, page(rows))
    print(f"written: {PAGE}")


if __name__ == "__main__":
    main()
