"""Level 10: tensorflow_model_server itself, if its path is in the environment."""

from __future__ import annotations

import os

from export.errors import CheckFailed
from export.proof.certificate import FAIL, NOT_RUN
from export.servecheck import rest_requests
from export.servecheck.subject import Level, Subject
from export.servers import launching, tensorflow_serving


def check(subject: Subject) -> Level:
    """Start the server on the base path, wait until it serves the version, and send it the requests."""
    if problem := tensorflow_serving.obstacle():
        return Level("server", NOT_RUN, problem)
    (port,) = launching.free_ports(1)
    try:
        with tensorflow_serving.serving(subject.base, subject.version, "model", port) as url:
            return rest_requests.check("server", subject, url, os.environ[tensorflow_serving.VARIABLE])
    except CheckFailed as error:
        return Level("server", FAIL, str(error))
