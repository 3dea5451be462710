"""Run an ONNX file in onnxruntime, and with the GPU kernels of its WebGPU provider on Mesa's driver for processors."""

import dataclasses
import os
import re
from typing import Any

if __package__:
    from export.protocol import calls, machine, runner
    from export.runners import environments
else:
    import calls
    import environments
    import machine
    import runner

GPU = "EXPORT_ONNX_GPU"  # in the environment: run on the GPU what it takes, and the rest on the processor
ON_CPU, ON_GPU = "CPUExecutionProvider", "WebGpuExecutionProvider"
PLACEMENT = re.compile(r"VerifyEachNodeIsAssignedToAnEp\] +(.+)$", re.MULTILINE)  # in the verbose log of a session
HEADER = re.compile(r"placed on \[(\w+)\]\. Number of nodes: (\d+)")
COPIES = ("MemcpyFromHost", "MemcpyToHost")  # nodes that onnxruntime adds
VERBOSE, ERROR = 0, 3  # severities of onnxruntime


def open_artifact(artifact: dict[str, Any], examples: dict[str, Any]) -> runner.Opened:
    """Load an ONNX file and return its graph under the name of its endpoint."""
    import onnxruntime

    (endpoint,) = artifact["endpoints"]
    session = onnxruntime.InferenceSession(str(artifact["path"]), _options(), providers=[ON_CPU])
    return {endpoint["name"]: {"main": _function(session, endpoint)}}


def _options() -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = runner.threads() or options.intra_op_num_threads
    return options


def _function(session: Any, endpoint: dict[str, Any], options: Any = None) -> runner.Function:
    outputs = [tensor["name"] for tensor in endpoint["outputs"]]
    dtypes = {t["name"]: "object" if t["dtype"] == "string" else t["dtype"] for t in endpoint["inputs"]}
    for kind, tensors in (("inputs", session.get_inputs()), ("outputs", session.get_outputs())):
        if {t.name for t in tensors} != {t["name"] for t in endpoint[kind]}:
            raise ValueError(f"the file has {kind} {sorted(t.name for t in tensors)}")

    def function(inputs: runner.Arrays) -> runner.Arrays:
        stored = {name: value.astype(dtypes[name]) for name, value in inputs.items()}
        return dict(zip(outputs, session.run(outputs, stored, options), strict=True))

    return function


def constants(artifact: dict[str, Any], opened: runner.Opened) -> Any:
    """Return (name, array) of the initializers, or None where `onnx`, which reads them, is not installed."""
    try:
        import onnx
    except ImportError:
        return None
    graph = onnx.load(str(artifact["path"])).graph
    return [(tensor.name, onnx.numpy_helper.to_array(tensor)) for tensor in graph.initializer]


# === On the GPU ===

nodes: dict[str, dict[str, list[str]]] = {}  # path -> provider -> its operators


def open_on_gpu(artifact: dict[str, Any], examples: dict[str, Any]) -> runner.Opened:
    """Load an ONNX file as `open_artifact` does, and read in the log which operators run where."""
    import onnxruntime

    environments.use_vulkan()
    (endpoint,), path = artifact["endpoints"], str(artifact["path"])
    options, quiet = _options(), onnxruntime.RunOptions()
    options.log_severity_level, quiet.log_severity_level = VERBOSE, ERROR
    with machine.captured_messages() as messages:
        session = onnxruntime.InferenceSession(path, options, providers=[ON_GPU, ON_CPU])
        nodes[path] = _placed(messages())
    if not nodes[path][ON_GPU]:
        raise ValueError("the GPU refuses every operator")
    return {endpoint["name"]: {"main": calls.KeepsFirst(_function(session, endpoint, quiet))}}


def _placed(log: str) -> dict[str, list[str]]:
    """Return the operators of each provider; where one has all of them, their number alone is logged."""
    found: dict[str, list[str]] = {ON_CPU: [], ON_GPU: []}
    provider = ""
    for line in PLACEMENT.findall(log):
        if header := HEADER.search(line):
            provider = header[1]
            if line.startswith("All nodes"):
                found[provider] = [""] * int(header[2])
        elif provider and not line.startswith(COPIES):
            found[provider].append(line.partition(" ")[0])
    return found


def check(artifact: dict[str, Any], opened: runner.Opened) -> list[str]:
    """Return a message if a call that follows all others does not repeat the first."""
    return calls.repeat(opened)


def remarks(artifact: dict[str, Any], opened: runner.Opened) -> list[str]:
    """Return which operators run on the processor."""
    on_cpu, on_gpu = (nodes[str(artifact["path"])][provider] for provider in (ON_CPU, ON_GPU))
    counts = f"{len(on_cpu)} operators run on the processor, {len(on_gpu)} on the GPU"
    return [f"{counts}: {', '.join(dict.fromkeys(on_cpu))}"] if on_cpu else []


def version() -> str | None:
    """Return the version of the WebGPU provider where it and Mesa's driver are installed."""
    return environments.ONNX_GPU.version if environments.VULKAN else None


def versions() -> dict[str, str]:
    """Return the versions of the WebGPU provider and of the driver's Vulkan."""
    return {WEBGPU.distribution: WEBGPU.version or "unknown", **environments.vulkan_version()}


RUNTIME = runner.Runtime(
    "onnxruntime",
    __file__,
    distribution="onnxruntime",
    module="onnxruntime",
    formats=("onnx",),
    open=open_artifact,
    process=runner.Process(imports=("onnxruntime",)),
    capabilities=runner.Capabilities(constants=constants, exact=False),
)
WEBGPU = dataclasses.replace(
    RUNTIME,
    name="onnxruntime_webgpu",
    distribution="onnxruntime-webgpu",
    open=open_on_gpu,
    versions=versions,
    extra=True,
    on_request=True,
    probe=version,
    install=f"{environments.INSTALL_VULKAN}; {environments.ONNX_GPU.command}",
    group="gpu",
    counterpart="onnxruntime",
    process=dataclasses.replace(RUNTIME.process, environment={GPU: "1"}, installation=environments.ONNX_GPU),
    capabilities=runner.Capabilities(check=check, remarks=remarks),
)

if __name__ == "__main__":
    runner.main(WEBGPU if GPU in os.environ else RUNTIME)
