"""python -m pipelines info NAME: the metadata of a dataset."""

from collections.abc import Mapping
from shlex import quote

import click

from pipelines import catalogue
from pipelines.cli import load
from pipelines.dataset import Info
from zoobase import Console, common_options

LONGEST = 1000  # characters of a value; --json has all of it


@click.command("info")
@click.argument("name")
@click.option("--data-dir", type=click.Path(), help="Path of your own data.")
@click.option("--cache-dir", type=click.Path(), help="Folder of prepared data.")
@click.option("--split", default="official", show_default=True, help='Or percentages, such as "60/20/20".')
@common_options
def command(name: str, data_dir: str | None, cache_dir: str | None, split: str, console: Console) -> None:
    """Show licence, source, features, counts and classes of dataset NAME, which is prepared first if necessary."""
    info = load(name, data_dir, cache_dir, split).info
    if not console.json:
        facts = {"": catalogue.get_entry(name).summary} | _facts(info)
        console.table(info.name, ["", ""], [(key, value[:LONGEST]) for key, value in facts.items() if value])
        console.print(f"next: python -m pipelines preview {name}{f' --data-dir {quote(data_dir)}' if data_dir else ''}")
    console.result(info.to_json())


def _facts(info: Info) -> dict[str, str]:
    names, counts = info.class_names or (), info.statistics.get("class_counts")
    classes = ", ".join(f"{name} ({counts[name]:,})" if isinstance(counts, Mapping) else name for name in names)
    return {
        "licence": info.licence,
        "source": info.source,
        "homepage": info.homepage,
        "features": _lines(info.features),
        "counts": _lines({split: f"{count:,}" for split, count in info.counts.items()}),
        "split": info.split,
        "classes": f"{len(names)}: {classes}" if names else "",
        "vocabulary": f"{len(info.vocabulary):,} tokens" if info.vocabulary else "",
        "skipped": f"{len(info.skipped)} files" if info.skipped else "",
    }


def _lines(values: Mapping[str, object]) -> str:
    return "\n".join(f"{key}: {value}" for key, value in values.items())
