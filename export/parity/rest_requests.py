"""REST requests among the golden inputs: request bodies for TF Serving, and the comparison of the responses.

`golden/rest/ENDPOINT.row.json` and `.column.json` are two of an endpoint's golden rows in TF Serving's two formats. The
runtimes of a SavedModel answer them by the REST rules (`protocol/rest.py`), and the responses are compared with the
reference.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from export.contract import Contract, Endpoint
from export.formats import saved_model
from export.parity.cases import LARGEST_CASE, GoldenCase
from export.parity.comparison import compare_output
from export.parity.noise_floor import Policy
from export.protocol import rest

ROWS = 2  # enough to distinguish rows from columns


def write_requests(golden: Path, contract: Contract, cases: Mapping[str, Sequence[GoldenCase]]) -> None:
    """Write the bodies of `requests_of` below the folder of golden inputs."""
    for name, body in requests_of(contract, cases).items():
        (golden / name).parent.mkdir(exist_ok=True)
        (golden / name).write_text(body)


def requests_of(contract: Contract, cases: Mapping[str, Sequence[GoldenCase]]) -> dict[str, str]:
    """Return {file: body} for every endpoint that a SavedModel carries; one above 2 MB is left out."""
    found = {}
    for endpoint in contract.carried_by(saved_model.FORMAT.name):
        if (case := _case(endpoint, cases[endpoint.name])) is None:
            continue
        for form in rest.FORMS:
            try:  # strings are plain in rows, as people write them, and base64 in columns
                body = rest.encode_request(case.inputs, endpoint.name, row=form == "row", plain=form == "row")
            except rest.NotJson:
                continue
            if len(body) <= LARGEST_CASE:
                found[f"{rest.FOLDER}/{endpoint.name}.{form}.json"] = body
    return found


def compare_replies(
    endpoint: Endpoint,
    cases: Sequence[GoldenCase],
    replies: Mapping[str, Mapping[str, str]],
    floor: Mapping[str, float],
    policy: Policy,
) -> tuple[dict[str, str], list[str]]:
    """Return the outcome of each format of the result of `rest.replies`, and messages about wrong responses."""
    outcomes, findings = {}, []
    for form in rest.FORMS:
        reply, case = replies.get(form, {"impossible": "no request was sent"}), _case(endpoint, cases)
        if "impossible" in reply:
            outcomes[form] = reply["impossible"]
            continue
        if "error" in reply:
            messages = [reply["error"]]
        elif case is None:
            messages = ["no golden case has the answer"]
        else:
            messages = _compare(case, reply["body"], floor, policy)
        outcomes[form] = messages[0] if messages else "as reference"
        findings += [f"REST request by {form}: {text}" for text in messages]
    return outcomes, findings


def _compare(case: GoldenCase, body: str, floor: Mapping[str, float], policy: Policy) -> list[str]:
    try:
        outputs = rest.decode_response(body, {name: value.dtype for name, value in case.outputs.items()})
    except rest.NotJson as error:
        return [str(error)]
    return [
        text
        for name, value in outputs.items()
        for text in compare_output(case, name, value, floor.get(case.scores.get(name, name), 0.0), policy)
    ]


def _case(endpoint: Endpoint, cases: Sequence[GoldenCase]) -> GoldenCase | None:
    """Return a few rows of real examples, or else of generated ones; None where the reference has no outputs."""
    usable = {case.name: case for case in cases if case.outputs and case.name in ("real", "batch_2")}
    if not usable:
        return None
    case, size = usable.get("real", usable.get("batch_2")), endpoint.batch or ROWS
    rows = len(next(iter(case.inputs.values())))

    def first(arrays: Mapping[str, object]) -> dict[str, object]:
        return {name: value[:size] if value.shape[:1] == (rows,) else value for name, value in arrays.items()}

    return dataclasses.replace(case, inputs=first(case.inputs), outputs=first(case.outputs), rows=(), unstable_rows=())
