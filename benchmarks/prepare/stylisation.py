"""Write a style_transfer of the default size with random weights as a bundle to $BENCHMARK_DATA."""

import os
import shutil
from pathlib import Path

from zoo.core import environment

environment.prepare()

import keras  # noqa: E402 - Keras is configured first

import zoo  # noqa: E402
from export import export_model  # noqa: E402
from pipelines import Info  # noqa: E402

out = Path(os.environ["BENCHMARK_DATA"]) / "style_transfer"
shutil.rmtree(out, ignore_errors=True)
keras.utils.set_random_seed(0)
model = zoo.build("style_transfer")
contract = zoo.get_spec("style_transfer").task.contract(model.network, Info("benchmark", "", "", "", {}, {}))
export_model(model.network, out, contract=contract, formats=("keras", "tflite"))
