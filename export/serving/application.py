"""A small server for one model on this machine: `python -m export.serving.application SETTINGS`, JSON of `Settings`.

REST paths and bodies of TF Serving for predict, metadata and status (https://www.tensorflow.org/tfx/serving/api_rest),
`/healthz`, and the pages of a bundle. This process reads HTTP and nothing else: bodies are parsed, and the model runs,
in a confined process (`export.serving.model_process`). For production there are TF Serving, KServe and Triton.
"""

import asyncio
import contextlib
import json
import mimetypes
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from export.protocol import loopback
from export.serving.model_process import ModelProcess

DRAIN_SECONDS = 8.0  # after SIGTERM, for the requests that are being answered


@dataclass(frozen=True)
class Settings:
    """What is served."""

    name: str  # the name of the model in the URL
    version: int  # the number of its version
    job: str  # the file with the job of the process that holds the model
    port: int  # a port of 127.0.0.1
    pages: str | None = None  # a folder of pages at /pages/, or None


def application(settings: Settings) -> Starlette:
    """Return the ASGI application."""
    model, version = ModelProcess(Path(settings.job)), str(settings.version)
    folder = Path(settings.pages) if settings.pages else None
    files = [path for path in folder.rglob("*") if path.is_file()] if folder else []  # kept: no descriptor is needed
    pages = {str(path.relative_to(folder)): (path.read_bytes(), mimetypes.guess_type(path)[0]) for path in files}

    def check(request: Request) -> None:
        """Raise HTTPException for another model, or another version."""
        name, number = request.path_params["name"], request.path_params.get("version", version)
        if (name, number) != (settings.name, version):
            what = f"Specific({name}, {number})" if "version" in request.path_params else f"Latest({name})"
            raise HTTPException(404, f"Servable not found for request: {what[:200]}")

    async def predict(request: Request) -> Response:
        check(request)
        status, body = await model.predict(await request.body())
        headers = {"Retry-After": loopback.RETRY_SECONDS} if status == 503 else None
        return Response(body, status, headers, media_type="application/json")

    async def status(request: Request) -> Response:
        check(request)
        state = {"error_code": "FAILED_PRECONDITION" if model.state == "END" else "OK", "error_message": model.error}
        return JSONResponse({"model_version_status": [{"version": version, "state": model.state, "status": state}]})

    async def metadata(request: Request) -> Response:
        check(request)
        spec = {"name": settings.name, "signature_name": "", "version": version}
        signatures = {"signature_def": {"signature_def": model.signatures}}
        return JSONResponse({"model_spec": spec, "metadata": signatures})

    async def health(request: Request) -> Response:
        return JSONResponse({"state": model.state}, 200 if model.state == "AVAILABLE" else 503)

    async def page(request: Request) -> Response:
        name = request.path_params["path"] or "index.html"
        if name not in pages:
            raise HTTPException(404, f"there is no page {name[:200]}")
        return Response(pages[name][0], media_type=pages[name][1] or "application/octet-stream")

    async def refuse(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return JSONResponse({"error": error.detail}, error.status_code, error.headers)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        running = asyncio.create_task(model.keep())
        yield
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running

    routes = [Route("/healthz", health), Route("/pages/{path:path}", page)]
    for base in ("/v1/models/{name}", "/v1/models/{name}/versions/{version}"):
        routes.append(Route(f"{base}:predict", predict, methods=["POST"]))
        routes += [Route(f"{base}/metadata", metadata), Route(base, status)]
    return Starlette(
        routes=routes,
        lifespan=lifespan,
        exception_handlers={HTTPException: refuse},
        middleware=[Middleware(loopback.Guard)],
    )


def main(settings: Settings) -> None:
    """Serve until the process is ended; on SIGTERM requests that are being answered are."""
    uvicorn.run(
        application(settings),
        host="127.0.0.1",
        port=settings.port,
        http=loopback.bounded_protocol(),
        loop="asyncio",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=int(DRAIN_SECONDS),
    )


if __name__ == "__main__":
    main(Settings(**json.loads(sys.argv[1])))
