"""python -m docs.gallery [BUNDLE...]: a static site with a page for every model whose weights are part of the package.

Each is exported and proven first. Further bundles, such as those of own runs, get a page beside them.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

import zoo
from commandline import console as shell
from commandline.console import Console

if TYPE_CHECKING:
    from pipelines.feeding import Feed
    from zoo.core.plan import Plan

OUT = Path("build/gallery")
EXAMPLES = 32  # of the test split, where the data is available


def export_shipped(name: str, folder: Path, console: Console) -> list[Path]:
    """Export a model with its default weights, and return its bundles: one for each direction, if it has several."""
    from export import export_model
    from pipelines.dataset import Info
    from zoo import weights
    from zoo.core import registry
    from zoo.core.plan import make_plan
    from zoo.evaluation import outputs

    plan, entry, facts = make_plan(name), registry.get_entry(name), weights.description(name)
    info = Info.from_json(facts["info"])
    card = {"description": entry.summary, "licence": registry.get_spec(name).card.licence}
    card |= {"command": facts["command"], "metrics": {k: v for k, v in facts["metrics"].items() if np.isscalar(v)}}
    bundles, test = [], _test_feed(name, plan, console)
    for direction, served in plan.task.served(zoo.build(name, weights="default")).items():
        contract, title = plan.task.contract(served, info), f"{name}-{direction}".strip("-")
        assets = plan.task.bundle_assets(info)
        samples = outputs.samples(contract["serving_default"], test, EXAMPLES) if test else None
        about = card | {"title": title.replace("-", ", ")}
        bundle = export_model(served, folder / title, contract=contract, samples=samples, card=about, assets=assets)
        bundles.append(bundle.path)
    return bundles


def _test_feed(name: str, plan: Plan, console: Console) -> Feed | None:
    """Return the feed of the test split; None, said in one line, where the data is not available here."""
    from pipelines.errors import DataError

    try:
        return plan.feed(plan.load_data(), "test")
    except DataError as error:
        console.print(f"{name}: no examples of its data ({error})")
        return None


def write(out: Path, bundles: tuple[Path, ...] = (), console: Console | None = None) -> Path:
    """Write the gallery and return its path.

    Args:
        out: Its folder; an older gallery there is replaced.
        bundles: Further bundles.
        console: Receives progress; None prints nothing.
    """
    from export.web.site import check_target, write_site
    from zoo import weights
    from zoo.core import environment

    console = console or Console(quiet=True)
    check_target(out.absolute())
    environment.prepare()
    with tempfile.TemporaryDirectory() as scratch:
        proven = []
        for name in weights.shipped_models():
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
