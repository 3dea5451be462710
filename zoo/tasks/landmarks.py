"""Landmarks: the most likely few, and the tags that a picture gets."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from zoo.specs import Shown
from zoo.tasks.transfer import Transfer

if TYPE_CHECKING:
    from pipelines.dataset import Info


@dataclass(frozen=True)
class Landmarks(Transfer):
    """Classification that answers with tags.

    Attributes:
        tag: Probability from which a class becomes a tag of the picture.
    """

    tag: float = 0.2

    title = "landmark classification and tagging"

    def show(self, question: str, outputs: Mapping[str, np.ndarray], info: Info, top_k: int) -> Shown:
        """Return the `top_k` classes, those that are tags marked."""
        shown = super().show(question, outputs, info, top_k)
        rows = tuple({**row, "tag": row["probability"] >= self.tag} for row in shown.rows)
        tags = [str(row["label"]) for row in rows if row["tag"]]
        return dataclasses.replace(shown, rows=rows, lines=(*shown.lines, f"tags: {', '.join(tags) or 'none'}"))
