"""Seconds of one command in a fresh interpreter: command.py PYTHON_ARGUMENT..."""

import json
import subprocess
import sys
import time

start = time.perf_counter()
code = subprocess.run([sys.executable, *sys.argv[1:]], capture_output=True).returncode
seconds = time.perf_counter() - start
assert code in (0, 2), f"{sys.argv[1:]} ended with exit code {code}"  # 2: wrong usage, which is measured, too
print(json.dumps({"value": seconds}))
