"""Whether files can be read in bounded time and memory: asked of a process that may die, before this one reads them.

A few bytes can name one table a million times, or end the HDF5 library. As a script: `launch.py readable.py JOB`.
"""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from export.artifacts import describe
from export.runtime import process
from zoobase.files import check_dense

SECONDS, BYTES_PER_SECOND = 20, 10**7  # of CPU time of a process, and what it may take longer for
MEMORY, TIMES = 2**31, 10  # bytes, and times the size of the files


def unreadable(paths: Sequence[Path]) -> dict[Path, str]:
    """Return {file or folder: why another process cannot read it within its bounds} of those that it cannot read."""
    files = [file for path in paths for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file()]
    for file in files:
        check_dense(file)
    size = sum(file.stat().st_size for file in files)
    bounds = {"seconds": SECONDS + size / BYTES_PER_SECOND, "memory": MEMORY + TIMES * size}
    job = {"paths": [str(path.resolve()) for path in paths]}
    with tempfile.TemporaryDirectory(prefix="reading-") as scratch:
        options = {"packages": ["export", "zoobase"], "reads": paths, **bounds}
        _, problem = process.run_job(__file__, job, Path(scratch), **options)
    if problem is None:
        return {}
    if len(paths) == 1:
        return {paths[0]: f"the process that read it {problem}"}
    return {path: text for path in paths for text in unreadable([path]).values()}


def read(job: Mapping[str, Any]) -> None:
    """Read the files of a job; what they raise is raised again where they are used."""
    for path in map(Path, job["paths"]):
        try:
            describe(path, complete=False)
        except Exception as error:
            if isinstance(error, MemoryError) or isinstance(error.__cause__, MemoryError):
                raise


if __name__ == "__main__":
    import machine

    machine.answer_job(read)
