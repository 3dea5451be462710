"""The noise of the reference, from which the tolerances of a proof come: no artifact under test has a say in it.

At export the reference is the live model. At `verify` it is the Keras file, run where the proof runs; what a bundle
records of its own noise is not read.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence

import numpy as np

from export.contract import Artifact
from export.formats import saved_model
from export.formats.format import NATIVE
from export.parity import noise_floor
from export.parity.cases import GoldenCase
from export.parity.comparison import check_repeatability
from export.parity.distance import max_row_error
from export.proof.certificate import ProofRequest
from export.protocol.arrays import Outputs
from export.runners import RUNTIMES
from export.runtime import onednn
from export.runtime.execution import ArtifactRun, other_kernels_of, run_all

Floor = Mapping[str, Mapping[str, float]]  # the noise floor by endpoint and output
Runs = Mapping[tuple[str, str], ArtifactRun]  # by runtime and path
REFERENCE = "keras"  # the runtime of the Keras file


def _artifact(request: ProofRequest, format: str) -> Artifact | None:
    return next((a for a in request.artifacts if a.format == format and a.state is None), None)


def outputs_of_reference(request: ProofRequest, runs: Runs) -> dict[str, Outputs]:
    """Return what the reference returned in this proof, by endpoint; empty if it did not run."""
    keras = _artifact(request, NATIVE)
    run = request.live or (runs.get((REFERENCE, keras.path)) if keras else None)
    return {} if run is None else run.outputs


def run_reference(request: ProofRequest) -> dict[str, Outputs]:
    """Run the Keras file, where the proof was asked for other runtimes; return its outputs, or nothing."""
    keras = _artifact(request, NATIVE)
    plan = {REFERENCE: (RUNTIMES[REFERENCE], [keras])} if keras else {}
    runs = run_all(request.folder, request.contract, plan, request.modules)
    return outputs_of_reference(request, runs)


def outputs_of_other_kernels(request: ProofRequest, runs: Runs, policy: noise_floor.Policy) -> dict[str, Outputs]:
    """Run the Keras file with TensorFlow's other kernels; return its outputs of both, or nothing."""
    # The SavedModel stands in for it where the Keras file lacks an endpoint, such as the step of a decoder: at export,
    # when it has just been written by the live model, and only where it answers as the live model does. It costs a
    # process that loads TensorFlow, so it is for comparisons that rounding may explain.
    found: dict[str, Outputs] = {}
    environment = onednn.other_kernels()
    names = [(NATIVE, REFERENCE), *([(saved_model.FORMAT.name, "tensorflow")] if request.live else [])]
    for format, name in names if environment else ():
        artifact = _artifact(request, format)
        if artifact is None or set(artifact.endpoints) <= set(found):
            continue
        plan, key = {name: (RUNTIMES[name], [artifact])}, (name, artifact.path)
        run = functools.partial(run_all, request.folder, request.contract, plan, request.modules)
        of_these, of_others = runs.get(key) or run()[key], run(environment=environment)[key]
        for endpoint, outputs in other_kernels_of(of_these, of_others).items():
            cases = request.cases[endpoint]
            is_sound = not check_repeatability(cases, of_these.of(endpoint))
            if is_sound and (format == NATIVE or _is_equal(cases, outputs, policy)):
                found.setdefault(endpoint, outputs)
    return found


def _is_equal(cases: Sequence[GoldenCase], outputs: Outputs, policy: noise_floor.Policy) -> bool:
    """Return whether outputs are those of the reference without any noise floor."""
    pairs = [
        (case, value, outputs.get(case.name, name))
        for case in cases
        if case.compared
        for name, value in case.outputs.items()
    ]
    return all(
        other is not None and max_row_error(case.stable(value), case.stable(other)) <= policy.relative
        for case, value, other in pairs
    )


def measure(
    request: ProofRequest, reference: Mapping[str, Outputs], policy: noise_floor.Policy, floor: Floor
) -> dict[str, dict[str, float]]:
    """Return a noise floor raised to that of the reference; differences above the ceiling are errors."""
    # The noise of the named rows of each case, and its rows at which the reference is discontinuous, are updated, too.
    raised = {e: {o: v for o, v in outputs.items() if v <= policy.ceiling} for e, outputs in floor.items()}
    for endpoint, outputs in reference.items():
        for case in request.cases[endpoint]:
            for output, noise in noise_floor.measure_row_noise(case, outputs, policy).items():
                case.row_noise[output] = np.maximum(case.row_noise.get(output, 0.0), noise)
            unstable = noise_floor.find_unstable_rows(case, outputs, policy, noise_floor.TOLERATED_VARIANTS)
            case.unstable_rows = tuple(sorted({*case.unstable_rows, *unstable}))
        of_endpoint = raised.setdefault(endpoint, {})
        for differences in noise_floor.measure_noise_floor(request.cases[endpoint], outputs).values():
            for output, value in differences.items():
                if value <= policy.ceiling:
                    of_endpoint[output] = max(of_endpoint.get(output, 0.0), value)
    # an endpoint that the reference lacks, such as one that decodes images, ends in the network of those that it has
    largest = max((v for outputs in raised.values() for v in outputs.values()), default=0.0)
    for endpoint in request.contract.endpoints if largest else ():
        raised.setdefault(endpoint.name, {t.name: largest for t in endpoint.outputs})
    return raised


def discontinuities(request: ProofRequest) -> dict[str, dict[str, list[str]]]:
    """Return the rows at which the reference is discontinuous: {endpoint: {case: names of rows}}."""
    return {
        endpoint: named
        for endpoint, cases in request.cases.items()
        if (named := {case.name: case.unstable_names() for case in cases if case.unstable_rows})
    }


def at_most(request: ProofRequest, policy: noise_floor.Policy) -> tuple[ProofRequest, Floor]:
    """Return the cases that no noise of their own rows excuses, and the largest noise floor that counts as noise."""
    # A comparison that fails with these fails whatever is measured.
    cases = {
        endpoint: [dataclasses.replace(case, compared=case.compared and not case.rows) for case in cases]
        for endpoint, cases in request.cases.items()
    }
    floor = {e.name: {t.name: policy.ceiling for t in e.outputs} for e in request.contract.endpoints}
    return dataclasses.replace(request, cases=cases), floor
