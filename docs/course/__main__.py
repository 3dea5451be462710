"""python -m docs.course [PAGE...]: measure, draw and write the pages of the course."""

import datetime
import importlib
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import click

from docs.course import compose, index
from docs.course.lessons import LESSONS
from docs.course.page import Page, machine
from zoobase import console as shell
from zoobase.console import Console
from zoobase.errors import UsageError, unknown

HERE = Path(__file__).parent


def write(name: str, folder: Path = HERE, small: bool = False, data_dirs: Mapping[str, str] | None = None) -> Page:
    """Write the page of a lesson and return it.

    Args:
        name: Name of the lesson.
        folder: Folder of the page.
        small: Compute the smallest form, for tests: one seed, few examples.
        data_dirs: Name of a dataset -> its path, for data that is not fetched.

    Raises:
        UsageError: Unknown lesson.
        ZooError: A claim of the page does not hold.
    """
    lessons = {lesson.name: lesson for lesson in LESSONS}
    if name not in lessons:
        raise unknown("page", name, lessons)
    from zoo.core import environment

    environment.prepare()
    start = time.process_time()
    with tempfile.TemporaryDirectory() as temporary:
        page = Page(lessons[name], folder, Path(temporary), small, data_dirs)
        importlib.import_module(lessons[name].module).write(page)
    minutes = (time.process_time() - start) / 60
    page.save(
        f"Written by `python -m docs.course {name}` in {minutes:.1f} minutes of CPU time on {machine()}, "
        f"{datetime.date.today().isoformat()}. Bands reach from the lowest to the highest of the seeds "
        f"{', '.join(map(str, page.seeds))}."
    )
    return page


@click.command("course")
@click.argument("names", metavar="[PAGE]...", nargs=-1)
@click.option("--text", is_flag=True, help="Only write text, exercises and links anew; nothing is measured.")
@click.option("--small", is_flag=True, help="The smallest form: one seed, few examples.")
@click.option("-o", "--out", type=click.Path(path_type=Path), default=HERE, help="Folder of the pages.")
@shell.common_options
def main(names: tuple[str, ...], text: bool, small: bool, out: Path, console: Console) -> None:
    """Write each PAGE (by default all) of the course, its figures, and the index."""
    if text:
        compose.refresh(out)
        index.write(out)
        console.print(f"written: the text of {len(LESSONS)} pages in {out}")
        return
    lessons = [lesson.name for lesson in LESSONS]
    for name in names:
        if name not in lessons:
            raise unknown("page", name, lessons)
    if small and out.absolute() == HERE:
        raise UsageError(
            "--small is for a look at a page: give another folder with --out, the published pages are there"
        )
    written = {}
    for name in names or lessons:
        console.print(f"writing {name}")
        page = write(name, out, small=small)
        written[name] = {"page": str(out / f"{name}.md"), "claims": page.claims}
    index.write(out)
    console.print(f"written: {len(written)} pages in {out}")
    console.result(written)


if __name__ == "__main__":
    shell.run(main, prog="python -m docs.course")
