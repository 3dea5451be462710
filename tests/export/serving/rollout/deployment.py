"""The compose project on this machine: nginx with its own configuration and script, before the built-in server."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time

from export.serving.servers import builtin, launching, local
from export.serving.web.site import write_project

NAME, POLL = "m", 0.1


class Deployment:
    """A project and the address of its page.

    Attributes:
        base: The base path of the model.
        page: The address of nginx.
        url: The address of the model's server.
        log: The request log of nginx.
    """

    def __init__(self, project, page, url):
        self.base, self.page, self.url = project / "models" / NAME, page, url
        self.log = project / "logs" / "requests.jsonl"


@contextlib.contextmanager
def deployed(bundle, folder, logged="* 0;"):
    """Write the project of a bundle, and run it for the duration of the block."""
    project = write_project(bundle, folder / "project", name=NAME)
    (project / "logs").mkdir()
    page, model = launching.free_ports(2)
    text = (project / "nginx.conf").read_text()
    places = {"model:8501": f"127.0.0.1:{model}", "/pages": str(project / "pages"), "/logs": str(project / "logs")}
    places |= {"include /models": f"include {project}/models", "/tmp/logged.conf": str(project / "logged.conf")}
    places |= {"listen 80": f"listen 127.0.0.1:{page}", "mime.types": "/etc/nginx/mime.types"}
    for here, there in places.items():
        assert here in text
        text = text.replace(here, there)
    kept = [f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")]
    text = text.replace("http {", f"http {{ access_log off; {' '.join(kept)}")
    user = "user root;" if os.getuid() == 0 else ""
    (folder / "nginx.conf").write_text(f"{user} pid {folder}/pid; error_log {folder}/errors;\n{text}")
    environment = {"NGINX_CONF": f"{folder}/nginx.conf", "SPLIT": f"{project}/models/{NAME}/rollout/split.conf"}
    environment |= {"LOG": f"{project}/logs/requests.jsonl", "LOGGED_CONF": f"{project}/logged.conf"}
    environment |= {"LOGGED": logged, "EVERY": str(POLL), "LOG_SIZE": "60000"}
    options = builtin.Options(poll_seconds=POLL)
    with local.serving(local.model_of(project / "models" / NAME), builtin, model, options=options) as served:
        script = [shutil.which("sh"), str(project / "run.sh")]
        with subprocess.Popen(script, env=os.environ | environment, start_new_session=True) as process:
            try:
                _wait(f"http://127.0.0.1:{page}/healthz", folder / "errors")
                yield Deployment(project, f"http://127.0.0.1:{page}", served.url)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)


def _wait(url, errors):
    end = time.monotonic() + 30
    while True:
        with contextlib.suppress(OSError):
            assert launching.fetch(url) == "ok\n"
            return
        assert time.monotonic() < end, errors.read_text() if errors.exists() else "nginx does not answer"
        time.sleep(0.05)
