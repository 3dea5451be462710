"""One file per verb of `python -m pipelines`, each with its `command`; shared code is here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines import catalogue
from zoobase.importing import import_tensorflow

if TYPE_CHECKING:
    from pipelines.dataset import Dataset


def load(name: str, data_dir: str | None, cache_dir: str | None, split: str = "official") -> Dataset:
    """Load a dataset; an unknown name is reported before TensorFlow is imported."""
    catalogue.get_entry(name)
    import_tensorflow()
    return catalogue.load(name, data_dir, cache_dir, split)
