"""GPU kernels on Mesa's Vulkan driver for processors: the driver, and calls that must give the same bits again."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

if __package__:
    from export.protocol.arrays import Arrays
else:
    from arrays import Arrays

DRIVER = next(iter(sorted(Path("/usr/share/vulkan/icd.d").glob("lvp_icd*.json"))), None)
ENVIRONMENT = {"VK_ICD_FILENAMES": str(DRIVER)}
INSTALL = "apt-get install mesa-vulkan-drivers"
CALLS, SECONDS = 50, 30.0  # the first call of each endpoint is repeated so often, at most so long


def keep_shaders() -> None:
    """Let Mesa keep its compiled shaders in the scratch folder."""
    os.environ["MESA_SHADER_CACHE_DIR"] = tempfile.gettempdir()


def versions() -> dict[str, str]:
    """Return the version of Vulkan that the driver implements."""
    driver = json.loads(DRIVER.read_text())["ICD"] if DRIVER else {}
    return {"Mesa's Vulkan on the processor": driver.get("api_version", "none")}


def repeat(
    first: Mapping[str, tuple[Arrays, Arrays]], functions: Mapping[str, Callable[[Arrays], Arrays]]
) -> list[str]:
    """Return a message if a call that follows all others does not repeat the first: inputs and outputs by endpoint."""
    for name, function in functions.items():
        inputs, outputs = first.get(name, ({}, {}))
        started = time.monotonic()
        for number in range(2, CALLS + 1) if outputs else ():
            again = function(inputs)
            for key, value in outputs.items():
                if not np.array_equal(value, again[key], equal_nan=value.dtype.kind == "f"):
                    return [f"endpoint {name}: call {number} of the same inputs returns another {key} than the first"]
            if time.monotonic() - started > SECONDS:
                break
    return []
