"""The default weights of a model as a proven TFLite file in the cache, whose predictions need no TensorFlow."""

import contextlib
import hashlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path

import click

from pipelines.sources import storage
from zoo.core import registry
from zoo.core.plan import bundle_metadata
from zoo.core.weight_files import SHIPPED
from zoobase.console import Console
from zoobase.errors import DataError
from zoobase.files import cache_root, sha256

RUNTIMES = ("keras", "saved_model", "c_api", "tflite")
_NONE = "NONE"  # the file that says why a model has none


option = click.option(
    "--keep", "is_kept", is_flag=True, help="Of a model by its name: write a TFLite file for the next commands, too."
)


@contextlib.contextmanager
def preferred(
    source: str, runtime: str | None, is_kept: bool, console: Console, served: str | None = None
) -> Iterator[tuple[str, str | None]]:
    """Yield what a command opens: source and runtime, or the kept file if the source is the name of a model."""
    # If it has none, one is written after the block, if that is asked for. A runtime that is named is not replaced.
    if runtime is not None or Path(source).exists():
        yield source, runtime
    elif bundle := find(source, served):
        yield str(bundle), "tflite"
    else:
        yield source, None
        if is_kept:
            keep(source, console)
        elif (folder := _folder(source)) is not None and not storage.is_complete(folder):
            console.print("next: with --keep, a proven TFLite file is written once: commands then take a second")


def find(name: str, served: str | None = None) -> Path | None:
    """Return the bundle of a model, and of one of its served models, that `keep` has written; None without one."""
    folder = _folder(name)
    if folder is None or not storage.is_complete(folder):
        return None
    bundles = sorted(path.parent for path in folder.glob("*/manifest.json"))
    return next((bundle for bundle in bundles if served in (None, bundle.name)), None)


def keep(name: str, console: Console) -> None:
    """Export the default weights of a model to TFLite and prove the file, in the cache, unless that was tried."""
    # Where the cache cannot be written, nothing is kept. Where a proof fails, the reason is, and no file.
    folder = _folder(name)
    if folder is None or storage.is_complete(folder):
        return
    from export import Documents, ExportError, export_model
    from zoo import weights

    with contextlib.suppress(DataError, OSError), storage.preparing(folder.parent):
        if storage.is_complete(folder):
            return
        console.print(f"{name}: writing a TFLite file, with which the next commands take a fraction of the time")
        plan, model, info = weights.open_default(name)
        with storage.staged(folder) as stage:
            try:
                for suffix, served in plan.task.served(model).items():
                    export_model(
                        served,
                        stage / (suffix or "bundle"),
                        contract=plan.task.contract(served, info),
                        formats=("tflite",),
                        documents=Documents(metadata=bundle_metadata(plan, info, suffix)),
                    )
            except ExportError as error:
                (stage / _NONE).write_text(f"{error}\n", encoding="utf-8")


def _folder(name: str) -> Path | None:
    """Return the folder for the present weights and builder of a model; None without weights on this machine."""
    if name not in registry.entries():
        return None
    downloaded = (cache_root() / "weights").glob(f"{name}-*/model.weights.h5")
    newest = sorted(downloaded, key=lambda file: -file.stat().st_mtime)
    file = next((file for file in (SHIPPED / f"{name}.weights.h5", *newest) if file.is_file()), None)
    if file is None or "default" not in registry.get_entry(name).weights:
        return None
    source = importlib.util.find_spec(registry.get_entry(name).module).origin
    digest = hashlib.sha256("".join(map(sha256, (file, Path(source), Path(__file__)))).encode()).hexdigest()
    return cache_root() / "tflite" / f"{name}-{digest[:16]}"
