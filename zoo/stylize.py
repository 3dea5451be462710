"""python -m zoo.stylize content.jpg --style painting.jpg -o out.png: style transfer by optimising the pixels."""

import contextlib
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from zoo.cli.options import settings_options
from zoo.core.recipe import COUNT, NOT_NEGATIVE, check_names, convert_fields, setting
from zoo.core.settings import SEED
from zoo.weights.vgg import CHOICES, load_vgg
from zoobase import console as shell
from zoobase.console import Console
from zoobase.errors import UsageError

OPTIMIZERS = ("lbfgs", "adam")
STYLE_LAYERS = 5  # those of `zoo.modeling.perceptual_loss`, whose import takes seconds


@dataclass(frozen=True, kw_only=True)
class StyleSettings:
    """The settings of a style transfer, each an option and a keyword of `run`.

    Raises:
        UsageError: A value is not valid, or there is nothing to optimise.
    """

    steps: int = setting(300, "Number of evaluations of loss and gradient.", check=COUNT)
    alpha: float = setting(1.0, "Weight of the content loss.", check=NOT_NEGATIVE)
    beta: float = setting(1e4, "Weight of the style loss.", check=NOT_NEGATIVE)
    variation: float = setting(1.0, "Weight of the total variation, which smooths.", check=NOT_NEGATIVE)
    size: int = setting(
        512,
        "Longer side of the result in pixels, to which both images are resized.",
        check=(lambda v: 32 <= v <= 2048, "a whole number in [32, 2048]"),
    )
    optimizer: str = setting("lbfgs", "Optimizer.", choices=OPTIMIZERS)
    start: str = setting("content", "Initial image.", choices=("content", "noise"))
    original_colours: bool = setting(
        False,
        "Keep the colours of the content image: of the result only the luminance is taken (Gatys 2016, "
        "arXiv:1606.05897).",
    )
    features: str = setting("auto", "The loss network; auto is the first that is available.", choices=CHOICES)
    style_weights: tuple[float, ...] = setting(
        (1.0,) * STYLE_LAYERS, "Weights of the five style layers, from fine to coarse.", shown="1,1,1,1,1"
    )
    seed: int = setting(0, "Random seed of the noise.", check=SEED)

    def __post_init__(self) -> None:
        """Convert and check every value."""
        convert_fields(self)
        with contextlib.suppress(ValueError):
            object.__setattr__(self, "style_weights", tuple(float(weight) for weight in self.style_weights))
        weights = self.style_weights
        valid = all(isinstance(w, float) and 0 <= w < math.inf for w in weights)
        if len(weights) != STYLE_LAYERS or not valid or not any(weights):
            raise UsageError(
                f"--style-weights takes {STYLE_LAYERS} numbers of zero or more, one of them positive, such as "
                "1,0.75,0.2,0.2,0.2: the weights of the style layers from fine to coarse"
            )
        if self.alpha == self.beta == 0:
            raise UsageError("--alpha and --beta are both zero: there is nothing to optimise")


def run(
    content: str | Path, style: str | Path, out: str | Path, *, console: Console | None = None, **settings: Any
) -> dict[str, Any]:
    """Transfer the style of an image to a photograph.

    Args:
        content: Image file that gives the content.
        style: Image file that gives the style.
        out: Image file to write; intermediate images are written to OUT-strip in the same folder.
        console: Receives progress; None prints nothing.
        **settings: Fields of `StyleSettings`, such as `steps=100`, `size=256`, `features="hed"`.

    Returns:
        JSON-able: out, strip, size, features, seconds, first and last losses.

    Raises:
        UsageError: A setting is unknown or not valid, or the suffix of `out` is not that of a supported image format.
        pipelines.DataError: A file is not an image, or the features are not available.
        ZooError: The loss became NaN or infinite.

    Example:
        >>> result = run("photo.jpg", "painting.jpg", "stylized.png", steps=2, size=64, features="hed")
        >>> result["steps"], result["width"]
        (2, 64)
    """
    from zoo.core import environment
    from zoo.evaluation import images

    check_names(StyleSettings, settings)
    chosen, console, out = StyleSettings(**settings), console or Console(quiet=True), Path(out)
    images.check_name(out)
    environment.prepare()
    import keras
    from rich.progress import Progress

    from zoo.modeling import perceptual_loss
    from zoo.training import neural_style

    content_image, style_image = (images.read(path, chosen.size) for path in (content, style))
    keras.utils.set_random_seed(chosen.seed)
    vgg, source = load_vgg(chosen.features)
    weights = perceptual_loss.Weights(chosen.alpha, chosen.beta, chosen.variation, chosen.style_weights)
    loss = perceptual_loss.Objective(vgg, style_image, weights)
    noise = np.random.default_rng(chosen.seed).uniform(0, 255, content_image.shape)
    start_time = time.monotonic()
    with Progress(console=console.rich, disable=not console.interactive) as progress:
        bar = progress.add_task("step", total=chosen.steps)

        def show(step: int, losses: dict[str, float]) -> None:
            values = "  ".join(f"{name} {value:.4g}" for name, value in losses.items())
            text = f"step {step}/{chosen.steps}  {values}"
            progress.update(bar, completed=step, description=text)
            if not console.interactive and step % max(chosen.steps // 10, 1) == 0:
                console.print(text)

        objective = neural_style.Objective(loss, content_image)
        initial = noise if chosen.start == "noise" else content_image
        how = {"steps": chosen.steps, "optimizer": chosen.optimizer}
        result = neural_style.optimize_image(objective, initial, **how, on_step=show)
    seconds = time.monotonic() - start_time
    strip = out.with_name(f"{out.stem}-strip{out.suffix}")
    image, steps = result.image, result.strip
    if chosen.original_colours:
        image, *steps = (images.transfer_colours(content_image, step) for step in (image, *steps))
    images.write(out, image)
    images.write(strip, images.tile(steps, columns=len(steps)))
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


@click.command("stylize")
@click.argument("content", type=click.Path())
@click.option("--style", required=True, type=click.Path(), help="Image file that gives the style.")
@click.option("-o", "--out", default="stylized.png", show_default=True, type=click.Path(), help="Image file to write.")
@settings_options(of=StyleSettings)
@shell.common_options
def main(content: str, style: str, out: str, given: dict[str, Any], console: Console) -> None:
    """Transfer the style of an image to the photograph CONTENT, by optimising its pixels (Gatys et al. 2016)."""
    result = run(content, style, out, console=console, **given)
    console.print(f"{result['features']}; total loss {result['first']['total']:.4g} -> {result['best']['total']:.4g}")
    console.result(result)


if __name__ == "__main__":
    shell.run(main, prog="python -m zoo.stylize")
