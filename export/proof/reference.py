"""Run the live model on golden inputs: its outputs are the reference of every artifact."""

from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from export.contract import Contract, Endpoint
from export.parity.cases import GoldenCase, case_json
from export.parity.noise_floor import Policy, find_unstable_rows, measure_row_noise
from export.runtime.execution import ArtifactRun
from export.wire.arrays import Arrays
from export.wire.calls import Function, run_endpoint
from zoobase.console import quiet_stderr


def run_reference(contract: Contract, cases: Mapping[str, Sequence[GoldenCase]]) -> ArtifactRun:
    """Run every endpoint through its own `call`, and put the outputs into the cases.

    Returns:
        The live model as a run, with the variants that the noise floor is measured on.
    """
    with quiet_stderr():  # decoders also log the errors that they raise
        run = _run(contract, cases)
        gc.collect()  # so that TensorFlow logs about calls that raised while stderr is silenced
    return run


def _run(contract: Contract, cases: Mapping[str, Sequence[GoldenCase]]) -> ArtifactRun:
    import keras
    import tensorflow as tf

    run = ArtifactRun(report={"versions": {"keras": keras.__version__, "tensorflow": tf.__version__}})
    for endpoint in contract.endpoints:
        plain = [case_json(case) | {"inputs": case.inputs} for case in cases[endpoint.name]]
        outputs = run_endpoint(_functions(endpoint), plain, endpoint.batch, measure_noise=True)
        run.outputs[endpoint.name] = outputs
        for case in cases[endpoint.name]:
            case.outputs = outputs.of(case.name)
            case.unstable_rows = find_unstable_rows(case, outputs, Policy())
            case.row_noise = measure_row_noise(case, outputs, Policy())
    return run


def _functions(endpoint: Endpoint) -> dict[str, Function]:
    import tensorflow as tf

    specs = {t.name: tf.TensorSpec((endpoint.batch, *t.shape[1:]), t.dtype, name=t.name) for t in endpoint.inputs}
    graph = tf.function(lambda values: dict(endpoint.call(values)), input_signature=[specs], autograph=False)

    def runner(function: Any) -> Function:
        def call(inputs: Arrays) -> dict[str, np.ndarray]:
            outputs = function({k: tf.constant(v, specs[k].dtype) for k, v in inputs.items()})
            return {k: tf.convert_to_tensor(v).numpy() for k, v in outputs.items()}

        return call

    return {"main": runner(endpoint.call), "graph": runner(graph)}
