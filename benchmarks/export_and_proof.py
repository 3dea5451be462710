"""What the proof costs: our export with its proof against Keras' own export calls and one reload of each file.

    python benchmarks/export_and_proof.py [small mobilenet_v2 resnet50] [--rounds 2]

A is Keras alone: save .keras, .h5 and .weights.h5, export a SavedModel and TFLite, then load each in a fresh process of
its runtime and call it once. B is `export_model` with its default formats: the same files, and all that is proven
of them. A and B take turns in one run, each in a fresh process that has imported its libraries and built the model
before the clock starts. Wall time is what a person waits; CPU time is that of all processes, and says more on a busy
machine. Weights are random.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

MODELS = ("small", "mobilenet_v2", "resnet50")
RELOADS = {
    "keras": "import keras, sys, numpy as np\n"
    "for name in ('model.keras', 'model.h5'):\n"
    "    m = keras.saving.load_model(f'{sys.argv[1]}/{name}', compile=False)\n"
    "    m(np.zeros([1, *m.input_shape[1:]], 'float32'))\n"
    "m.load_weights(f'{sys.argv[1]}/model.weights.h5')\n",
    "tensorflow": "import sys, numpy as np, tensorflow as tf\n"
    "f = tf.saved_model.load(f'{sys.argv[1]}/saved_model').signatures['serving_default']\n"
    "((name, spec),) = f.structured_input_signature[1].items()\n"
    "f(**{name: tf.zeros([1, *spec.shape[1:]])})\n",
    "litert": "import sys, numpy as np\n"
    "from ai_edge_litert.interpreter import Interpreter\n"
    "i = Interpreter(f'{sys.argv[1]}/model.tflite')\n"
    "i.allocate_tensors()\n"
    "i.invoke()\n",
}


def build(name: str) -> Any:
    """Return a model with random weights."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    if name == "mobilenet_v2":
        return keras.applications.MobileNetV2(weights=None)
    if name == "resnet50":
        return keras.applications.ResNet50(weights=None, input_shape=(96, 96, 3))
    image = keras.Input((28, 28, 1), name="image")
    x = layers.Rescaling(1 / 255)(image)
    for filters in (16, 32):
        x = layers.MaxPooling2D()(layers.Conv2D(filters, 3, padding="same", activation="relu")(x))
    return keras.Model(image, layers.Dense(10, name="logits")(layers.Flatten()(x)))


def keras_alone(model: Any, folder: Path) -> None:
    """Write the five files as Keras does, and load each once."""
    model.save(folder / "model.keras")
    model.save(folder / "model.h5")
    model.save_weights(folder / "model.weights.h5")
    model.export(folder / "saved_model", verbose=False)
    model.export(folder / "model.tflite", format="litert", verbose=False)
    for code in RELOADS.values():
        subprocess.run([sys.executable, "-c", code, folder], check=True, stderr=subprocess.DEVNULL)


def with_proof(model: Any, folder: Path) -> None:
    """Write the same files and prove them."""
    from export import export_model

    export_model(model, folder / "bundle")


WAYS: dict[str, Callable[[Any, Path], None]] = {"A": keras_alone, "B": with_proof}


def measure(way: str, name: str) -> dict[str, float]:
    """Run one way on one model in this process; return seconds and parameters."""
    from export.backend import load_tensorflow

    load_tensorflow()
    import export.exporter  # noqa: F401

    model = build(name)
    with tempfile.TemporaryDirectory() as folder:
        before, started = _cpu(), time.perf_counter()
        WAYS[way](model, Path(folder))
        return {"wall": time.perf_counter() - started, "cpu": _cpu() - before, "parameters": model.count_params()}


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def run(name: str, rounds: int) -> dict[str, Any]:
    """Measure A B A B ... and return the medians and their ratios."""
    found: dict[str, list[dict[str, float]]] = {"A": [], "B": []}
    for _ in range(rounds):
        for way in found:
            command = [sys.executable, __file__, "--measure", way, name]
            ended = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            found[way].append(json.loads(ended.stdout.splitlines()[-1]))
            print(name, way, found[way][-1], file=sys.stderr, flush=True)
    row: dict[str, Any] = {"model": name, "parameters": int(found["A"][0]["parameters"])}
    for kind in ("wall", "cpu"):
        a, b = (median(run[kind] for run in found[way]) for way in ("A", "B"))
        row |= {f"{kind}_keras": round(a, 1), f"{kind}_proof": round(b, 1), f"{kind}_ratio": round(b / a, 2)}
    return row


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=MODELS, metavar="MODEL", help=f"of {', '.join(MODELS)}")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--measure", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if unknown := set(options.models) - set(MODELS):
        parser.error(f"unknown model {', '.join(sorted(unknown))}; one of {', '.join(MODELS)}")
    if options.measure:
        print(json.dumps(measure(options.measure, options.models[0])))
        return
    rows = [run(name, options.rounds) for name in options.models]
    if options.json:
        print(json.dumps({"cores": os.cpu_count(), "rows": rows}, indent=1))
        return
    print("| model | parameters | Keras, wall s | with proof, wall s | ratio | CPU ratio |\n|---|---|---|---|---|---|")
    for r in rows:
        cells = (r["model"], f"{r['parameters']:,}", r["wall_keras"], r["wall_proof"], r["wall_ratio"], r["cpu_ratio"])
        print("| " + " | ".join(map(str, cells)) + " |")


if __name__ == "__main__":
    main()
