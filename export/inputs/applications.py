"""Golden files in the runtimes of applications: the JavaScript snippet in Chromium, and MediaPipe's own resizing."""

import queue
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from export.contract import Artifact, Contract
from export.inputs.check import cost
from export.parity.cases import GoldenCase, write_golden
from export.protocol import chromium
from export.protocol.arrays import MAIN
from export.protocol.runner import Runtime
from export.runtime.execution import run_all
from zoobase.errors import ExportError

SECONDS = 120.0
TYPES = {".jpg": "image/jpeg", ".png": "image/png"}
PAGE = """<!doctype html><script type="module">
$code
for (const [i, name, type] of $files) {
  let body, kind = "tensor";
  try {
    const blob = await (await fetch(name)).blob();
    body = await preprocess(new File([blob], name, { type }));
  } catch (error) {
    [body, kind] = [String(error), "error"];
  }
  await fetch(`${kind}/${i}`, { method: "POST", body });
}
</script>"""


def in_chromium(code: str, files: Sequence[Path], scratch: Path) -> dict[str, np.ndarray]:
    """Return {"javascript/I": tensor float32 (N,)} of files; ExportError where Chromium is not installed, or fails."""
    program = chromium.find()
    if program is None:
        raise ExportError("No module named Chromium: install it, or set CHROMIUM")
    folder = scratch / "page"
    folder.mkdir()
    listed = []
    for i, path in enumerate(files):
        shutil.copyfile(path, folder / f"{i}{path.suffix}")
        listed.append([i, f"{i}{path.suffix}", TYPES.get(path.suffix, "")])
    (folder / "index.html").write_text(PAGE.replace("$code", code).replace("$files", repr(listed)))
    results: queue.Queue[tuple[str, bytes]] = queue.Queue()
    tensors = {}
    with chromium.serving(folder, chromium.receiver(results)) as url, chromium.running(program, url):
        deadline = time.monotonic() + SECONDS
        while len(tensors) < len(files):
            try:
                path, body = results.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                text = f"Chromium returned {len(tensors)} of {len(files)} tensors within {SECONDS:g} s"
                raise ExportError(text) from None
            kind, _, number = path.strip("/").partition("/")
            if kind == "error":
                raise ExportError(f"the snippet raised {body.decode('utf-8', 'replace')[:200]}")
            tensors[f"javascript/{number}"] = np.frombuffer(body, "<f4")
    return tensors


def in_mediapipe(
    folder: Path,
    contract: Contract,
    artifact: Artifact,
    runtime: Runtime,
    pixels: Mapping[int, np.ndarray],
    right: Mapping[str, np.ndarray],
) -> tuple[str | None, str | None]:
    """Give MediaPipe images in their own sizes; return a problem, or None and what its resizing changes, as a clause.

    Args:
        folder: The bundle.
        contract: Its contract.
        artifact: The TFLite file.
        runtime: The record of MediaPipe.
        pixels: Images uint8 (H, W, C) by row.
        right: The outputs (N, ...) of the artifact's endpoint for the golden tensors, by name.
    """
    endpoint = contract[artifact.endpoints[0]]
    tensor = endpoint.inputs[0]
    cases = [GoldenCase(f"file {row}", {tensor.name: image[None]}, compared=False) for row, image in pixels.items()]
    with tempfile.TemporaryDirectory(prefix="mediapipe-") as scratch:
        golden = Path(scratch) / "golden"
        write_golden(golden, {endpoint.name: cases})
        (run,) = run_all(folder, contract, {runtime.name: (runtime, [artifact])}, (), golden).values()
    arrays = run.of(endpoint.name).arrays
    keys = {output: [(case.name, MAIN, output) for case in cases] for output in right}
    problem = run.failure or next(iter(run.of(endpoint.name).errors.values()), None)
    if problem or any(key not in arrays for row in keys.values() for key in row):
        return problem or "it gave no output", None
    answered = {output: np.concatenate([arrays[key] for key in row]) for output, row in keys.items()}
    costs = cost(endpoint, {name: values[list(pixels)] for name, values in right.items()}, answered)
    if "changed" in costs:
        text = f"{costs['changed']} of {len(cases)} answers change"
    else:
        text = f"outputs change by up to {max(costs['largest_change'].values()):.3g}"
    wanted = f"give it {tensor.shape[2]} x {tensor.shape[1]} pixels"
    return None, f"MediaPipe resizes images itself, bilinear without antialias: {text}; {wanted}"
