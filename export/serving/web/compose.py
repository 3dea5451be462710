"""Write a docker compose project: TF Serving runs the SavedModel of a bundle, nginx serves its page."""

from __future__ import annotations

import os
import re
import string
from collections.abc import Collection
from pathlib import Path

from export.bundle import layout
from export.bundle.publisher import publish
from export.serving.web.bundle_pages import HERE
from export.serving.web.site import write_served_pages
from zoobase.errors import ExportError
from zoobase.files import staging

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
FILES = ("compose.yaml", "nginx.conf")


def write_project(
    bundle: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    name: str | None = None,
    trust: Collection[str] = (),
) -> Path:
    """Write a folder for `docker compose up`.

    It holds `compose.yaml`, `nginx.conf`, the page in `pages/`, and the SavedModel in `models/NAME/1`, where
    `export publish` adds later versions.

    Args:
        bundle: A bundle whose proof passed.
        out: A folder to create.
        name: The name of the model on the server; by default that of the bundle's folder.
        trust: Operators that may run although they are not on the list of inference operators.

    Returns:
        The path of the folder.

    Raises:
        ExportError: If `out` exists, the name cannot stand in a URL, or the bundle has no SavedModel or no endpoint
            for a page.
        CheckFailed: If the bundle is damaged or its proof did not pass.

    Example:
        >>> sorted(path.name for path in write_project("bundle", "project", name="net").iterdir())
        ['compose.yaml', 'models', 'nginx.conf', 'pages']
    """
    source, target = Path(bundle), Path(out).absolute()
    name = source.resolve().name if name is None else name
    if not NAME.fullmatch(name):
        raise ExportError(f"{name!r} cannot be the name of a model in a URL; give one of letters, digits, _, . and -")
    if os.path.lexists(target):
        raise ExportError(f"{target} exists; give a folder that does not")
    with staging(target.parent, f".{target.name}.staging-") as folder:
        project = folder / "project"
        project.mkdir()
        write_served_pages(source, project / "pages", name, trust)
        publish(source, project / "models" / name, trust=trust)
        for file in FILES:
            template = string.Template((HERE / "compose" / file).read_text(encoding="utf-8"))
            (project / file).write_text(template.substitute(name=name), encoding="utf-8")
        return layout.publish(project, target)
