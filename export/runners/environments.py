"""Environments of this project for what cannot be installed beside TensorFlow. Only the standard library."""

import hashlib
import json
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

if __package__:
    from export.protocol.machine import cache_folder
else:
    from machine import cache_folder

VULKAN = next(iter(sorted(Path("/usr/share/vulkan/icd.d").glob("lvp_icd*.json"))), None)  # Mesa's, for processors
INSTALL_VULKAN = "apt-get install mesa-vulkan-drivers"
MARK = ".installed"  # written last: a folder without it is of an installation that did not finish


@dataclass(frozen=True)
class Environment:
    """A virtual environment in the cache of this project."""

    name: str  # its name for `python -m export servers --install NAME`
    requirements: tuple[str, ...]  # what pip installs; the versions are pinned
    purpose: str  # what it is used for
    dependencies: bool = True  # whether pip installs the dependencies, too
    is_large: bool = False  # whether it is installed only where it is asked for by name, because it takes gigabytes

    @property
    def folder(self) -> Path:
        """The path of the environment; other requirements or another Python have another one."""
        content = repr((self.requirements, self.dependencies, sys.version_info[:2]))
        return cache_folder() / "servers" / f"{self.name}-{hashlib.sha256(content.encode()).hexdigest()[:8]}"

    @property
    def installed(self) -> bool:
        """Whether it is there."""
        return (self.folder / MARK).is_file()

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    @property
    def packages(self) -> Path:
        """The folder of its packages."""
        return self.folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"

    @property
    def hint(self) -> str:
        """How it is installed."""
        return f"{self.name} is not installed; {self.command}"

    @property
    def command(self) -> str:
        """The command that installs it."""
        return f"python -m export servers --install {self.name}"

    @property
    def version(self) -> str | None:
        """The version of its first requirement, or None where it is not installed."""
        return self.requirements[0].partition("==")[2] if self.installed else None


# Without OpenCV, Matplotlib and sounddevice, which draw and record: 220 MB, 3 s
MEDIAPIPE = Environment(
    "mediapipe",
    ("mediapipe==1.2.3", "numpy==2.4.6", "absl-py==2.3.1", "flatbuffers==25.12.19", "certifi"),
    "MediaPipe Tasks: the library that opens TFLite files on phones",
    dependencies=False,
)
# Both 105 MB, 4 s
TFLITE_MICRO = Environment(
    "tflite-micro",
    ("tflite-micro==0.dev20261023182759", "numpy==2.4.6", "flatbuffers==25.12.19", "pyyaml==6.0.3"),
    "LiteRT for microcontrollers",
    dependencies=False,
)
VELA = Environment(
    "vela",
    ("ethos-u-vela==5.2.0", "numpy==2.4.6", "flatbuffers==25.12.19"),
    "Arm's compiler for the NPU Ethos-U: a report of what it would take",
    dependencies=False,
)
# Its module is called as that of `onnxruntime`: 120 MB, 4 s
ONNX_GPU = Environment(
    "onnxruntime-webgpu",
    ("onnxruntime-webgpu==1.27.0", "numpy==2.4.6", "flatbuffers==25.12.19", "protobuf==7.36.2", "packaging==26.4"),
    "onnxruntime's kernels for GPUs, in WebGPU",
    dependencies=False,
)
# 5 GB, 3 min: PyPI has no PyTorch without CUDA for this processor
TORCH = Environment(
    "torch", ("torch==2.9.1", "numpy==2.4.6"), "PyTorch, for programs of torch.export (.pt2)", is_large=True
)


def use_vulkan() -> None:
    """Let this process use that driver, and keep its compiled shaders in the scratch folder."""
    os.environ |= {"VK_ICD_FILENAMES": str(VULKAN), "MESA_SHADER_CACHE_DIR": tempfile.gettempdir()}


def vulkan_version() -> dict[str, str]:
    """Return the version of Vulkan that Mesa's driver for processors implements."""
    driver = json.loads(VULKAN.read_text())["ICD"] if VULKAN else {}
    return {"Mesa's Vulkan on the processor": driver.get("api_version", "none")}
