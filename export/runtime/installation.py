"""Install a Python environment of this project in the cache, once."""

import fcntl
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable

from export.runners.environments import MARK, Environment
from zoobase.errors import Unavailable

PIP = (sys.executable, "-m", "pip")


def install(environment: Environment, progress: Callable[[str], None] | None = None) -> None:
    """Create it and install the requirements from PyPI; nothing is done if it is there."""
    environment.folder.parent.mkdir(parents=True, exist_ok=True)
    with environment.folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if environment.installed:
            return
        if progress:
            progress(f"installing {', '.join(environment.requirements)} in {environment.folder}")
        shutil.rmtree(environment.folder, ignore_errors=True)
        venv.create(environment.folder, symlinks=True)
        command = [*PIP, "--python", str(environment.python), "install", "--quiet", "--disable-pip-version-check"]
        command += [*([] if environment.dependencies else ["--no-deps"]), *environment.requirements]
        result = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if result.returncode:
            shutil.rmtree(environment.folder, ignore_errors=True)
            errors = [line for line in result.stderr.splitlines() if line.startswith("ERROR: ")]
            reason = errors[-1].removeprefix("ERROR: ") if errors else f"exit code {result.returncode}"
            raise Unavailable(f"{environment.name} was not installed: pip failed: {reason}")
        (environment.folder / MARK).touch()
