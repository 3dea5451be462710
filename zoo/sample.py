"""python -m zoo.sample RUN_OR_BUNDLE: make something new with a model, in any runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from commandline import console as shell
from commandline.console import Console
from zoo.core.errors import MissingError
from zoo.core.task import Prediction
from zoo.evaluation import images

RUNTIMES = ("keras", "saved_model", "c_api", "tflite")


def run(
    source: str | Path, *, options: dict[str, Any] | None = None, seed: int = 0, runtime: str | None = None
) -> Prediction:
    """Make something new.

    Args:
        source: A run folder or a bundle.
        options: Of the task: prompt, length, temperature, top_p, count, interpolate.
        seed: Of the random choices.
        runtime: keras (the live model of a run), saved_model, c_api (as TF Serving loads it) or tflite (of
            a bundle; a run's own bundle for a run).

    Returns:
        Text, rows or an image.

    Raises:
        MissingError: The task makes nothing, or the runtime needs a bundle that is not there.
    """
    from zoo.core import environment

    environment.prepare()
    from zoo import predictor

    opened = predictor.open_source(Path(source), runtime)
    if not opened.task.generates:
        raise MissingError(f"a model for {opened.task.title} makes nothing new; try python -m zoo.predict")
    return opened.task.sample(opened.call, opened.contract, options or {}, seed, opened.info)


@click.command("sample")
@click.argument("source", metavar="RUN_OR_BUNDLE", type=click.Path())
@click.option("--prompt", help="How a text begins.")
@click.option("--length", type=click.IntRange(1), help="Tokens of a text.")
@click.option("--temperature", type=click.FloatRange(0), help="0 always takes the likeliest token.")
@click.option("--top-p", type=click.FloatRange(0, 1, min_open=True), help="Choose among this much of the probability.")
@click.option("--count", type=click.IntRange(1), help="How many images.")
@click.option("--interpolate", is_flag=True, default=None, help="Rows that lead from one image to another.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0))
@click.option("--runtime", type=click.Choice(RUNTIMES), help="Where to run it.")
@click.option("-o", "--out", type=click.Path(), help="Write an image here (PNG).")
@shell.common_options
def main(
    source: str,
    prompt: str | None,
    length: int | None,
    temperature: float | None,
    top_p: float | None,
    count: int | None,
    interpolate: bool | None,
    seed: int,
    runtime: str | None,
    out: str | None,
    console: Console,
) -> None:
    """Make something new with the model of a run or a bundle: text, or images with -o."""
    given = {"prompt": prompt, "length": length, "temperature": temperature, "top_p": top_p, "count": count}
    given["interpolate"] = interpolate or None
    options = {k: v for k, v in given.items() if v is not None}
    shown = run(source, options=options, seed=seed, runtime=runtime)
    for line in shown.lines:
        console.print(line)
    if shown.image is not None:
        path = Path(out or "samples.png")
        images.write(path, shown.image)
        console.print(f"written: {path}")
    console.result(list(shown.rows))


if __name__ == "__main__":
    shell.run(main, prog="python -m zoo.sample")
