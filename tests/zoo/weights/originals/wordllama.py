"""Vectors of the original WordLlama, of length 1: wordllama.py WEIGHTS.safetensors TEXTS.npy VECTORS.npy."""

import sys
from pathlib import Path

import numpy as np
from safetensors import safe_open
from tokenizers import Tokenizer

del sys.path[0]  # this file has the name of the package
from wordllama.inference import WordLlamaInference  # noqa: E402

path, inputs, outputs = sys.argv[1:]
(tokenizer,) = (Path(path).parent.parent / "tokenizers").glob("l2_supercat_*.json")
with safe_open(path, framework="np") as file:
    model = WordLlamaInference(file.get_tensor("embedding.weight"), Tokenizer.from_file(str(tokenizer)))
np.save(outputs, model.embed([str(text) for text in np.load(inputs)], norm=True))
