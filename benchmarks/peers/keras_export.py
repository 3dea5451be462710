"""Seconds of Keras' own export calls and one reload of each file in a fresh process: keras_export.py MODEL|PARAMETERS.

The same five files as our default formats, without verification. The time of imports and of building the model is not
included. Source: https://keras.io/guides/serialization_and_saving/ and the page of `Model.export`.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.timing import networks
from benchmarks.timing.process import MemoryMonitor

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


def export(model, folder: Path) -> None:
    """Write the five files by Keras, and load each once."""
    model.save(folder / "model.keras")
    model.save(folder / "model.h5")
    model.save_weights(folder / "model.weights.h5")
    model.export(folder / "saved_model", verbose=False)
    model.export(folder / "model.tflite", format="litert", verbose=False)
    for code in RELOADS.values():
        subprocess.run([sys.executable, "-c", code, folder], check=True, stderr=subprocess.DEVNULL)


def main(what: str) -> dict[str, float]:
    """Export and reload; return seconds, CPU seconds and the memory of all processes together."""
    model = networks.sized(int(what)) if what.isdigit() else networks.build(what)
    with tempfile.TemporaryDirectory() as folder, MemoryMonitor() as memory:
        used, start = memory.cpu_seconds(), time.perf_counter()
        export(model, Path(folder))
        seconds, used = time.perf_counter() - start, memory.cpu_seconds() - used
    return {"value": seconds, "CPU seconds": used, "peak MB": memory.mb, "size": model.count_params()}


print(json.dumps(main(sys.argv[1])))
