"""Run the signatures of a TFLite file in headless Chromium by LiteRT.js, with the script of the pages of `export web`.

The page asks this process for the next call and posts its outputs, over HTTP on loopback. In a runtime of its own
LiteRT.js computes by WebGPU, on SwiftShader, Chromium's driver for processors.
"""

import atexit
import base64
import contextlib
import dataclasses
import json
import os
import queue
from pathlib import Path
from typing import Any

import numpy as np

if __package__:
    from export.protocol import calls, chromium, litert_js, machine, runner
    from export.runners import run_litert_gpu
else:
    import calls
    import chromium
    import litert_js
    import machine
    import run_litert_gpu
    import runner

STATIC = Path(__file__).parent.parent / "serving" / "web" / "static"
SECONDS = 120  # without an answer of the browser
GPU = "EXPORT_BROWSER_GPU"  # in the environment: compute by WebGPU
SWIFTSHADER = ("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader")


class Browser:
    """A page in Chromium that answers calls. Started once for all artifacts."""

    def __init__(self) -> None:
        self.calls: queue.Queue[bytes] = queue.Queue()
        self.results: queue.Queue[bytes] = queue.Queue()
        self.models: dict[str, Path] = {}
        program = chromium.find()
        if program is None or not litert_js.is_present():
            raise FileNotFoundError("Chromium or LiteRT.js is not installed")
        query, options = ("?accelerator=webgpu", SWIFTSHADER) if GPU in os.environ else ("", ())
        with contextlib.ExitStack() as stack:
            url = stack.enter_context(chromium.serving(STATIC, _handler(self)))
            self.process = stack.enter_context(chromium.running(program, f"{url}/runner.html{query}", options))
            atexit.register(stack.pop_all().close)

    def call(self, model: Path, endpoint: str | None, inputs: runner.Arrays) -> dict[str, Any]:
        """Return the answer of the page to one call."""
        name = str(list(self.models.values()).index(model)) if model in self.models.values() else str(len(self.models))
        self.models[name] = model
        values = {k: {"dtype": v.dtype.name, "data": base64.b64encode(v).decode()} for k, v in inputs.items()}
        self.calls.put(json.dumps({"model": name, "endpoint": endpoint, "inputs": values}).encode())
        try:
            answer = json.loads(self.results.get(timeout=SECONDS))
        except queue.Empty:
            raise ValueError(f"the browser does not answer within {SECONDS} s") from None
        if "error" in answer:
            raise ValueError("; ".join([answer["error"], *run_litert_gpu.PROBLEM.findall(answer["messages"])[-1:]]))
        return answer


def _handler(browser: Browser) -> type[chromium.Handler]:
    """Return a handler that serves the page, LiteRT.js, the models, and the calls."""

    class Handler(chromium.Handler):
        def translate_path(self, path: str) -> str:
            name = path.partition("?")[0].lstrip("/")
            if name.startswith("models/"):
                return str(browser.models.get(name.removeprefix("models/"), STATIC / "missing"))
            name = name.removeprefix("assets/")
            if name.startswith("litert/"):
                return str(litert_js.folder() / os.path.basename(name))
            return str(STATIC / os.path.basename(name))

        def do_GET(self) -> None:
            if self.path == "/next":
                self._send(browser.calls.get())  # the page waits for the next call
            else:
                super().do_GET()

        def do_POST(self) -> None:
            browser.results.put(self.rfile.read(int(self.headers["Content-Length"])))
            self._send(b"{}")

        def _send(self, content: bytes) -> None:
            with contextlib.suppress(ConnectionError):  # the browser has ended
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

    return Handler


_browser: list[Browser] = []


def open_artifact(artifact: dict[str, Any], examples: dict[str, Any]) -> runner.Opened:
    """Load a TFLite file in the browser and return its signatures."""
    # Endpoints with strings or with sizes that are known only at run time are left out.
    obstacles = {endpoint["name"]: litert_js.obstacle(endpoint) for endpoint in artifact["endpoints"]}
    endpoints = [endpoint for endpoint in artifact["endpoints"] if not obstacles[endpoint["name"]]]
    if not endpoints:
        raise ValueError(next(iter(obstacles.values())))
    if not _browser:
        _browser.append(Browser())
    browser, path = _browser[0], Path(artifact["path"])
    answer = browser.call(path, None, {})
    report = run_litert_gpu.reports[str(path)] = run_litert_gpu.Report(answer["messages"])
    present = [name.replace(run_litert_gpu.NO_SIGNATURE, "") for name in answer["endpoints"]]

    def function(endpoint: dict[str, Any]) -> runner.Function:
        takes = {t["name"]: t["dtype"] for t in endpoint["inputs"]}
        shapes = {t["name"]: [1 if n is None else n for n in t["shape"]] for t in endpoint["outputs"]}
        rows = 1 if any(t["shape"][:1] == [None] for t in endpoint["inputs"]) else None  # LiteRT.js resizes no tensor

        def call(inputs: runner.Arrays) -> runner.Arrays:
            arrays = {name: np.ascontiguousarray(value, takes[name]) for name, value in inputs.items()}
            answer = browser.call(path, endpoint["name"] or run_litert_gpu.NO_SIGNATURE, arrays)
            report.errors += run_litert_gpu.ERROR.findall(answer["messages"])
            return {
                name: np.frombuffer(base64.b64decode(output["data"]), output["dtype"]).reshape(shapes[name])
                for name, output in answer["outputs"].items()
            }

        return calls.KeepsFirst(lambda inputs: calls.in_batches(call, inputs, rows))

    return runner.by_endpoint({"endpoints": endpoints}, function, present)


def versions() -> dict[str, str]:
    """Return the versions of the browser and of LiteRT.js."""
    program = chromium.find()
    return {"chromium": chromium.version(program) if program else "none", **litert_js.versions()}


def installed_version() -> str | None:
    """Return the version of Chromium where it and LiteRT.js are there."""
    program = chromium.find()
    return chromium.version(program) if program and litert_js.is_present() else None


RUNTIME = runner.Runtime(
    "browser",
    __file__,
    distribution=litert_js.PACKAGE,
    module="",
    formats=("tflite",),
    open=open_artifact,
    versions=versions,
    extra=True,
    on_request=True,
    probe=installed_version,
    install="install Chromium, and run `python -m export web` once, which downloads LiteRT.js",
    process=runner.Process(
        reads=("/etc", "/proc", "/sys", "/run", "/var/cache/fontconfig"),
        writes=("/dev/shm", str(machine.cache_folder())),
        network=True,  # between this process and Chromium
    ),
)
WEBGPU = dataclasses.replace(
    RUNTIME,
    name="browser_webgpu",
    group="gpu",
    counterpart="litert",
    process=dataclasses.replace(RUNTIME.process, environment={GPU: "1"}),
    capabilities=run_litert_gpu.RUNTIME.capabilities,
)

if __name__ == "__main__":
    runner.main(WEBGPU if GPU in os.environ else RUNTIME)
