"""Level 7: KServe's ModelServer, which has the REST URLs of TF Serving."""

from __future__ import annotations

from export.serving.servecheck.rest_requests import serve_and_check
from export.serving.servecheck.subject import Level, Subject
from export.serving.servers import kserve


def check(subject: Subject) -> Level:
    """Start KServe on the version and send it the requests."""
    return serve_and_check("kserve_v1", subject, kserve)
