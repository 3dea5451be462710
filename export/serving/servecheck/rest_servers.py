"""What a server has to answer over TF Serving's REST API: golden calls, bad requests, and several clients at once."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

import numpy as np

from export.contract import Endpoint
from export.parity.cases import GoldenCase
from export.parity.comparison import compare_output
from export.parity.noise_floor import Policy
from export.proof.certificate import FAIL, NOT_RUN
from export.protocol import rest
from export.protocol.calls import Arrays, in_batches
from export.serving.servecheck.version import Level, ServedVersion
from export.serving.servers import launching
from zoobase.errors import CheckFailed

CLIENTS, ROUNDS = 4, 5  # concurrent clients, and the requests of each


def serve_and_check(version: ServedVersion, level: str, server: ModuleType) -> Level:
    """Return the level of a module of `export.serving.servers` that serves a version at TF Serving's REST URLs."""
    if problem := server.obstacle():
        return Level(level, NOT_RUN, problem)
    (port,) = launching.free_ports(1)
    try:
        with server.serving(version.base, version.version, "model", port) as url:
            return check(level, version, url, server.program())
    except CheckFailed as error:
        return Level(level, FAIL, str(error))
    except ImportError as error:
        return Level(level, NOT_RUN, str(error))


def check_running(version: ServedVersion, url: str) -> Level:
    """Return the level "server" of a server that serves the version already, such as TF Serving in a container."""
    try:
        states = {e["version"]: e["state"] for e in json.loads(launching.fetch(url))["model_version_status"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        return Level(
            "server", NOT_RUN, f"{url} has no state of a model ({error}); give http://HOST:8501/v1/models/NAME"
        )
    if states.get(str(version.version)) != "AVAILABLE":
        return Level("server", FAIL, f"{url} serves {states or 'no version'}, not version {version.version}")
    return check("server", version, url.rstrip("/"), url)


def check(level: str, version: ServedVersion, url: str, server: str) -> Level:
    """Return the level of a server that answers at a URL."""
    calls = version.calls
    sent = [(e, case) for e, case in calls if is_finite(case)]
    if not sent:
        return Level.concluded(level, [], "", 0)
    messages = [text for endpoint, case in sent for text in _predict(url, endpoint, case)]
    refused = 0
    for description, body in _bad_requests(version.endpoints[0]):
        problem = _refusal(url, body)
        messages += [f"{description}: {problem}"] if problem else []
        refused += problem is None
    small = [
        min((s for s in sent if s[0] is e), key=lambda s: sum(value.nbytes for value in s[1].inputs.values()))
        for e in version.endpoints
    ]
    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = pool.map(lambda i: _predict(url, *small[i % len(small)]), range(CLIENTS * ROUNDS))
        messages += [f"{CLIENTS} clients at once: {text}" for texts in answers for text in texts]
    details = f"{len(sent)} calls, {CLIENTS * ROUNDS} of {CLIENTS} clients at once, {refused} bad requests refused"
    details += f"; {len(calls) - len(sent)} with NaN or infinity were not sent" if len(sent) < len(calls) else ""
    return Level.concluded(level, messages, f"{details}; {server}")


def is_finite(case: GoldenCase) -> bool:
    """Return whether strict JSON can hold a case; not every server takes NaN."""
    arrays = [a for a in (*case.inputs.values(), *case.outputs.values()) if a.dtype.kind == "f"]
    return all(np.isfinite(array).all() for array in arrays)


def _predict(url: str, endpoint: Endpoint, case: GoldenCase) -> list[str]:
    """Send one call and compare the response. A fixed batch size is sent in parts."""
    dtypes = {name: value.dtype for name, value in case.outputs.items()}

    def predict(inputs: Arrays) -> Arrays:
        response = launching.fetch(f"{url}:predict", rest.encode_request(inputs, endpoint.name))
        return rest.decode_response(response, dtypes)

    try:
        outputs = in_batches(predict, case.inputs, endpoint.batch)
    except (OSError, rest.NotJson, KeyError, ValueError) as error:
        return [f"{endpoint.name}: case {case.name}: {error}"]
    policy = Policy()
    return [f"{endpoint.name}: {t}" for name in dtypes for t in compare_output(case, name, outputs[name], 0.0, policy)]


def _bad_requests(endpoint: Endpoint) -> Iterator[tuple[str, str]]:
    """Yield (description, body) of requests that have to be refused."""
    head = {"signature_name": endpoint.name}
    yield "a body that is not JSON", "{"
    yield "a body without inputs", json.dumps(head)
    yield "an unknown signature", json.dumps({"signature_name": "no_such_signature", "instances": [0]})
    yield "an input of another name", json.dumps(head | {"inputs": {"no_such_input": [0]}})
    yield "instances that are no list", json.dumps(head | {"instances": 0})
    yield "an input of another rank", json.dumps(head | {"inputs": {t.name: [[[[[0]]]]] for t in endpoint.inputs}})


def _refusal(url: str, body: str) -> str | None:
    """Return what is wrong with the answer to a bad request: it must be an HTTP error 4xx with a message in JSON."""
    try:
        launching.fetch(f"{url}:predict", body)
    except launching.Refused as error:
        if not 400 <= error.status < 500:
            return f"is answered with status {error.status} instead of 4xx"
        try:
            return None if json.loads(error.body)["error"] else "is refused without a message"
        except (ValueError, KeyError, TypeError):
            return f"is refused with {error.body[:100]!r} instead of a message in JSON"
    except OSError as error:
        return f"has no answer ({error})"
    return "is answered"
