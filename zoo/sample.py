"""python -m zoo.sample RUN_OR_BUNDLE: generate text or images with a model, in any runtime."""

from pathlib import Path
from typing import Any

import click

from zoo.cli.options import settings_options
from zoo.core.capabilities import Generates
from zoo.core.task import Prediction
from zoo.evaluation import images
from zoo.prediction import kept
from zoo.prediction.confined import confine_prediction
from zoobase import console as shell
from zoobase.console import Console
from zoobase.errors import MissingError, UsageError, unknown


def run(
    source: str | Path, *, options: dict[str, Any] | None = None, seed: int = 0, runtime: str | None = None
) -> Prediction:
    """Generate text or images.

    Args:
        source: A run folder or a bundle.
        options: Options of the task: prompt, length, temperature, top_p, count, interpolate, class_name.
        seed: Random seed.
        runtime: keras (the live model of a run), saved_model, c_api (the loader of TF Serving) or tflite; those other
            than keras use a bundle, for a run its own one.

    Returns:
        The generated text (as lines and rows) or image.

    Raises:
        UsageError: The task has no such option.
        MissingError: The task does not generate, or the runtime needs a bundle and there is none.

    Example:
        >>> text = run("runs/shakespeare", options={"prompt": "HAMLET:", "length": 40}, seed=1).rows[0]["text"]
        >>> len(text)
        40
    """
    from zoo.prediction import predictor

    opened = predictor.load(source, runtime)
    if not isinstance(opened.task, Generates):
        raise MissingError(f"models for {opened.task.title} do not generate; try python -m zoo.predict")
    for name in options or {}:
        if name not in opened.task.generates:
            raise unknown(f"option of models for {opened.task.title}", name, opened.task.generates)
    return opened.task.sample(opened.call, opened.contract, options or {}, seed, opened.info)


@click.command("sample")
@click.argument("source", metavar="RUN_OR_BUNDLE", type=click.Path())
@click.option("--prompt", help="Beginning of the text.")
@click.option("--length", type=click.IntRange(1, 1_000_000), help="Number of tokens to generate.")
@click.option("--temperature", type=click.FloatRange(0), help="0 always takes the most probable token.")
@click.option("--top-p", type=click.FloatRange(0, 1, min_open=True), help="Nucleus sampling: total probability.")
@click.option("--count", type=click.IntRange(1, 10_000), help="Number of images.")
@click.option("--interpolate", is_flag=True, default=None, help="Rows of latent interpolation.")
@click.option("--class-name", help="Class of the images; by default all in turn.")
@settings_options("seed")
@click.option("--runtime", type=click.Choice(kept.RUNTIMES), help="Runtime of the model.")
@kept.option
@click.option("-o", "--out", type=click.Path(), help="Image file to write (PNG).")
@shell.common_options
def main(
    source: str,
    runtime: str | None,
    is_kept: bool,
    out: str | None,
    given: dict[str, Any],
    console: Console,
    **options: Any,
) -> None:
    """Generate with the model of a run or a bundle: text, or images with -o."""
    options = {name: value for name, value in options.items() if value is not None}
    confine_prediction(source, (), (), Path(out or ".").parent)
    with kept.preferred(source, runtime, is_kept, console) as (opened, opened_in):
        sample = run(opened, options=options, runtime=opened_in, **given)
        for line in sample.lines:
            console.print(line)
        if sample.image is None and out is not None:
            raise UsageError("this model generates text: -o is for images")
        if sample.image is not None:
            path = Path(out or "samples.png")
            images.write(path, sample.image)
            console.print(f"written: {path}")
        console.result(list(sample.rows))


if __name__ == "__main__":
    shell.run(main, prog="python -m zoo.sample")
