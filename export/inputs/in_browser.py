"""Run the JavaScript snippet on files in Chromium, which confines what it decodes."""

import shutil
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from export.protocol import chromium
from zoobase.errors import ExportError

SECONDS = 120.0
TYPES = {".jpg": "image/jpeg", ".png": "image/png"}
PAGE = """<!doctype html><script type="module">
$code
for (const [i, name, type] of $files) {
  let body;
  try {
    const blob = await (await fetch(name)).blob();
    body = await preprocess(new File([blob], name, { type }));
  } catch (error) {
    body = String(error);
  }
  await fetch(`result/$${i}`, { method: "POST", body });
}
</script>"""


class _Results(chromium.Handler):
    """Serves the page and its files, and receives the tensors."""

    def __init__(self, *args: object, received: dict[str, bytes], **options: object) -> None:
        self.received = received
        super().__init__(*args, **options)

    def do_POST(self) -> None:
        """Keep a result."""
        self.received[self.path.rpartition("/")[2]] = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()


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
    (folder / "index.html").write_text(PAGE.replace("$$", "$").replace("$code", code).replace("$files", repr(listed)))
    received: dict[str, bytes] = {}
    with chromium.serving(folder, partial(_Results, received=received)) as url, chromium.running(program, url):
        deadline = time.monotonic() + SECONDS
        while len(received) < len(files) and time.monotonic() < deadline:
            time.sleep(0.05)
    if len(received) < len(files):
        raise ExportError(f"Chromium returned {len(received)} of {len(files)} tensors within {SECONDS:g} s")
    tensors = {}
    for number, body in received.items():
        if len(body) % 4 or body[:5] in (b"Error", b"TypeE", b"Inval"):
            raise ExportError(f"the snippet raised {body.decode('utf-8', 'replace')[:200]}")
        tensors[f"javascript/{number}"] = np.frombuffer(body, "<f4")
    return tensors
