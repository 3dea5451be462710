"""What the default proof does not run: batches beyond 32, 1,000 calls in a row, and rows in other company."""

import numpy as np
import pytest

from export import load
from export.contract.sampling import sample_values
from export.parity.distance import max_row_error
from export.parity.noise_floor import Policy
from zoobase.errors import ExportError

BATCHES = (33, 256)
CALLS = 1000
TOLERANCE = Policy.multiple * Policy.ceiling


def problems_of(call, reference, inputs):
    """Return what is wrong with an artifact in long runs; `reference`: its outputs for all rows, in batches of 32."""
    rng = np.random.default_rng(0)
    rows = len(next(iter(inputs.values())))
    orders = {f"batch {size}": np.arange(size) for size in BATCHES}
    orders |= {"other company": rng.permutation(rows), "repeated": np.resize([5, 7], 64)}
    problems = []
    for name, order in orders.items():
        outputs = call({key: value[order] for key, value in inputs.items()})
        worst = max(max_row_error(reference[key][order], value) for key, value in outputs.items())
        problems += [name] if not worst <= TOLERANCE else []
    one = {key: value[:1] for key, value in inputs.items()}
    first = call(one)
    for number in range(CALLS):
        row = rng.integers(rows) if number % 10 else 0
        outputs = call({key: value[row : row + 1] for key, value in inputs.items()})
        if row == 0 and any(not np.array_equal(first[key], value) for key, value in outputs.items()):
            return [*problems, f"call {number}"]
    return problems


def test_long_runs_find_what_depends_on_the_batch_the_company_or_the_calls_before():
    x = {"x": np.random.default_rng(0).normal(size=(256, 3)).astype("float32")}
    reference, calls = {"y": x["x"]}, []

    def drifting(inputs):
        calls.append(1)
        return {"y": inputs["x"] + max(0, len(calls) - 500) * np.float32(1e-3)}

    assert problems_of(lambda inputs: {"y": inputs["x"]}, reference, x) == []
    first = lambda inputs: {"y": np.where(np.arange(len(inputs["x"]))[:, None] < 32, inputs["x"], 0)}  # noqa: E731
    assert problems_of(first, reference, x)[:2] == ["batch 33", "batch 256"]
    neighbour = lambda inputs: {"y": inputs["x"] + 1e-2 * (np.roll(inputs["x"], 1, 0) > x["x"][7] + 2)}  # noqa: E731
    assert "other company" in problems_of(neighbour, reference, x)
    company = lambda inputs: {"y": inputs["x"] - 1e-2 * (len(np.unique(inputs["x"], axis=0)) < 9)}  # noqa: E731
    assert "repeated" in problems_of(company, reference, x)
    assert problems_of(drifting, reference, x)[0].startswith("call ")


@pytest.mark.proof
@pytest.mark.parametrize("format", ["keras", "saved_model", "c_api", "tflite"])
@pytest.mark.parametrize("name", ["functional_cnn", "sequential_cnn", "two_by_two", "dictionary", "masked", "category"])
def test_long_runs(bundles, name, format):
    bundle = bundles(name)
    try:
        artifact = load(bundle.path, format)
    except ExportError as error:
        pytest.skip(str(error))
    endpoint = bundle.contract.endpoints[0]
    rng = np.random.default_rng(1)
    inputs = {t.name: sample_values(t, max(BATCHES), rng) for t in endpoint.inputs}
    parts = [endpoint.call({key: value[i : i + 32] for key, value in inputs.items()}) for i in range(0, 256, 32)]
    reference = {key: np.concatenate([np.asarray(part[key]) for part in parts]) for key in parts[0]}
    assert problems_of(lambda values: artifact[endpoint.name](**values), reference, inputs) == []
