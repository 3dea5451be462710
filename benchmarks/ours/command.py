"""Seconds of one command in a fresh interpreter: command.py PYTHON_ARGUMENT..."""

import json
import subprocess
import sys
import time

start = time.perf_counter()
subprocess.run([sys.executable, *sys.argv[1:]], capture_output=True)
print(json.dumps({"value": time.perf_counter() - start}))
