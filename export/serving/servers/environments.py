"""The environments of servers, of older versions of TensorFlow, and of runtimes of devices; their installation."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import venv
from collections.abc import Callable

from export.runners.environments import MARK, MEDIAPIPE, TFLITE_MICRO, VELA, Environment
from zoobase.errors import Unavailable

KSERVE = Environment("kserve", ("kserve==0.21.0",), "KServe's ModelServer: TF Serving's REST URLs")
# with NumPy 2.4 Triton's Python backend returns empty outputs
TRITON = Environment("triton", ("nvidia-pytriton==0.7.0", "numpy==1.26.4"), "NVIDIA Triton 2.51: HTTP and gRPC")
OLDER = tuple(
    Environment(
        f"tensorflow-{version.rpartition('.')[0]}",
        (f"tensorflow-cpu=={version}",),
        f"the loader of TF Serving {version.rpartition('.')[0]}",
        dependencies=False,
    )
    for version in ("2.16.2", "2.17.1", "2.18.1", "2.19.1", "2.20.0")
)
ENVIRONMENTS = {
    environment.name: environment for environment in (KSERVE, TRITON, *OLDER, MEDIAPIPE, TFLITE_MICRO, VELA)
}


def install(environment: Environment, progress: Callable[[str], None] | None = None) -> None:
    """Create it and install the requirements from PyPI; nothing is done if it is there.

    Raises:
        Unavailable: If pip fails, such as without network.
    """
    environment.folder.parent.mkdir(parents=True, exist_ok=True)
    with environment.folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if environment.installed:
            return
        if progress:
            progress(f"installing {', '.join(environment.requirements)} in {environment.folder}")
        shutil.rmtree(environment.folder, ignore_errors=True)
        venv.create(environment.folder, symlinks=True, with_pip=True)
        command = [str(environment.python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        command += [*([] if environment.dependencies else ["--no-deps"]), *environment.requirements]
        result = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if result.returncode:
            shutil.rmtree(environment.folder, ignore_errors=True)
            errors = [line for line in result.stderr.splitlines() if line.startswith("ERROR: ")]
            reason = errors[-1].removeprefix("ERROR: ") if errors else f"exit code {result.returncode}"
            raise Unavailable(f"{environment.name} was not installed: pip failed: {reason}")
        (environment.folder / MARK).touch()
