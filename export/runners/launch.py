"""Run another script of this folder confined, in this interpreter: `python -P launch.py SCRIPT JOB`."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import confine

if __name__ == "__main__":
    confine.confine(**json.loads(Path(sys.argv[2]).read_text())["confine"])
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name="__main__")
