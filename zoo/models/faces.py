"""Detection of faces and of five landmarks of each, by a cascade of three networks.

Reference: Zhang, Zhang, Li, Qiao 2016, arXiv:1604.02878 (MTCNN); github.com/ipazc/mtcnn, whose weights these are.
Use:       python -m zoo.predict faces PHOTO -o faces.png
           zoo.build("faces", weights="default")
Train:     not possible: there is no data with boxes and landmarks of faces here
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from zoo.core.recipe import Recipe
from zoo.core.registry import register
from zoo.core.spec import Card
from zoo.detection import cascade
from zoo.tasks.image.faces import FACES, FaceDetection
from zoo.weights.mtcnn import MTCNN
from zoobase.errors import UsageError

WINDOW, STRIDE = 12, 2  # pixels of the window of the first network, and between windows
SCALE = 0.709  # of each level of the pyramid to the one before: half the area
PROPOSALS = 128  # candidates for the second network, of which the best `FACES` are for the third; mtcnn has no bounds
THRESHOLDS = (0.6, 0.7, 0.8)  # probabilities of a face, of the three networks
OVERLAP_OF_LEVEL, OVERLAP = 0.5, 0.7  # largest of candidates of one level of the pyramid, and of any

# === Networks ===


def _conv(x: Any, filters: int, size: int, i: int) -> Any:  # (B, H, W, C) -> (B, H - size + 1, W - size + 1, filters)
    x = layers.Conv2D(filters, size, name=f"conv{i}")(x)
    return layers.PReLU(shared_axes=(1, 2), name=f"prelu{i}")(x)


def _network(name: str, image: Any, x: Any, **outputs: int) -> keras.Model:
    """Return a network whose outputs have these names and sizes: dense layers of (B, D), convolutions of maps."""
    heads = {
        k: layers.Dense(n, name=k) if len(x.shape) == 2 else layers.Conv2D(n, 1, name=k) for k, n in outputs.items()
    }
    return keras.Model(image, {key: head(x) for key, head in heads.items()}, name=name)


def _dense(x: Any, units: int, i: int) -> Any:  # (B, H, W, C) -> (B, units), columns first
    x = layers.Flatten(name="flatten")(layers.Permute((2, 1, 3), name="columns")(x))
    return layers.PReLU(name=f"prelu{i}")(layers.Dense(units, name=f"dense{i}")(x))


def proposal_network() -> keras.Model:
    """Return the first network: image (B, H, W, 3) -> `boxes` (B, h, w, 4) and `logits` (B, h, w, 2) of windows."""
    image = keras.Input((None, None, 3), name="image")
    x = layers.MaxPooling2D(2, padding="same", name="pool1")(_conv(image, 10, 3, 1))
    return _network("pnet", image, _conv(_conv(x, 16, 3, 2), 32, 3, 3), boxes=4, logits=2)


def refinement_network() -> keras.Model:
    """Return the second network: image (B, 24, 24, 3) -> `boxes` (B, 4) and `logits` (B, 2)."""
    image = keras.Input((24, 24, 3), name="image")
    x = layers.MaxPooling2D(3, 2, padding="same", name="pool1")(_conv(image, 28, 3, 1))
    x = layers.MaxPooling2D(3, 2, name="pool2")(_conv(x, 48, 3, 2))
    return _network("rnet", image, _dense(_conv(x, 64, 2, 3), 128, 4), boxes=4, logits=2)


def output_network() -> keras.Model:
    """Return the third: image (B, 48, 48, 3) -> `boxes` (B, 4), `landmarks` (B, 10) and `logits` (B, 2)."""
    image = keras.Input((48, 48, 3), name="image")
    x = layers.MaxPooling2D(3, 2, padding="same", name="pool1")(_conv(image, 32, 3, 1))
    x = layers.MaxPooling2D(3, 2, name="pool2")(_conv(x, 64, 3, 2))
    x = layers.MaxPooling2D(2, padding="same", name="pool3")(_conv(x, 64, 3, 3))
    return _network("onet", image, _dense(_conv(x, 128, 2, 4), 256, 5), boxes=4, landmarks=10, logits=2)


@keras.saving.register_keras_serializable("zoo")
class FaceCascade(keras.Model):
    """The three networks, and what is between them; see `faces`."""

    output_names = ("boxes", "count", "landmarks", "scores")  # in the order in which Keras flattens a dict

    # === Layers ===

    def __init__(self, image_shape: Sequence[int], smallest: int, candidates: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.arguments = {"image_shape": list(image_shape), "smallest": smallest, "candidates": candidates}
        self.height, self.width = image_shape[:2]
        self.candidates = candidates
        levels = int(np.log(min(image_shape[:2]) / smallest) / -np.log(SCALE)) + 1
        self.scales = [WINDOW / smallest * SCALE**i for i in range(levels)]
        self.pnet, self.rnet, self.onet = proposal_network(), refinement_network(), output_network()

    # === Functional Model ===

    def call(self, image: Any, training: bool | None = None) -> dict[str, Any]:
        """Return the faces of images (B, H, W, 3)."""
        pixels = (tf.cast(image, tf.float32) - 127.5) / 128.0
        of_levels = [self._level(pixels, scale) for scale in self.scales]
        scores, boxes = (tf.concat(parts, axis=1) for parts in zip(*of_levels, strict=True))
        scores, boxes = cascade.best(scores, PROPOSALS, boxes)
        scores = cascade.suppress(scores, boxes, OVERLAP)
        scores, boxes, _ = self._refined(self.rnet, pixels, scores, boxes, THRESHOLDS[1])
        scores = cascade.suppress(scores, boxes, OVERLAP)
        scores, boxes, landmarks = self._refined(self.onet, pixels, scores, boxes, THRESHOLDS[2])
        scores = cascade.suppress(scores, boxes, OVERLAP, of_smaller=True)
        scores, boxes, landmarks = cascade.best(scores, FACES, boxes, landmarks)
        is_face = tf.cast(scores > cascade.NONE, tf.float32)
        rows = tf.expand_dims(is_face, -1)
        last = np.array([self.width - 1, self.height - 1] * 2, np.float32)
        return {
            "boxes": tf.minimum(tf.nn.relu(boxes), last) * rows,
            "scores": tf.sigmoid(scores) * is_face,
            "landmarks": tf.reshape(landmarks * rows, (-1, FACES, 5, 2)),
            "count": tf.cast(tf.reduce_sum(is_face, axis=1), tf.int32),
        }

    def _level(self, pixels: Any, scale: float) -> tuple[Any, Any]:
        of_sides = {
            side: tf.constant(cascade.area_weights(side, int(side * scale))) for side in (self.height, self.width)
        }
        rows, columns = of_sides[self.height], of_sides[self.width]  # of a square the same, once in a file
        level = tf.einsum("bhwc,vw->bhvc", tf.einsum("bhwc,uh->buwc", pixels, rows), columns)
        outputs = self.pnet(level)
        y, x = np.indices(outputs["logits"].shape[1:3]) * STRIDE
        corners = np.stack([x + 1, y + 1, x + WINDOW, y + WINDOW], axis=-1).astype(np.float32)
        boxes = (corners + (WINDOW - 1) * outputs["boxes"]) / scale
        odds = cascade.log_odds(outputs["logits"], THRESHOLDS[0])
        count = min(self.candidates, y.size)
        scores, boxes = cascade.best(tf.reshape(odds, (-1, y.size)), count, tf.reshape(boxes, (-1, y.size, 4)))
        return cascade.suppress(scores, boxes, OVERLAP_OF_LEVEL), boxes

    def _refined(
        self, network: keras.Model, pixels: Any, scores: Any, boxes: Any, threshold: float
    ) -> tuple[Any, Any, Any]:
        """Return the best candidates by a network: their scores, boxes, and landmarks (B, K, 10) if it has any."""
        boxes = cascade.squares(boxes)
        patches = cascade.crop(pixels, boxes, network.input_shape[1])
        outputs = {k: tf.reshape(v, (-1, boxes.shape[1], v.shape[-1])) for k, v in network(patches).items()}
        odds = tf.where(scores > cascade.NONE, cascade.log_odds(outputs["logits"], threshold), cascade.NONE)
        sides = boxes[..., 2:] - boxes[..., :2] + 1  # by shares of which the edges are moved
        refined = boxes + outputs["boxes"] * tf.concat([sides, sides], axis=-1)
        points = cascade.place(boxes, outputs["landmarks"]) if "landmarks" in outputs else refined
        return cascade.best(odds, FACES, refined, points)

    # === Config ===

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), **self.arguments}


@register(
    data="portrait",
    task=FaceDetection(height=256, width=256, channels=3, fit="pad"),
    recipes={"default": Recipe()},
    tiny={"candidates": 16, "smallest": 40, "task.height": 96, "task.width": 96},
    card=Card(
        paper="Zhang, Zhang, Li, Qiao 2016, arXiv:1604.02878",
        notes="Faces of at least 20 pixels of the 256x256 to which a photograph is resized, at most 32. It finds "
        "where faces are, not whose; some from the side are missed, and some are found where there are none.",
    ),
    weights={"default": MTCNN.weights()},
)
def faces(image_shape: Sequence[int] = (256, 256, 3), smallest: int = 20, candidates: int = 192) -> keras.Model:
    """Faces with five landmarks, by a cascade of three networks, with the weights of mtcnn.

    Shapes: image (B, H, W, 3) uint8 or float in [0, 255] -> `boxes` (B, 32, 4) float32, left, top, right and bottom in
    pixels, `scores` (B, 32) float32 in [0.8, 1], `landmarks` (B, 32, 5, 2) float32, x and y of the left and the right
    eye, the nose, the left and the right corner of the mouth, as the viewer sees them, and `count` (B,) int32: so many
    rows, the first, are faces, sorted by their scores; the others are zeros.

    Args:
        image_shape: (H, W, C) of the images, to which the pyramid of smaller ones is adapted.
        smallest: Pixels of the smallest face that is looked for; larger ones spare the largest images of the pyramid.
        candidates: Windows of each level of the pyramid that compete, the best ones; in mtcnn all above the threshold.

    Raises:
        UsageError: `smallest` is below 12, the images are smaller than it or not RGB, or there are no candidates.
    """
    if not WINDOW <= smallest <= min(image_shape[:2]):
        raise UsageError(f"model.smallest={smallest} is not valid: it must be from {WINDOW} to the side of the images")
    if candidates < 1:
        raise UsageError(f"model.candidates={candidates} is not valid: it must be positive")
    if image_shape[2] != 3:
        raise UsageError(f"faces are found in RGB images, not in those of {image_shape[2]} channels")
    model = FaceCascade(image_shape, smallest, candidates, name="faces")
    model(keras.Input(tuple(image_shape), name="image"))
    return model
