"""Level 10: tensorflow_model_server itself, if its path is in the environment."""

from __future__ import annotations

from export.serving.servecheck.rest_requests import serve_and_check
from export.serving.servecheck.subject import Level, Subject
from export.serving.servers import tensorflow_serving


def check(subject: Subject) -> Level:
    """Start the server on the base path, wait until it serves the version, and send it the requests."""
    return serve_and_check("server", subject, tensorflow_serving)
