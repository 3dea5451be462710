"""Run the signatures of a TFLite file with LiteRT's C API: by the program that DEVICES.md prints, compiled here."""

import hashlib
import importlib.metadata
import os
import secrets
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

if __package__:
    from export.protocol import machine, runner
else:
    import machine
    import runner

SOURCE = Path(__file__).parent / "programs" / "litert_run.c"
PACKAGE, LIBRARY = "ai_edge_litert", "libLiteRt.so"
COMPILERS = ("cc", "gcc", "clang")


def compiler() -> str | None:
    """Return the path of a C compiler, or None."""
    return next(filter(None, map(shutil.which, COMPILERS)), None)


def library_folder() -> Path | None:
    """Return the folder of LiteRT's shared library, or None."""
    return machine.folder_with(PACKAGE, LIBRARY)


def program() -> Path:
    """Return the path of the compiled program; another source or library has another one."""
    content = SOURCE.read_bytes() + str(library_folder()).encode() + (version() or "").encode()
    return machine.cache_folder() / "programs" / hashlib.sha256(content).hexdigest()[:12] / SOURCE.stem


def prepare() -> list[str]:
    """Compile the program where it is not there; return its folder."""
    target, folder = program(), library_folder()
    if target.is_file():
        return [str(target.parent)]
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(secrets.token_hex(4))
    command = [
        compiler() or COMPILERS[0],
        "-O2",
        "-o",
        partial,
        SOURCE,
        f"-L{folder}",
        "-lLiteRt",
        f"-Wl,-rpath,{folder}",
    ]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(f"{command[0]} cannot compile {SOURCE.name}: {result.stderr.strip()[-300:]}")
    os.replace(partial, target)
    return [str(target.parent)]


def version() -> str | None:
    """Return the version of LiteRT where its library and a C compiler are there."""
    is_there = sys.platform == "linux" and library_folder() is not None and compiler() is not None
    return importlib.metadata.version("ai-edge-litert") if is_there else None


def open_artifact(artifact: dict[str, Any], examples: dict[str, Any]) -> runner.Opened:
    """Return the signatures of a TFLite file; those with strings or with sizes known only at run time are left out."""

    def is_fixed(endpoint: dict[str, Any]) -> bool:
        tensors = [*endpoint["inputs"], *endpoint["outputs"]]
        return all(t["dtype"] != "string" and None not in t["shape"][1:] for t in tensors)

    return {e["name"]: {"main": Program(artifact["path"], e).call} for e in artifact["endpoints"] if is_fixed(e)}


class Program:
    """The compiled program, which runs one signature of a file again and again."""

    def __init__(self, path: str, endpoint: dict[str, Any]) -> None:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self.process = subprocess.Popen([program(), path, endpoint["name"]], **pipes)
        tensors = [*endpoint["inputs"], *endpoint["outputs"]]
        self.tensors = {t["name"]: (t["dtype"], [1 if n is None else n for n in t["shape"]]) for t in tensors}
        self.order: dict[str, list[str]] = {"input": [], "output": []}
        lines = []
        while sum(map(len, self.order.values())) < len(tensors):
            line = self.process.stderr.readline().decode(errors="replace")
            if not line:
                raise RuntimeError(f"the program ended with {self.process.wait()}: {' '.join(lines[-2:])}")
            lines.append(line.strip())
            kind, *rest = line.split()
            if kind in self.order:
                self.order[kind].append(rest[0])

    def call(self, inputs: runner.Arrays) -> runner.Arrays:
        """Return the outputs of one row."""
        for name in self.order["input"]:
            self.process.stdin.write(np.ascontiguousarray(inputs[name], self.tensors[name][0]).tobytes())
        self.process.stdin.flush()
        outputs = {}
        for name in self.order["output"]:
            dtype, shape = self.tensors[name]
            size = int(np.prod(shape)) * np.dtype(dtype).itemsize
            data = self.process.stdout.read(size)
            if len(data) < size:
                raise RuntimeError(f"the program ended with {self.process.wait()}")
            outputs[name] = np.frombuffer(data, dtype).reshape(shape)
        return outputs


RUNTIME = runner.Runtime(
    "litert_c",
    __file__,
    distribution="ai-edge-litert",
    module=PACKAGE,
    formats=("tflite",),
    open=open_artifact,
    versions=lambda: {"LiteRT C API": version() or "unknown"},
    extra=True,
    on_request=True,
    probe=version,
    install="install a C compiler (gcc) and pip install ai-edge-litert",
    process=runner.Process(prepare=prepare),
)

if __name__ == "__main__":
    runner.main(RUNTIME)
