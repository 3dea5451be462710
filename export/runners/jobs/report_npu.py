"""Report what an NPU Ethos-U would take of a TFLite file: by Arm's compiler, in its environment.

`python -P report_npu.py JOB.json`, the job being {"file": path, "accelerator": such as "ethos-u55-128", "result": file,
"memory": bytes or null}
"""

import contextlib
import csv
import io
import re
import tempfile
from pathlib import Path

from machine import answer_job


def report(file: str, accelerator: str) -> dict[str, int]:
    """Return operators on the NPU and on the CPU, bytes of memory and of flash, and microseconds of an inference."""
    from ethosu.vela import vela

    output = io.StringIO()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(output):
        vela.main([file, "--accelerator-config", accelerator, "--output-dir", folder])
        with next(Path(folder).glob("*_summary_*.csv")).open() as table:
            row = next(csv.DictReader(table))
    counts = {place: int(count) for place, count in re.findall(r"(CPU|NPU) operators = (\d+)", output.getvalue())}
    flash = sum(float(row[name]) for name in ("on_chip_flash_memory_used", "off_chip_flash_memory_used"))
    return {
        "npu_operators": counts.get("NPU", 0),
        "cpu_operators": counts.get("CPU", 0),
        "npu_memory_bytes": round(1024 * float(row["sram_memory_used"])),
        "npu_flash_bytes": round(1024 * flash),
        "npu_microseconds": round(1e6 * float(row["inference_time"])),
    }


if __name__ == "__main__":
    answer_job(lambda job: report(job["file"], job["accelerator"]))
