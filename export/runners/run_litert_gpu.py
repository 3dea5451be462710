"""Run the signatures of a TFLite file with the GPU kernels of LiteRT, on Mesa's Vulkan driver for processors.

They are those of its WebGPU backend, in float32 or, in a runtime of its own, in half precision as on phones.
"""

import dataclasses
import importlib.metadata
import os
import re
from typing import Any

import numpy as np

if __package__:
    from export.protocol import calls, machine, runner
    from export.runners import environments
else:
    import calls
    import environments
    import machine
    import runner

PACKAGE, LIBRARY = "ai_edge_litert", "libLiteRtWebGpuAccelerator.so"
HALF = "EXPORT_GPU_HALF"  # in the environment: compute in half precision
BUFFERS = ("float32", "float16", "int32", "int8", "uint8", "bool")  # dtypes that LiteRT's Python API passes
REFUSED = "not supported by GPU delegate:\n"  # before the operators that run on the processor, a line each
COUNTS = re.compile(r"(\w+) operations will run on the GPU, and (?:all|the remaining) (\d+) operations")
PROBLEM = re.compile(r"^(?:ERROR: (?!\[)|WARNING: (?=Attempting)|E\d{4} .*?\] )(.+)$", re.MULTILINE)
ERROR = re.compile(r"^E\d{4} .*?\] (.+)$", re.MULTILINE)  # values are returned nevertheless
NO_SIGNATURE = "<placeholder signature>"


class Report:
    """What LiteRT logs of a file that it compiles for a GPU, and errors of its calls."""

    def __init__(self, log: str) -> None:
        """Read which operators run where; ValueError if the GPU refuses all of them."""
        after = [text.partition("operations will run")[0].splitlines()[:-1] for text in log.split(REFUSED)[1:]]
        self.refused = list(dict.fromkeys(line for lines in after for line in lines))
        self.reported, self.errors = [*dict.fromkeys(ERROR.findall(log))], []  # when it was compiled, and in calls
        found = [(int(n) if n.isdigit() else 0, int(m)) for n, m in COUNTS.findall(log)]
        self.on_gpu, self.on_cpu = map(sum, zip(*found, strict=True)) if found else (None, 0)
        if self.on_gpu == 0:
            raise ValueError(f"the GPU refuses every operator: {'; '.join(self.refused)}")


class Model:
    """A file compiled for the GPU; what the GPU refuses runs on the processor, as it does in an app that allows it."""

    def __init__(self, path: str) -> None:
        environments.use_vulkan()
        from ai_edge_litert.compiled_model import CompiledModel, GpuOptions, HardwareAccelerator, Options

        options = Options(
            HardwareAccelerator.GPU | HardwareAccelerator.CPU,
            gpu_options=GpuOptions(enforce_f32=HALF not in os.environ),
        )
        with machine.captured_messages() as messages:
            try:
                self.compiled = CompiledModel.from_file(path, options=options)
            except RuntimeError as error:
                lines = PROBLEM.findall(messages())
                raise ValueError(f"the GPU cannot compile it: {lines[-1] if lines else error}") from error
            self.report = reports[path] = Report(messages())
        self.buffers: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}

    def call(self, endpoint: dict[str, Any], inputs: runner.Arrays) -> runner.Arrays:
        """Return the outputs of a signature, by name."""
        name = endpoint["name"] or NO_SIGNATURE
        arrays = {t["name"]: np.ascontiguousarray(inputs[t["name"]], t["dtype"]) for t in endpoint["inputs"]}
        with machine.captured_messages() as messages:
            takes, gives = self._buffers(name, arrays)
            for key, array in arrays.items():
                takes[key].write(array)
            self.compiled.run_by_name(name, takes, gives)
            self.report.errors += ERROR.findall(messages())
        outputs = {}
        for key, buffer in gives.items():
            found = buffer.get_tensor_details()
            outputs[key] = buffer.read(int(np.prod(found["shape"])), found["dtype"]).reshape(found["shape"])
        return outputs

    def _buffers(self, name: str, arrays: runner.Arrays) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the buffers of a signature, new ones where the sizes of the inputs are others than before."""
        present = self.compiled.get_input_tensor_details(name)
        if changed := [key for key, array in arrays.items() if tuple(present[key]["shape"]) != array.shape]:
            for key in changed:
                self.compiled.resize_input_tensor_by_name(name, key, arrays[key].shape)
        if changed or name not in self.buffers:
            signature = self.compiled.get_signature_list()[name]
            takes = {key: self.compiled.create_input_buffer_by_name(name, key) for key in signature["inputs"]}
            gives = {key: self.compiled.create_output_buffer_by_name(name, key) for key in signature["outputs"]}
            self.buffers[name] = takes, gives
        return self.buffers[name]


reports: dict[str, Report] = {}  # by path


def open_artifact(artifact: dict[str, Any], examples: dict[str, Any]) -> runner.Opened:
    """Load a TFLite file and return its signatures; those with tensors that have no buffers here are left out."""

    def is_able(endpoint: dict[str, Any]) -> bool:
        return all(t["dtype"] in BUFFERS for t in (*endpoint["inputs"], *endpoint["outputs"]))

    able = [endpoint for endpoint in artifact["endpoints"] if is_able(endpoint)]
    if not able:
        raise ValueError(f"LiteRT's Python API passes only {', '.join(BUFFERS)} to a GPU")
    model = Model(str(artifact["path"]))

    def function(endpoint: dict[str, Any]) -> runner.Function:
        return calls.KeepsFirst(lambda inputs: model.call(endpoint, inputs))

    present = [name.replace(NO_SIGNATURE, "") for name in model.compiled.get_signature_list()]
    return runner.by_endpoint({"endpoints": able}, function, present)


def check(artifact: dict[str, Any], opened: runner.Opened) -> list[str]:
    """Return the first error in a call, or a message if a call that follows all others does not repeat the first."""
    if errors := reports[str(artifact["path"])].errors:
        return [f"LiteRT reports an error and returns values nevertheless: {errors[0]}"]
    return calls.repeat(opened)


def remarks(artifact: dict[str, Any], opened: runner.Opened) -> list[str]:
    """Return which operators run on the processor, and what was reported when the file was compiled."""
    report = reports[str(artifact["path"])]
    counts = f"{report.on_cpu} operators run on the processor, {report.on_gpu} on the GPU"
    refused = [f"{counts}: {'; '.join(report.refused)}"] if report.refused else []
    return [*refused, *(f"LiteRT reports: {text}" for text in report.reported)]


def version() -> str | None:
    """Return the version of LiteRT where it holds the GPU's kernels and Mesa's driver is installed."""
    is_there = environments.VULKAN is not None and machine.folder_with(PACKAGE, LIBRARY) is not None
    return importlib.metadata.version("ai-edge-litert") if is_there else None


def versions() -> dict[str, str]:
    """Return the versions of LiteRT and of the driver's Vulkan."""
    return {"LiteRT GPU": version() or "unknown", **environments.vulkan_version()}


RUNTIME = runner.Runtime(
    "litert_gpu",
    __file__,
    distribution="ai-edge-litert",
    module=PACKAGE,
    formats=("tflite",),
    open=open_artifact,
    versions=versions,
    extra=True,
    on_request=True,
    probe=version,
    install=environments.INSTALL_VULKAN,
    group="gpu",
    counterpart="litert",
    process=runner.Process(imports=(PACKAGE,)),
    capabilities=runner.Capabilities(check=check, remarks=remarks),
)
IN_HALF = dataclasses.replace(
    RUNTIME,
    name="litert_gpu_half",
    precision="float16",
    process=dataclasses.replace(RUNTIME.process, environment={HALF: "1"}),
)

if __name__ == "__main__":
    runner.main(IN_HALF if HALF in os.environ else RUNTIME)
