"""`python -m export`: export any Keras model with a proof, and prove a bundle again."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from export.errors import ExportError
from export.formats import DEFAULT_FORMATS
from export.runtimes import RUNTIMES


class _Group(click.Group):
    """Commands whose errors are one sentence and an exit code, unless --debug asks for the traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ExportError as error:
            if "--debug" in sys.argv:
                raise
            click.echo(f"error: {error}", err=True)
            ctx.exit(error.exit_code)
        except (click.exceptions.Exit, click.ClickException, click.Abort):
            raise
        except Exception as error:
            if "--debug" in sys.argv:
                raise
            click.echo(f"error: {type(error).__name__}: {error}; --debug shows where", err=True)
            ctx.exit(1)


def _shared(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the flags that every command has."""
    for option in (
        click.option("--debug", is_flag=True, help="Show tracebacks."),
        click.option("--quiet", is_flag=True, help="Say only what went wrong."),
        click.option("--json", "as_json", is_flag=True, help="Print JSON."),
    ):
        function = option(function)
    return function


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Any Keras model to artifacts, each proven in a fresh process."""


@main.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--runtime", "runtimes", multiple=True, metavar="NAME", help="Run only this runtime; may be repeated.")
@click.option("--require", multiple=True, metavar="NAME", help="Incomplete without this runtime or format.")
@_shared
def verify(
    bundle: Path, runtimes: tuple[str, ...], require: tuple[str, ...], as_json: bool, quiet: bool, debug: bool
) -> None:
    """Prove BUNDLE again. Exit code 0 pass, 1 fail, 2 wrong usage, 3 something required is missing here."""
    from export.verifier import verify_bundle

    certificate = verify_bundle(bundle, runtimes=runtimes or None, require=require)
    _show(certificate, as_json, quiet)
    if not as_json and not quiet:
        click.echo(f"{bundle}: {certificate.verdict}. Next: read {bundle / 'README.md'}")
    sys.exit(certificate.exit_code)


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), help="The bundle to make.")
@click.option("--formats", metavar="A,B", help=f"Formats, by name. Default: {','.join(DEFAULT_FORMATS)}.")
@click.option("--samples", type=click.Path(path_type=Path), help="An .npz file with real inputs by name.")
@click.option("--labels", type=click.Path(path_type=Path), help="Class names, one on each line.")
@click.option("--require", multiple=True, metavar="NAME", help="Incomplete without this runtime or format.")
@click.option("--version", default=1, show_default=True, help="The version folder of the SavedModel.")
@_shared
def model(
    file: Path,
    out: Path,
    formats: str | None,
    samples: Path | None,
    labels: Path | None,
    require: tuple[str, ...],
    version: int,
    as_json: bool,
    quiet: bool,
    debug: bool,
) -> None:
    """Export the Keras model in FILE (.keras or .h5) with a proof."""
    from export.errors import ExportFailed
    from export.exporter import export_model
    from export.files import read_labels, read_model, read_samples
    from export.inference import infer_contract

    tell = None if quiet or as_json else lambda text: click.echo(text, err=True)
    given = read_samples(samples) if samples else None
    names = read_labels(labels) if labels else None
    loaded = read_model(file)
    chosen = tuple(formats.split(",")) if formats else DEFAULT_FORMATS
    contract = infer_contract(loaded, given, names)
    options = {"samples": given, "formats": chosen, "require": require, "version": version}
    try:
        bundle = export_model(loaded, out, contract=contract, progress=tell, **options)
    except ExportFailed as failure:
        _show(failure.certificate, as_json, quiet)
        raise
    _show(bundle.certificate, as_json, quiet)
    if not as_json:
        click.echo(f"{bundle.path}: pass. Next: python -m export verify {bundle.path}")


@main.command()
@_shared
def formats(as_json: bool, quiet: bool, debug: bool) -> None:
    """Show the formats and the runtimes that prove them, and what is installed."""
    rows = [
        {"format": format, "runtime": r.name, "required": r.required, "installed": r.version}
        for r in RUNTIMES.values()
        for format in r.formats
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    from export.table import print_table

    cells = [(r["format"], r["runtime"], "yes" if r["required"] else "", r["installed"] or "no") for r in rows]
    print_table(("format", "proven in", "required", "installed"), cells)


def _show(certificate: Any, as_json: bool, quiet: bool) -> None:
    if as_json:
        click.echo(json.dumps(certificate.to_json(), indent=1))
    elif not quiet:
        from export.table import print_certificate

        print_certificate(certificate)


if __name__ == "__main__":
    main(prog_name="python -m export")
