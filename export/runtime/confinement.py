"""The kernel confines a command before it loads in its own process what anyone may have written."""

import os
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import zoobase
from export.protocol import machine
from zoobase.console import Console


def confine_command(reads: Iterable[str | Path], folder: str | Path) -> None:
    """Confine this process, if it is a command's: threads and processes that it starts later, too."""
    # It then reads what is named here and what it imports from, writes its temporary folder and `folder`, and has no
    # network. A process that calls a function of ours is its caller's, and stays as it is.
    if Console.is_process:
        os.makedirs(folder, exist_ok=True)
        code = (zoobase.ROOT, *filter(None, sys.path))
        writes = [tempfile.gettempdir(), os.path.realpath(folder)]
        machine.confine([*map(os.path.realpath, (*code, *reads))], writes)
