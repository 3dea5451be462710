"""Level 7: KServe's ModelServer, which has the REST URLs of TF Serving."""

from __future__ import annotations

from export.errors import CheckFailed
from export.proof.certificate import FAIL, NOT_RUN
from export.servecheck import rest_requests
from export.servecheck.subject import Level, Subject
from export.servers import kserve, launching
from export.servers.environments import KSERVE


def check(subject: Subject) -> Level:
    """Start KServe on the version and send it the requests."""
    if problem := kserve.obstacle():
        return Level("kserve_v1", NOT_RUN, problem)
    (port,) = launching.free_ports(1)
    try:
        with kserve.serving(subject.base, subject.version, "model", port) as url:
            return rest_requests.check("kserve_v1", subject, url, KSERVE.requirements[0])
    except CheckFailed as error:
        return Level("kserve_v1", FAIL, str(error))
    except ImportError as error:
        return Level("kserve_v1", NOT_RUN, str(error))
