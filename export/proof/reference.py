"""Run the live model on golden inputs: its outputs are the reference of every artifact."""

import contextlib
import gc
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from export.contract import Contract, Endpoint
from export.contract.thresholds import rows_near, thresholds_of
from export.parity.cases import GoldenCase, case_json, scores_of
from export.parity.noise_floor import Policy, find_unstable_rows, measure_row_noise
from export.protocol.arrays import MAIN, Arrays
from export.protocol.calls import MAX_VARIANT_ROWS, Function, perturb, run_endpoint
from export.runtime.execution import ArtifactRun
from zoobase.console import quiet_stderr

THRESHOLDS = "thresholds"  # name of the case of rows near the constants that the reference compares with


def run_reference(
    contract: Contract, cases: Mapping[str, list[GoldenCase]], weights: Sequence[Any] = ()
) -> ArtifactRun:
    """Run every endpoint through its own `call`, and put the outputs into the cases."""
    # With rows near the constants that it compares with. Where no input has real numbers to be moved by their rounding,
    # the weights are moved, for one more call of small cases.
    with quiet_stderr():  # decoders also log the errors that they raise
        run = _run(contract, cases, weights)
        gc.collect()  # so that TensorFlow logs about calls that raised while stderr is silenced
    return run


def _run(contract: Contract, cases: Mapping[str, list[GoldenCase]], weights: Sequence[Any]) -> ArtifactRun:
    import keras
    import tensorflow as tf

    run = ArtifactRun(report={"versions": {"keras": keras.__version__, "tensorflow": tf.__version__}})
    for endpoint in contract.endpoints:
        eager, graph = _functions(endpoint)
        with contextlib.suppress(Exception):  # a call that cannot be traced fails as the variant "graph"
            if near := rows_near(endpoint, thresholds_of(graph.get_concrete_function())):
                case = GoldenCase(THRESHOLDS, near[0], rows=near[1], scores=scores_of(endpoint))
                cases[endpoint.name].append(case)
        plain = [case_json(case) | {"inputs": case.inputs} for case in cases[endpoint.name]]
        functions = {"main": _on_arrays(eager, endpoint), "graph": _on_arrays(graph, endpoint)}
        outputs = run_endpoint(functions, plain, endpoint.batch, measure_noise=True)
        if not any(tensor.dtype.startswith("float") for tensor in endpoint.inputs):
            small = [c for c in plain if c["compared"] and len(next(iter(c["inputs"].values()))) <= MAX_VARIANT_ROWS]
            with _perturbed(weights):
                again = run_endpoint({"main": functions["graph"]}, small, endpoint.batch, measure_noise=False)
            moved = {(c, "perturbed", o): v for (c, variant, o), v in again.arrays.items() if variant == MAIN}
            outputs.arrays |= moved if weights else {}
        run.outputs[endpoint.name] = outputs
        for case in cases[endpoint.name]:
            case.outputs = outputs.of(case.name)
            case.unstable_rows = find_unstable_rows(case, outputs, Policy())
            case.row_noise = measure_row_noise(case, outputs, Policy())
    return run


@contextlib.contextmanager
def _perturbed(weights: Sequence[Any]) -> Iterator[None]:
    """Move every float32 weight by two steps, as `calls.perturb` moves inputs, and then give it its value again."""
    real = {str(number): weight for number, weight in enumerate(weights) if weight.dtype == "float32"}
    values = {number: weight.numpy() for number, weight in real.items()}
    try:
        for number, value in perturb(values, {}).items():
            real[number].assign(value)
        yield
    finally:
        for number, value in values.items():
            real[number].assign(value)


def _functions(endpoint: Endpoint) -> tuple[Any, Any]:
    """Return the call of an endpoint, and its graph as a `tf.function`."""
    import tensorflow as tf

    specs = {t.name: tf.TensorSpec((endpoint.batch, *t.shape[1:]), t.dtype, name=t.name) for t in endpoint.inputs}
    graph = tf.function(lambda values: dict(endpoint.call(values)), input_signature=[specs], autograph=False)
    return endpoint.call, graph


def _on_arrays(function: Any, endpoint: Endpoint) -> Function:
    import tensorflow as tf

    dtypes = {t.name: t.dtype for t in endpoint.inputs}

    def call(inputs: Arrays) -> dict[str, np.ndarray]:
        outputs = function({k: tf.constant(v, dtypes[k]) for k, v in inputs.items()})
        return {k: tf.convert_to_tensor(v).numpy() for k, v in outputs.items()}

    return call
