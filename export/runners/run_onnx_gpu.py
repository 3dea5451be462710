"""Run an ONNX file with the GPU kernels of onnxruntime's WebGPU provider, on Mesa's Vulkan driver for processors."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

if __package__:
    from export.protocol import machine, runner, vulkan
    from export.protocol.arrays import Arrays
    from export.runners import run_onnx
    from export.runners.environments import ONNX_GPU
else:
    import machine
    import run_onnx
    import runner
    import vulkan
    from arrays import Arrays
    from environments import ONNX_GPU

PLACEMENT = re.compile(r"VerifyEachNodeIsAssignedToAnEp\] +(.+)$", re.MULTILINE)  # in the verbose log of a session
HEADER = re.compile(r"placed on \[(\w+)\]\. Number of nodes: (\d+)")
COPIES = ("MemcpyFromHost", "MemcpyToHost")
VERBOSE, ERROR = 0, 3  # severities of onnxruntime


class Model:
    """A session; what the GPU refuses runs on the processor, as it does in an app."""

    def __init__(self, artifact: dict[str, Any]) -> None:
        """Open it, and read in its log which operators run where."""
        import onnxruntime

        vulkan.keep_shaders()
        options = onnxruntime.SessionOptions()
        options.log_severity_level = VERBOSE
        with machine.captured_messages() as messages:
            providers = ["WebGpuExecutionProvider", "CPUExecutionProvider"]
            session = onnxruntime.InferenceSession(str(artifact["path"]), options, providers=providers)
            log = messages()
        nodes, provider = dict.fromkeys(providers, 0), ""
        on_cpu: list[str] = []
        for line in PLACEMENT.findall(log):
            if found := HEADER.search(line):
                provider = found[1]
                nodes[provider] += int(found[2])
            elif line.startswith(COPIES):
                nodes[provider] -= 1
            elif provider == providers[1]:
                on_cpu.append(line.partition(" ")[0])
        self.on_gpu, self.on_cpu = nodes.values()
        self.refused = list(dict.fromkeys(on_cpu))
        quiet = onnxruntime.RunOptions()
        quiet.log_severity_level = ERROR
        (endpoint,) = artifact["endpoints"]
        run = run_onnx.function_of(session, endpoint, quiet)
        self.first: dict[str, tuple[Arrays, Arrays]] = {}  # inputs and outputs of the first call

        def function(inputs: Arrays) -> Arrays:
            outputs = run(inputs)
            self.first.setdefault(endpoint["name"], (inputs, outputs))
            return outputs

        self.function = function


models: dict[str, Model] = {}  # by path


def open_artifact(artifact: dict[str, Any], examples: dict[str, Any]) -> runner.Opened:
    """Load an ONNX file and return its graph under the name of its endpoint."""
    model = models[artifact["path"]] = Model(artifact)
    if model.on_gpu == 0:
        raise ValueError("the GPU refuses every operator")
    return {artifact["endpoints"][0]["name"]: {"main": model.function}}


def check(artifact: dict[str, Any], opened: runner.Opened) -> list[str]:
    """Return a message if a call that follows all others does not repeat the first."""
    return vulkan.repeat(models[artifact["path"]].first, {name: calls["main"] for name, calls in opened.items()})


def remarks(artifact: dict[str, Any], opened: runner.Opened) -> list[str]:
    """Return which operators run on the processor."""
    model = models[artifact["path"]]
    counts = f"{model.on_cpu} operators run on the processor, {model.on_gpu} on the GPU"
    return [f"{counts}: {', '.join(model.refused)}"] if model.refused else []


def version() -> str | None:
    """Return the version of the package where it and Mesa's driver are installed."""
    return ONNX_GPU.version if vulkan.DRIVER else None


def versions() -> dict[str, str]:
    """Return the versions of onnxruntime and of the driver's Vulkan."""
    return {"onnxruntime-webgpu": version() or "unknown", "numpy": np.__version__, **vulkan.versions()}


RUNTIME = runner.Runtime(
    "onnxruntime_webgpu",
    __file__,
    distribution="onnxruntime-webgpu",
    module="onnxruntime",
    formats=("onnx",),
    open=open_artifact,
    versions=versions,
    extra=True,
    on_request=True,
    probe=version,
    install=f"{vulkan.INSTALL}; {ONNX_GPU.command}",
    group="gpu",
    counterpart="onnxruntime",
    process=runner.Process(imports=("onnxruntime",), environment=vulkan.ENVIRONMENT, installation=ONNX_GPU),
    capabilities=runner.Capabilities(check=check, remarks=remarks),
)

if __name__ == "__main__":
    runner.main(RUNTIME)
