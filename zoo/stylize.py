"""python -m zoo.stylize content.jpg --style painting.jpg -o out.png: style transfer by optimising the pixels."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.cli.options import settings_options
from zoo.weights.vgg import CHOICES
from zoobase import console as shell
from zoobase.console import Console, StepProgress
from zoobase.errors import UsageError

if TYPE_CHECKING:
    import numpy as np

    from zoo.training.neural_style import StyleResult

OPTIMIZERS = ("lbfgs", "adam")
STARTS = ("content", "noise")
STYLE_LAYERS = 5  # those of `zoo.modeling.perceptual_loss`, whose import takes seconds


def run(
    content: str | Path,
    style: str | Path,
    out: str | Path,
    *,
    steps: int = 300,
    alpha: float = 1.0,
    beta: float = 1e4,
    variation: float = 1.0,
    size: int = 512,
    optimizer: str = "lbfgs",
    start: str = "content",
    original_colours: bool = False,
    features: str = "auto",
    seed: int = 0,
    style_weights: Sequence[float] = (1.0,) * STYLE_LAYERS,
    console: Console | None = None,
) -> dict[str, Any]:
    """Transfer the style of an image to a photograph.

    Args:
        content: Image file that gives the content.
        style: Image file that gives the style.
        out: Image file to write; intermediate images are written to OUT-strip in the same folder.
        steps: Number of evaluations of loss and gradient.
        alpha: Weight of the content loss.
        beta: Weight of the style loss.
        variation: Weight of the total variation loss, which smooths.
        size: Longer side of the result in pixels; both images are resized to it.
        optimizer: "lbfgs" or "adam".
        start: Initial image: "content" or "noise".
        original_colours: Keep the colours of the content and take only the luminance of the result (Gatys 2016,
            arXiv:1606.05897).
        features: "vgg19", "vgg16", "hed", or "auto" for the first that is available.
        seed: Random seed of the noise.
        style_weights: Relative weights of the five style layers, from the finest structure to the coarsest.
        console: Receives progress; None prints nothing.

    Returns:
        JSON-able: out, strip, size, features, seconds, first and last losses.

    Raises:
        UsageError: The suffix of `out` is not that of a supported image format, or the style weights are not five
            numbers of zero or more, one of them positive.
        pipelines.DataError: A file is not an image, or the features are not available.
        ZooError: The loss became NaN or infinite.

    Example:
        >>> result = run("photo.jpg", "painting.jpg", "stylized.png", steps=2, size=64, features="hed")
        >>> result["steps"], result["width"]
        (2, 64)
    """
    from zoo.core import environment
    from zoo.evaluation import images

    console = console or Console(quiet=True)
    out = Path(out)
    images.check_name(out)
    _check_style_weights(style_weights)
    environment.prepare()
    import keras
    import numpy as np

    from zoo.modeling import perceptual_loss
    from zoo.training import neural_style
    from zoo.weights.vgg import load_vgg

    content_image, style_image = (images.read(path, size) for path in (content, style))
    keras.utils.set_random_seed(seed)
    vgg, source = load_vgg(features)
    weights = perceptual_loss.Weights(alpha, beta, variation, tuple(style_weights))
    loss = perceptual_loss.Objective(vgg, style_image, weights)
    noise = np.random.default_rng(seed).uniform(0, 255, content_image.shape)
    start_time = time.monotonic()
    with StepProgress(console, "step", steps) as progress:

        def show(step: int, losses: dict[str, float]) -> None:
            progress(step, "  ".join(f"{name} {value:.4g}" for name, value in losses.items()))

        objective = neural_style.Objective(loss, content_image)
        initial = noise if start == "noise" else content_image
        result = neural_style.optimize_image(objective, initial, steps=steps, optimizer=optimizer, on_step=show)
    seconds = time.monotonic() - start_time
    strip = out.with_name(f"{out.stem}-strip{out.suffix}")
    _write(out, strip, result, content_image, original_colours)
    best = min(result.losses, key=lambda losses: losses["total"])
    console.print(f"written: {out}, and {strip} with intermediate images")
    return {
        "out": str(out),
        "strip": str(strip),
        "height": content_image.shape[0],
        "width": content_image.shape[1],
        "features": source,
        "steps": len(result.losses),
        "seconds": round(seconds, 1),
        "first": result.losses[0],
        "best": best,
    }


def _check_style_weights(weights: Sequence[float]) -> None:
    if len(weights) != STYLE_LAYERS or not all(0 <= w < math.inf for w in weights) or not any(weights):
        raise UsageError(
            f"--style-weights takes {STYLE_LAYERS} numbers of zero or more, one of them positive, such as "
            "1,0.75,0.2,0.2,0.2: the weights of the style layers from fine to coarse"
        )


def _read_style_weights(ctx: click.Context, option: click.Parameter, text: str) -> tuple[float, ...]:
    try:
        weights = tuple(float(part) for part in text.split(","))
    except ValueError:
        weights = ()
    _check_style_weights(weights)
    return weights


def _write(out: Path, strip: Path, result: StyleResult, content: np.ndarray, original_colours: bool) -> None:
    from zoo.evaluation import images

    image, steps = result.image, result.strip
    if original_colours:
        image, steps = (images.transfer_colours(content, image), [images.transfer_colours(content, s) for s in steps])
    images.write(out, image)
    images.write(strip, images.tile(steps, columns=len(steps)))


@click.command("stylize")
@click.argument("content", type=click.Path())
@click.option("--style", required=True, type=click.Path(), help="Image file that gives the style.")
@click.option("-o", "--out", default="stylized.png", show_default=True, type=click.Path(), help="Image file to write.")
@click.option("--steps", default=300, show_default=True, type=click.IntRange(1), help="Optimisation steps.")
@click.option("--alpha", default=1.0, show_default=True, type=click.FloatRange(0), help="Weight of the content loss.")
@click.option("--beta", default=1e4, show_default=True, type=click.FloatRange(0), help="Weight of the style loss.")
@click.option(
    "--variation", default=1.0, show_default=True, type=click.FloatRange(0), help="Weight of the total variation."
)
@click.option("--size", default=512, show_default=True, type=click.IntRange(32, 2048), help="Longer side, in pixels.")
@click.option("--optimizer", default="lbfgs", show_default=True, type=click.Choice(OPTIMIZERS), help="Optimizer.")
@click.option("--start", default="content", show_default=True, type=click.Choice(STARTS), help="Initial image.")
@click.option("--original-colours", is_flag=True, help="Keep the colours of the content image.")
@click.option("--features", default="auto", show_default=True, type=click.Choice(CHOICES), help="The loss network.")
@click.option(
    "--style-weights",
    default=",".join("1" * STYLE_LAYERS),
    show_default=True,
    callback=_read_style_weights,
    help="Weights of the five style layers, from fine to coarse.",
)
@settings_options("seed")
@shell.common_options
def main(
    content: str,
    style: str,
    out: str,
    alpha: float,
    beta: float,
    given: dict[str, Any],
    console: Console,
    **options: Any,
) -> None:
    """Transfer the style of an image to the photograph CONTENT, by optimising its pixels (Gatys et al. 2016)."""
    if alpha == beta == 0:
        raise UsageError("--alpha and --beta are both zero: there is nothing to optimise")
    result = run(content, style, out, alpha=alpha, beta=beta, console=console, **options, **given)
    console.print(f"{result['features']}; total loss {result['first']['total']:.4g} -> {result['best']['total']:.4g}")
    console.result(result)


if __name__ == "__main__":
    shell.run(main, prog="python -m zoo.stylize")
