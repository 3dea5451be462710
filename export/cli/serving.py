"""python -m export serve-check, serve and servers: check a base path, serve a model here, install servers."""

import contextlib
import re
import signal
import sys
import tempfile
from pathlib import Path

import click

from export.cli import PATH, show, trust_option
from zoobase import Console, common_options
from zoobase.console import echo
from zoobase.errors import ExportError

SERVERS = ("tensorflow_model_server", "builtin", "kserve", "triton")


@click.command("serve-check")
@click.argument("base_path", type=PATH)
@click.option("--require", multiple=True, metavar="LEVEL", help="Incomplete without this level; may be repeated.")
@click.option("--url", help="TF Serving that runs already: http://HOST:8501/v1/models/NAME.")
@trust_option
@common_options
def serve_check_command(
    base_path: Path, require: tuple[str, ...], url: str | None, trust: tuple[str, ...], console: Console
) -> None:
    """Check, level by level, whether TF Serving can load and serve the newest version under BASE_PATH.

    The levels kserve_v1, triton and older_c_api run what `python -m export servers` installed. The last level asks the
    server at --url, or runs tensorflow_model_server, if the environment variable TENSORFLOW_MODEL_SERVER is its path.
    Exit code 0 pass, 1 fail,
    3 a required level could not run here.
    """
    from export.serving.servecheck import check_serving

    report = check_serving(base_path, require=require, trust=trust, url=url, progress=console.progress)
    rows = [(level.name, level.state, level.reason or level.details) for level in report.levels]
    show(console, report.to_json(), table=(("level", "state", ""), rows))
    if not console.json and (not console.quiet or report.exit_code):
        from export.bundle.tf_serving import docker_command

        echo(f"{base_path}: {report.summary()}")
        if not console.quiet:
            echo(f"Next: {docker_command(base_path.resolve().name, str(base_path.resolve()))}")
    sys.exit(report.exit_code)


@click.command("serve")
@click.argument("source", metavar="BUNDLE|BASE_PATH", type=PATH)
@click.option("--server", type=click.Choice(SERVERS), help="Default: what is there.")
@click.option("--port", default=8501, show_default=True, type=click.IntRange(1, 65535), help="Port of 127.0.0.1.")
@click.option("--page", is_flag=True, help="Serve a page that runs the model beside it; needs a bundle.")
@click.option("--memory", type=click.FloatRange(0, min_open=True), metavar="GB",
              help="Limit of the process with the model.  [default: 2 and ten times its files]")  # fmt: skip
@trust_option
@common_options
def serve_command(
    source: Path,
    server: str | None,
    port: int,
    page: bool,
    memory: float | None,
    trust: tuple[str, ...],
    console: Console,
) -> None:
    """Serve a proven BUNDLE, or the stable version under BASE_PATH, on this machine until Ctrl-C.

    For a look, not for production: only this machine is answered, bodies of more than 64 MB are refused, and the
    process that loads the model is confined. Exit code 3 if no server is installed.
    """
    from export.bundle.layout import MANIFEST
    from export.serving.servers import local

    if page and not (source / MANIFEST).is_file():
        raise ExportError(f"{source} is not a bundle, for which alone there are pages")
    chosen = local.choose(server)
    model = local.model_of(source, trust)
    with contextlib.ExitStack() as stack:
        pages = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "pages" if page else None
        if pages:
            from export.serving.web.site import write_served_pages

            write_served_pages(source, pages, model.name, trust)
        limit = int(memory * 2**30) if memory else None
        served = stack.enter_context(local.serving(model, chosen, port, pages, limit))
        console.result({"url": served.url, "page": served.page, "server": chosen.TITLE})
        if not console.json:
            echo(f"{source}: version {model.version} is served by {chosen.TITLE} until Ctrl-C. A request:")
            echo(served.example)
            if served.page:
                echo(f"Open {served.page}")
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # an end as usual, with exit code 0
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                signal.pause()


@click.command("servers")
@click.option("--install", "names", multiple=True, metavar="NAME", help='Install it, or "all" but torch (5 GB).')
@common_options
def servers_command(names: tuple[str, ...], console: Console) -> None:
    """List the servers, older versions of TensorFlow and runtimes of devices that are used if they are installed.

    Each has a Python environment of its own in the cache, because it cannot be installed beside this TensorFlow.
    """
    from export.proof.prove import check_names
    from export.runtime.installation import install
    from export.serving.servers.environments import ENVIRONMENTS

    check_names([name for name in names if name != "all"], tuple(ENVIRONMENTS), "server")
    small = [name for name, environment in ENVIRONMENTS.items() if not environment.is_large]
    for name in small if "all" in names else names:
        install(ENVIRONMENTS[name], console.progress)
    states = {name: str(e.folder) if e.installed else None for name, e in ENVIRONMENTS.items()}
    rows = [
        (name, "yes" if e.installed else "no", re.sub("==.*", "", e.requirements[0]), e.purpose)
        for name, e in ENVIRONMENTS.items()
    ]
    show(console, states, table=(("name", "installed", "package", "what it is"), rows))
