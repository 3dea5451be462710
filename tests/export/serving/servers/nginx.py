"""nginx on this machine, with a configuration that is written for a container."""

import contextlib
import os
import subprocess
import time

from export.serving.servers import launching
from tests.plugins import needs


@contextlib.contextmanager
def running_nginx(text, folder, listen="listen 80;"):
    needs.require("nginx")
    (port,) = launching.free_ports(1)
    assert listen in text
    text = text.replace(listen, f"listen 127.0.0.1:{port};").replace("include mime", "include /etc/nginx/mime")
    kept = [f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")]
    text = text.replace("http {", f"http {{ access_log off; {' '.join(kept)}")
    user = "user root;" if os.getuid() == 0 else ""
    head = f"{user} daemon off; pid {folder}/pid; error_log {folder}/errors;"
    (folder / "nginx.conf").write_text(f"{head}\n{text}")
    with subprocess.Popen(["nginx", "-p", folder, "-c", folder / "nginx.conf"]) as process:
        try:
            end, address = time.monotonic() + 30, f"http://127.0.0.1:{port}"
            while True:
                with contextlib.suppress(OSError):
                    launching._OPENER.open(f"{address}/healthz").close()
                    break
                assert time.monotonic() < end, (folder / "errors").read_text()
                time.sleep(0.05)
            yield address
        finally:
            process.terminate()
