"""Run a runner confined, in this interpreter: `python -P launch.py SCRIPT JOB`."""

import json
import runpy
import sys
from pathlib import Path

if __package__:
    from export.protocol import machine
else:
    import machine

if __name__ == "__main__":
    machine.confine(**json.loads(Path(sys.argv[2]).read_text())["confine"])
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name="__main__")
