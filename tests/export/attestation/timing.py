"""How long attesting and checking a bundle takes: `python -m tests.export.attestation.timing BUNDLE`.

Median of 20 calls in one process, after one that imports the libraries; of commands, with the start of Python.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from export.attestation import bom, envelope, statement
from export.attestation.policy import Policy, admit
from export.bundle.layout import read_manifest
from tests.export.attestation.mutations import SCRIPT, write_keys


def median(call, count=20):
    call()
    seconds = []
    for _ in range(count):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def measure(bundle):
    with tempfile.TemporaryDirectory() as scratch:
        private, public, *_ = write_keys(Path(scratch))
        payloads = statement.statements_of(bundle)
        manifest = read_manifest(bundle)
        policy = Path(scratch) / "policy.toml"
        policy.write_text(f'signers = ["{public}"]\n')
        times = {
            "state: hash every file, write the statements": median(lambda: statement.statements_of(bundle)),
            "sign": median(lambda: envelope.sign(bundle, payloads, private)),
            "admit: signature, every file, policy": median(lambda: admit(bundle, Policy(signers=[public]))),
            "bill of materials": median(lambda: bom.to_json("name", manifest)),
        }
        words = [sys.executable, str(SCRIPT), str(bundle), str(public)]
        times["the thirty lines, as a command"] = median(lambda: subprocess.run(words, check=True), 5)
        words = [sys.executable, "-m", "export", "admit", str(bundle), "--policy", str(policy), "--quiet"]
        times["`export admit`, as a command"] = median(lambda: subprocess.run(words, check=True), 5)
        envelope.envelopes_of(bundle).unlink()
    return times


if __name__ == "__main__":
    for what, seconds in measure(Path(sys.argv[1])).items():
        print(f"| {what} | {seconds:.3f} s |")
