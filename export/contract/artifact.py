"""One file or folder of a bundle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Artifact:
    """One file or folder of a bundle.

    Attributes:
        format: The format that wrote it.
        path: Path relative to the bundle.
        endpoints: Names of the endpoints it carries.
        batch: The batch size that every call must have, or None.
        producer: {library: version} of the libraries that wrote it.
        reason: Why it does not exist (unsupported or failed), or None.
        state: None while unproven, else "unsupported" or "fail".
        quantize: "float16", "dynamic" or "int8" if it is quantised, else None.
        note: A remark, or None.
        finish: Work that can run in parallel, such as a conversion; called once before the artifact is used.
    """

    format: str
    path: str
    endpoints: tuple[str, ...]
    batch: int | None = None
    producer: dict[str, str] = field(default_factory=dict)
    reason: str | None = None
    state: str | None = None
    quantize: str | None = None
    note: str | None = None
    finish: Callable[[], None] | None = field(default=None, repr=False, compare=False)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form used in manifests."""
        return {
            "format": self.format,
            "path": self.path,
            "endpoints": list(self.endpoints),
            "batch": self.batch,
            "producer": self.producer,
            "state": self.state,
            "reason": self.reason,
            "quantize": self.quantize,
            "note": self.note,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Artifact:
        """Rebuild from `to_json`."""
        return cls(**(data | {"endpoints": tuple(data["endpoints"])}))
