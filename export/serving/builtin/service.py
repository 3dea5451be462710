"""What REST and gRPC have in common: a predict request is answered, counted and logged."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from export.serving.builtin.errors import as_serving_error
from export.serving.builtin.metrics import Metrics
from export.serving.builtin.models import Models, Version
from export.serving.builtin.request_log import RequestLog


@dataclass(frozen=True)
class Spec:
    """The model that a request names: its name, and a version, a label, or neither."""

    name: str
    version: int | None = None
    label: str | None = None


@dataclass(frozen=True)
class Service:
    """The models, and what is recorded of their answers."""

    models: Models
    metrics: Metrics
    log: RequestLog | None = None

    @contextlib.contextmanager
    def answering(self, spec: Spec, entrypoint: str, body: Callable[[], str]) -> Iterator[Version]:
        """Hold the version that a request names, and record how it was answered.

        Args:
            spec: The model.
            entrypoint: "REST" or "GRPC".
            body: The request as the body of a REST request, for the log.

        Raises:
            ServingError: Whatever is raised in the block.
        """
        began, entered, code, number = time.monotonic(), time.time(), "OK", None
        try:
            with self.models.using(spec.name, spec.version, spec.label) as version:
                number = version.number
                yield version
        except Exception as error:
            raised = as_serving_error(error)
            code = raised.code
            raise raised from error
        finally:
            seconds = time.monotonic() - began
            self.metrics.add(spec.name, number, entrypoint, code, seconds)
            if self.log:
                entry = {"time": entered, "model": spec.name, "version": number, "label": spec.label}
                self.log.add(entry | {"status": code, "seconds": seconds}, body)


def run(version: Version, signature_name: str, inputs: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Return the outputs of a signature of a version that is held."""
    return version.session.run(version.session.signatures[signature_name], inputs)
