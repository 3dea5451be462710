"""Write language models of the default size with random weights as bundles to $BENCHMARK_DATA."""

import dataclasses
import os
import shutil
from pathlib import Path

from zoo.core import environment

environment.prepare()

import keras  # noqa: E402 - Keras is configured first

import zoo  # noqa: E402
from export import export_model  # noqa: E402
from pipelines import Info  # noqa: E402
from pipelines.text import UNKNOWN  # noqa: E402

CHARACTERS = (*map(chr, range(32, 96)), UNKNOWN)

MODELS = ("text_rnn", "text_transformer")

info = Info("benchmark", "", "", "", {}, {}, vocabulary=CHARACTERS)
for name in MODELS:
    out = Path(os.environ["BENCHMARK_DATA"]) / name
    shutil.rmtree(out, ignore_errors=True)
    keras.utils.set_random_seed(0)
    model = zoo.build(name, vocabulary_size=len(CHARACTERS))
    contract = zoo.get_spec(name).task.contract(model, info)
    contract = dataclasses.replace(contract, endpoints=tuple(e for e in contract.endpoints if e.name == "step"))
    export_model(model, out, contract=contract, formats=("saved_model", "tflite"))
