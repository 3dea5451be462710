"""Whether TensorFlow uses oneDNN, and which instruction set: determined before TensorFlow is imported.

TensorFlow enables oneDNN by default only on processors with AVX-512 VNNI or better. On others a convolutional network
trains about half as fast without it (`python -m benchmarks training` shows both), so this package enables it unless the
environment disables it.
"""

import os
import platform
import sys
from pathlib import Path
from typing import Any

VARIABLE = "TF_ENABLE_ONEDNN_OPTS"
_X86 = platform.machine().lower() in ("x86_64", "amd64")
DEFAULT: dict[str, str] = {VARIABLE: "1"} if _X86 else {}
_SETS = (  # best first: name, flag of /proc/cpuinfo, value of ONEDNN_MAX_CPU_ISA that excludes it
    ("AMX", "amx_tile", "AVX512_CORE_FP16"),
    ("AVX-512 BF16", "avx512_bf16", "AVX512_CORE_VNNI"),
    ("AVX-512 VNNI", "avx512_vnni", "AVX512_CORE"),
    ("AVX-512", "avx512f", "AVX2_VNNI_2"),
    ("AVX2", "avx2", "AVX"),
    ("AVX", "avx", "SSE41"),
)
_LEVELS = (
    *("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI", "AVX512_CORE_BF16"),
    *("AVX512_CORE_FP16", "AVX10_1_512", "AVX512_CORE_AMX", "AVX10_1_512_AMX", "AVX512_CORE_AMX_FP16"),
)


def choose() -> None:
    """Enable oneDNN, unless the environment sets it or TensorFlow is already imported."""
    # If TensorFlow is already imported without it, one line on stderr reports the loss of speed.
    if not DEFAULT or VARIABLE in os.environ:
        return
    if "tensorflow" not in sys.modules:
        os.environ.update(DEFAULT)
    elif not is_on():
        print(
            f"TensorFlow was imported without oneDNN, which halves its speed on this processor: "
            f"set {VARIABLE}=1, or import zoo or export before tensorflow",
            file=sys.stderr,
        )
        os.environ[VARIABLE] = "0"  # the actual state; reported once


def is_on() -> bool:
    """Return whether the TensorFlow of this process uses oneDNN; imports TensorFlow."""
    from tensorflow.python.util import _pywrap_util_port

    return bool(_pywrap_util_port.IsMklEnabled())


def is_chosen() -> bool:
    """Return whether child processes use oneDNN."""
    return os.environ.get(VARIABLE, "1").lower() not in ("0", "false")


def other_kernels() -> dict[str, str] | None:
    """Return the environment in which TensorFlow uses its other kernels; None where it has no others."""
    return {VARIABLE: "0" if is_chosen() else "1"} if _X86 else None


def is_default() -> bool:
    """Return whether TensorFlow enables oneDNN by default on this processor."""
    return instruction_set() in ("AMX", "AVX-512 BF16", "AVX-512 VNNI")


def instruction_set() -> str:
    """Return the best instruction set that oneDNN may use, such as "AVX2" or "AMX"; the architecture if unknown."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    flags = next((set(line.split()) for line in lines if line.startswith("flags")), set())
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper()
    level = _LEVELS.index(limit) if limit in _LEVELS else len(_LEVELS)
    allowed = (
        name for name, flag, excluding_limit in _SETS if flag in flags and level > _LEVELS.index(excluding_limit)
    )
    return next(allowed, platform.machine())


def describe() -> dict[str, Any]:
    """Return {"onednn", "instruction_set"} of this process, for files that record where something was measured."""
    return {"onednn": is_on(), "instruction_set": instruction_set()}
