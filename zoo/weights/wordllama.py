"""The vectors of WordLlama and the tokenizer of Llama 2, from a Python package (MIT)."""

import json
from pathlib import Path
from typing import Any

from zoo.weights.packaged import PackagedWeights
from zoo.weights.readers import safetensors


def _known(file: Path) -> dict[str, Any]:
    (tokenizer,) = (file.parent.parent / "tokenizers").glob("l2_supercat_*.json")
    pieces = json.loads(tokenizer.read_text(encoding="utf-8"))["model"]["vocab"]
    return {"vocabulary": tuple(sorted(pieces, key=pieces.__getitem__))}


WORDLLAMA = PackagedWeights.pinned(
    "wordllama", tensors=safetensors.read, features={"text": "string, UTF-8"}, known=_known
)
