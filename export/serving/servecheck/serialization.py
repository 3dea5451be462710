"""The level serialization: golden calls are encoded and decoded as JSON by the REST rules."""

from collections.abc import Iterator

from export.contract import Endpoint
from export.parity.cases import GoldenCase
from export.parity.comparison import exact_differences
from export.protocol import rest
from export.serving.servecheck.version import Level, ServedVersion


def check(version: ServedVersion) -> Level:
    """Encode and decode each golden call as JSON, and compare the values."""
    messages = [
        f"{endpoint.name}, case {case.name}: {text}"
        for endpoint, case in version.calls
        for text in _check(endpoint, case)
    ]
    calls = len(version.calls)
    return Level.concluded("serialization", messages, f"{calls} calls as JSON", calls)


def _check(endpoint: Endpoint, case: GoldenCase) -> Iterator[str]:
    try:
        body = rest.encode_request(case.inputs, endpoint.name)
        decoded = rest.decode_request(body, {t.name: t.dtype for t in endpoint.inputs})
        yield from exact_differences(case.inputs, decoded, "JSON request")
        response = rest.decode_response(
            rest.encode_response(case.outputs), {name: value.dtype for name, value in case.outputs.items()}
        )
        yield from exact_differences(case.outputs, response, "JSON response")
    except rest.NotJson as error:
        yield str(error)
