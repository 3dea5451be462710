"""Run the live model on golden inputs: its outputs are the reference of every artifact."""

from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from export.contract import Contract, Endpoint
from export.parity.golden import Case
from export.parity.noise_floor import find_unstable_rows
from export.parity.policy import Policy
from export.runners.lib import protocol
from export.runners.lib.calls import run_endpoint
from export.runtime.execution import Run
from zoobase.console import quiet_stderr


def run_reference(contract: Contract, cases: Mapping[str, Sequence[Case]]) -> Run:
    """Run every endpoint through its own `call`, and put the outputs into the cases.

    Args:
        contract: Endpoints with their `call`.
        cases: Golden cases by endpoint; their `outputs` are filled in.

    Returns:
        The live model as a run, with the variants that the noise floor is measured on.
    """
    with quiet_stderr():  # decoders also log the errors that they raise
        run = _run(contract, cases)
        gc.collect()  # so that TensorFlow logs about calls that raised while stderr is silenced
    return run


def _run(contract: Contract, cases: Mapping[str, Sequence[Case]]) -> Run:
    import keras
    import tensorflow as tf

    run = Run(report={"versions": {"keras": keras.__version__, "tensorflow": tf.__version__}})
    for endpoint in contract.endpoints:
        name = endpoint.name
        keys = ("name", "inputs", "chain", "rows")
        plain = [{key: getattr(case, key) for key in keys} | {"judged": case.compared} for case in cases[name]]
        run.arrays[name], run.errors[name] = run_endpoint(
            _functions(endpoint), plain, endpoint.batch, measure_noise=True
        )
        for case in cases[name]:
            prefix = f"{case.name}/main/"
            case.outputs = {k[len(prefix) :]: v for k, v in run.arrays[name].items() if k.startswith(prefix)}
            case.unstable_rows = find_unstable_rows(case, run.arrays[name], Policy())
    return run


def _functions(endpoint: Endpoint) -> dict[str, protocol.Function]:
    import tensorflow as tf

    specs = {t.name: tf.TensorSpec((endpoint.batch, *t.shape[1:]), t.dtype, name=t.name) for t in endpoint.inputs}
    graph = tf.function(lambda values: dict(endpoint.call(values)), input_signature=[specs], autograph=False)

    def runner(function: Any) -> protocol.Function:
        def call(inputs: protocol.Arrays) -> dict[str, np.ndarray]:
            outputs = function({k: tf.constant(v, specs[k].dtype) for k, v in inputs.items()})
            return {k: tf.convert_to_tensor(v).numpy() for k, v in outputs.items()}

        return call

    return {"main": runner(endpoint.call), "graph": runner(graph)}
