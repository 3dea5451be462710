"""Self-contained scripts that run one artifact in one runtime, each in a fresh process.

`python -P run_NAME.py JOB.json`: nothing here imports more of `export` than `protocol`, so that only the artifact
is tested. A runtime is one file: its script with its record, `RUNTIME`, which is collected here.
"""

from collections.abc import Iterable

from export.protocol.runner import Runtime
from export.runners import (
    run_browser,
    run_c_api,
    run_keras,
    run_litert,
    run_litert_c,
    run_litert_gpu,
    run_mediapipe,
    run_onnx,
    run_openvino,
    run_tensorflow,
    run_tflite_micro,
    run_torch,
)

_SCRIPTS = (
    *(run_keras, run_tensorflow, run_c_api, run_openvino, run_onnx),
    *(run_litert, run_litert_c, run_mediapipe, run_tflite_micro, run_browser, run_torch),
)
_ON_GPU = (run_litert_gpu.RUNTIME, run_litert_gpu.IN_HALF, run_onnx.WEBGPU, run_browser.WEBGPU)
_RECORDS = (*(script.RUNTIME for script in _SCRIPTS), *_ON_GPU)
RUNTIMES: dict[str, Runtime] = {runtime.name: runtime for runtime in _RECORDS}
GROUPS = tuple(dict.fromkeys(runtime.group for runtime in RUNTIMES.values() if runtime.group))
FRAMEWORKS = frozenset({"tf_keras", "torch", "jax"}.union(*(runtime.process.imports for runtime in RUNTIMES.values())))


def runtimes_of(format: str) -> list[Runtime]:
    """Return the runtimes that run a format, those that a bundle requires first."""
    return [runtime for runtime in RUNTIMES.values() if format in runtime.formats]


def members(names: Iterable[str], formats: Iterable[str]) -> list[str]:
    """Return the names, that of a group replaced by those of its runtimes that run any of the formats."""
    able = [runtime for runtime in RUNTIMES.values() if {*runtime.formats} & {*formats}]
    of_groups = {group: [r.name for r in able if r.group == group] for group in GROUPS}
    return [member for name in names for member in of_groups.get(name) or [name]]
