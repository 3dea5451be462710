"""Run `make test` and print its CPU seconds, the time of all processes that it starts; also a row of the history."""

import csv
import json
import platform
import resource
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
HISTORY = ROOT / "benchmarks" / "suite_history.csv"


def main() -> None:
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(["make", "test"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - start
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    tests = len((ROOT / "build" / "passed.txt").read_text().splitlines())
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout
    with HISTORY.open("a", newline="") as file:
        today = datetime.now(UTC).date().isoformat()
        csv.writer(file).writerow([today, commit.strip(), tests, round(cpu), round(wall), platform.machine()])
    print(json.dumps({"value": round(cpu), "wall seconds": round(wall), "tests": tests}))


if __name__ == "__main__":
    main()
