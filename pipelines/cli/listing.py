"""python -m pipelines list: the datasets, in one line each, without TensorFlow."""

import click

from pipelines import catalogue
from zoobase import Console, common_options


@click.command("list")
@common_options
def command(console: Console) -> None:
    """List the datasets: those of this package, of ZOO_DATASETS_PATH, and of installed packages."""
    entries = catalogue.entries().values()
    rows = [{"name": entry.name, "summary": entry.summary, "module": entry.module} for entry in entries]
    if not console.json:
        console.lines(["dataset", "summary"], [(row["name"], row["summary"]) for row in rows])
        console.print("next: python -m pipelines info NAME")
    console.result(rows)


@click.command("datasets", hidden=True)  # deprecated: names only
@common_options
def names(console: Console) -> None:
    """List the names of the datasets."""
    for name in catalogue.list_datasets() if not console.json else ():
        console.print(name)
    console.result(catalogue.list_datasets())
