"""Run the JavaScript snippet on files in Chromium, which confines what it decodes."""

import queue
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from export.protocol import chromium
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


def preprocess(code: str, files: Sequence[Path], scratch: Path) -> dict[str, np.ndarray]:
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
