"""Run a SavedModel in OpenVINO, whose own front end reads it, independent of TensorFlow; or a network of OpenVINO."""

import os
import tempfile
from typing import Any

if __package__:
    from export.protocol import runner
else:
    import runner

SIGNATURE = "serving_default"  # the only signature that its front end reads
EXACT = {"INFERENCE_PRECISION_HINT": "f32", "EXECUTION_MODE_HINT": "ACCURACY"}  # else AMX machines compute in bfloat16


def open_artifact(artifact: dict[str, Any], examples: dict[str, Any]) -> runner.Opened:
    """Load an artifact and return its default signature; OpenVINO runs no other signatures and no strings."""
    is_network = str(artifact["path"]).endswith(".xml")
    endpoints = [e for e in artifact["endpoints"] if is_network or e["name"] == SIGNATURE]
    endpoints = [e for e in endpoints if all(tensor["dtype"] != "string" for tensor in [*e["inputs"], *e["outputs"]])]
    if not endpoints:
        return {}
    os.environ["HOME"] = tempfile.gettempdir()  # where it keeps an id for statistics; the user's own is out of reach
    import openvino

    threads = {"INFERENCE_NUM_THREADS": runner.threads()} if runner.threads() else {}
    model = openvino.Core().compile_model(str(artifact["path"]), "CPU", EXACT | threads)
    names = [tensor["name"] for tensor in endpoints[0]["outputs"]]
    outputs = {name: model.output(name) for name in names}

    def call(inputs: runner.Arrays) -> runner.Arrays:
        results = model(inputs)
        return {name: results[output].copy() for name, output in outputs.items()}

    return {endpoints[0]["name"]: {"main": call}}


def constants(artifact: dict[str, Any], opened: runner.Opened) -> Any:
    """Return (name, array) of the constants of a network of OpenVINO; None of a SavedModel, which has variables."""
    if not str(artifact["path"]).endswith(".xml"):
        return None
    import openvino

    operations = openvino.Core().read_model(str(artifact["path"])).get_ops()
    return [(o.get_friendly_name(), o.data) for o in operations if o.get_type_name() == "Constant"]


RUNTIME = runner.Runtime(
    "openvino",
    __file__,
    distribution="openvino",
    module="openvino",
    formats=("saved_model", "openvino"),
    open=open_artifact,
    extra=True,
    process=runner.Process(imports=("openvino",)),
    capabilities=runner.Capabilities(constants=constants, exact=False),
)

if __name__ == "__main__":
    runner.main(RUNTIME)
