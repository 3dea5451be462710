"""Task classes: what makes one kind of problem different from another.

The classes are imported from here: `from zoo.tasks import Classification`.
"""

from __future__ import annotations

import importlib
from typing import Any

_MODULES = {
    "Adversarial": "adversarial",
    "Autoencoding": "autoencoding",
    "BinaryClassification": "binary",
    "Classification": "classification",
    "Landmarks": "landmarks",
    "LanguageModel": "language_model",
    "Medical": "medical",
    "PairedPictures": "translating_pictures",
    "Photographs": "photographs",
    "Regression": "regression",
    "Stylisation": "stylisation",
    "TextClassification": "texts",
    "Transfer": "transfer",
    "Translation": "translation",
    "UnpairedPictures": "unpaired_pictures",
    "WordVectors": "word_vectors",
}

__all__ = list(_MODULES)


def __getattr__(name: str) -> Any:
    """Import the module of a task class when the class is first asked for (PEP 562)."""
    if name in _MODULES:
        return getattr(importlib.import_module(f"zoo.tasks.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'zoo.tasks' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
