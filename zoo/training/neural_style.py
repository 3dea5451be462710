"""Style transfer by optimising the pixels: Gatys, Ecker, Bethge 2016, doi:10.1109/CVPR.2016.265."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field

import keras
import numpy as np
import tensorflow as tf

from zoo.modeling import perceptual_loss
from zoobase.errors import ZooError

STRIP = 6  # images of the strip, including the first and the last


class Objective:
    """The losses for one style and one content, and their gradient."""

    def __init__(self, style: perceptual_loss.Objective, content: np.ndarray) -> None:
        """Compute the features of the content, uint8 (H, W, 3)."""
        self.perceptual = style
        self.content = style.content(tf.constant(content[None], tf.float32))
        self._evaluate = tf.function(self._losses_and_gradient, reduce_retracing=True)

    def losses(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return total, content, style and total variation loss of images (B, H, W, 3) in [0, 255]: (B,) each."""
        return self.perceptual.losses(image, self.content)

    def _losses_and_gradient(self, image: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(image)
            losses = self.losses(image)
        return losses, tape.gradient(losses["total"], image)

    def __call__(self, image: np.ndarray) -> tuple[dict[str, float], np.ndarray]:
        """Return the losses of an image (H, W, 3) and the gradient of the total loss, float32 (H, W, 3)."""
        losses, gradient = self._evaluate(tf.constant(image[None], tf.float32))
        return {name: float(value[0]) for name, value in losses.items()}, gradient[0].numpy()


@dataclass
class StyleResult:
    """The result of an optimisation."""

    image: np.ndarray  # uint8 (H, W, 3), the image with the lowest total loss
    losses: list[dict[str, float]]  # losses of each evaluation, in order: total, content, style, variation
    strip: list[np.ndarray] = field(default_factory=list)  # intermediate uint8 images, including the first and the last


class _Recorder:
    """Evaluates the objective, and stores the losses, the best image and the images of the strip."""

    def __init__(self, objective: Objective, steps: int, on_step: Callable[[int, dict[str, float]], None]) -> None:
        self.objective, self.steps, self.on_step = objective, steps, on_step
        self.losses: list[dict[str, float]] = []
        self.strip: list[np.ndarray] = []
        self.best: tuple[float, np.ndarray] | None = None
        self.strip_steps = set(np.linspace(0, steps - 1, STRIP).round().astype(int).tolist()[:-1])

    def __call__(self, image: np.ndarray) -> tuple[float, np.ndarray]:
        losses, gradient = self.objective(image)
        if not np.isfinite(losses["total"]):
            raise ZooError(f"the loss is NaN or infinite at step {len(self.losses) + 1}: lower --alpha or --beta")
        if len(self.losses) in self.strip_steps:
            self.strip.append(_pixels(image))
        self.losses.append(losses)
        if self.best is None or losses["total"] < self.best[0]:
            self.best = (losses["total"], image.copy())
        self.on_step(len(self.losses), losses)
        return losses["total"], gradient

    def result(self) -> StyleResult:
        image = _pixels(self.best[1])
        return StyleResult(image, self.losses, [*self.strip, image])


def optimize_image(
    objective: Objective,
    start: np.ndarray,
    *,
    steps: int = 300,
    optimizer: str = "lbfgs",
    on_step: Callable[[int, dict[str, float]], None] = lambda step, losses: None,
) -> StyleResult:
    """Minimise the content and style losses over the pixels of an image, float (H, W, 3) in [0, 255]."""
    # "lbfgs" is scipy's L-BFGS-B, pixels bounded to [0, 255].
    record = _Recorder(objective, steps, on_step)
    (_lbfgs if optimizer == "lbfgs" else _adam)(record, start.astype(np.float32), steps)
    return record.result()


class _StepLimit(Exception):  # scipy checks its own limit between iterations only
    pass


def _lbfgs(record: _Recorder, start: np.ndarray, steps: int) -> None:
    from scipy.optimize import minimize

    def evaluate(flat: np.ndarray) -> tuple[float, np.ndarray]:
        if len(record.losses) >= steps:
            raise _StepLimit
        total, gradient = record(flat.reshape(start.shape).astype(np.float32))
        return total / scale, gradient.astype(np.float64).ravel() / scale

    scale = max(record.objective(start)[0]["total"], 1e-12)  # the length of scipy's first step is that of the gradient
    scale /= start.size
    options = {"maxiter": steps, "maxfun": steps, "ftol": 0, "gtol": 0, "maxcor": 10}
    bounds = np.broadcast_to([0.0, 255.0], (start.size, 2))
    with contextlib.suppress(_StepLimit):
        minimize(
            evaluate, start.astype(np.float64).ravel(), jac=True, method="L-BFGS-B", bounds=bounds, options=options
        )


def _adam(record: _Recorder, start: np.ndarray, steps: int) -> None:
    image = keras.Variable(start)
    optimizer = keras.optimizers.Adam(5.0, beta_1=0.99, epsilon=1e-1)  # the settings of the TensorFlow tutorial
    for step in range(steps):
        _, gradient = record(image.numpy())
        if step + 1 < steps:
            optimizer.apply([tf.constant(gradient)], [image])
            image.assign(tf.clip_by_value(image, 0.0, 255.0))


def _pixels(image: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)
