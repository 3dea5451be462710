"""python -m docs.gallery [BUNDLE...]: a static site with a page for every model whose weights are part of the package.

Each is exported and proven first. Further bundles, such as those of own runs, get a page beside them.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import click
import numpy as np

import zoo
from commandline import console as shell
from commandline.console import Console

OUT = Path("build/gallery")
EXAMPLES = 32  # of the test split, where the data is available


def shipped() -> list[str]:
    """Return the names of the models whose default weights are package data."""
    specs = {name: zoo.get_spec(name) for name in zoo.list_models()}
    return [name for name, spec in specs.items() if "default" in spec.weights and spec.weights["default"].fetch is None]


def export_shipped(name: str, folder: Path, console: Console) -> list[Path]:
    """Export a model with its default weights, and return its bundles: one for each direction, if it has several."""
    from export import export_model
    from pipelines.dataset import Info
    from zoo import weights
    from zoo.core import registry
    from zoo.core.plan import make_plan

    plan, entry, facts = make_plan(name), registry.get_entry(name), weights.description(name)
    info = Info.from_json(facts["info"])
    card = {"description": entry.summary, "licence": registry.get_spec(name).card.licence}
    card |= {"command": facts["command"], "metrics": {k: v for k, v in facts["metrics"].items() if np.isscalar(v)}}
    bundles = []
    for direction, served in plan.task.served(zoo.build(name, weights="default")).items():
        contract, title = plan.task.contract(served, info), f"{name}-{direction}".strip("-")
        assets, samples = plan.task.bundle_assets(info), _samples(name, contract["serving_default"], console)
        about = card | {"title": title.replace("-", ", ")}
        bundle = export_model(served, folder / title, contract=contract, samples=samples, card=about, assets=assets)
        bundles.append(bundle.path)
    return bundles


def _samples(name: str, endpoint: object, console: Console) -> dict[str, np.ndarray] | None:
    """Return examples of the test split; None, said in one line, where the data is not available here."""
    from pipelines.errors import DataError
    from zoo.core.plan import make_plan
    from zoo.evaluation import outputs

    plan = make_plan(name)
    try:
        dataset = plan.load_data()
    except DataError as error:
        console.print(f"{name}: no examples of its data ({error})")
        return None
    return outputs.samples(endpoint, plan.feed(dataset, "test"), EXAMPLES)


def write(out: Path, bundles: tuple[Path, ...] = (), console: Console | None = None) -> Path:
    """Write the gallery and return its path.

    Args:
        out: Its folder; an older gallery there is replaced.
        bundles: Further bundles.
        console: Receives progress; None prints nothing.
    """
    from export.web.site import check_target, write_site
    from zoo.core import environment

    console = console or Console(quiet=True)
    check_target(out.absolute())
    environment.prepare()
    with tempfile.TemporaryDirectory() as scratch:
        proven = []
        for name in shipped():
            console.print(f"exporting {name}")
            proven += export_shipped(name, Path(scratch), console)
        return write_site([*proven, *bundles], out)


@click.command("gallery")
@click.argument("bundles", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "-o", "--out", default=OUT, show_default=True, type=click.Path(path_type=Path), help="Folder of the site."
)
def main(bundles: tuple[Path, ...], out: Path) -> None:
    """Write a site with a page for every model whose weights are part of the package, and for each BUNDLE."""
    site = write(out, bundles, Console())
    click.echo(f"{site}: written. Next: python -m http.server --bind 127.0.0.1 --directory {site}")


if __name__ == "__main__":
    shell.run(main, prog="python -m docs.gallery")
