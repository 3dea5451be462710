"""Write the language models with their shipped weights as bundles to $BENCHMARK_DATA."""

import os
import shutil
from pathlib import Path

from zoo.core import environment

environment.prepare()

from export import export_model  # noqa: E402 - Keras is configured first
from zoo import weights  # noqa: E402

MODELS = ("text_rnn", "text_transformer")

for name in MODELS:
    out = Path(os.environ["BENCHMARK_DATA"]) / name
    shutil.rmtree(out, ignore_errors=True)
    plan, model, info = weights.open_default(name)
    export_model(model, out, contract=plan.task.contract(model, info), formats=("saved_model", "tflite"))
