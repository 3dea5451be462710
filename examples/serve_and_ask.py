"""Publish a model for TF Serving, run the checks of the server, and call the SavedModel and the TFLite file.

python examples/serve_and_ask.py --out out/serve
"""

import argparse
from pathlib import Path

import numpy as np

import zoo
from export import export_model, load, publish

parser = argparse.ArgumentParser()
parser.add_argument("--out", type=Path, default=Path("out/serve"))
options = parser.parse_args()
bundle, base_path = options.out / "bundle", options.out / "models" / "fashion_mnist"

model = zoo.build("fashion_mnist", weights="default")
export_model(model, bundle, formats=("keras", "saved_model", "tflite"))
published = publish(bundle, base_path)  # written atomically to BASE_PATH/1
print("published version", published.version, "- next: python -m export serve-check", base_path)

image = np.zeros((1, 28, 28, 1), "float32")
image[:, 4:24, 8:20] = 200.0  # a bright rectangle
for format in ("saved_model", "c_api", "tflite"):  # c_api: the C++ loader that TF Serving uses
    loaded = load(bundle, format)
    scores = loaded["serving_default"](image=image)["output"]
    print(format, "class", int(scores.argmax()), "score", round(float(scores.max()), 3))
