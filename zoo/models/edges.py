"""The edges in a photograph that people would draw.

Reference: Xie, Tu 2015, arXiv:1504.06375 (holistically-nested edge detection); VGG16: Simonyan 2015, arXiv:1409.1556.
Use:       python -m zoo.predict edges photo.jpg -o drawing.png      (transparent where no edge is)
           zoo.load("edges").predict("photo.jpg")
Train:     python -m zoo.train edges --init default --data-dir FOLDER    (images and masks of your own)
"""

from collections.abc import Sequence

import keras
from keras import layers

from zoo.core.recipe import Recipe
from zoo.core.registry import register
from zoo.core.spec import Card
from zoo.tasks.image.cut_out import CutOut
from zoo.weights.vgg import EDGES
from zoobase.errors import UsageError

BLOCKS = ((1, 2), (2, 2), (4, 3), (8, 3), (8, 3))  # filters, in multiples of the first, and convolutions
SMALLER = 16  # the smallest maps are so many times smaller than the image
MEANS = (122.67892, 116.66877, 104.00699)  # of ImageNet's pixels


@register(
    data="garment_scenes",
    task=CutOut(height=256, width=256, channels=3),
    recipes={"default": Recipe(epochs=4, batch_size=8, learning_rate=1e-4, optimizer="adam", warmup=0.1)},
    tiny={"width": 4, "task.height": 32, "task.width": 32, "recipe.limit": 60},
    card=Card(
        paper="Xie, Tu 2015, arXiv:1504.06375",
        licence="MIT",
        published="0.782 is the F-measure (ODS) of the network in its paper, on the 200 test images of BSDS500; the "
        "package states none for its own weights.",
        notes="Edges are several pixels wide, of 256x256 to which a photograph is stretched; 15 million parameters.",
        data_notes="The default data is garments: it shows that an artifact answers alike.",
    ),
    weights={"default": EDGES.weights()},
)
def edges(num_classes: int = 2, width: int = 64, image_shape: Sequence[int] = (256, 256, 3)) -> keras.Model:
    """Edges of a photograph, with the weights of holistically-nested edge detection: VGG16 with five side outputs.

    Shapes: image (B, H, W, 3) uint8 or float in [0, 255] -> logits (B, H, W, num_classes) float32.

    Args:
        num_classes: Number of classes; background and edge, or determined by the data.
        width: Filters of the first convolutions.
        image_shape: (H, W, 3), both multiples of 16.

    Raises:
        UsageError: The images have another size or are not RGB.
    """
    if any(side % SMALLER or not side for side in image_shape[:2]) or image_shape[2] != 3:
        needed = f"task.height and task.width must be multiples of {SMALLER}, and task.channels 3"
        raise UsageError(f"images of {'x'.join(map(str, image_shape))} do not fit edges: {needed}")
    image = keras.Input(tuple(image_shape), name="image")
    x, sides = layers.Rescaling(1.0, [-mean for mean in MEANS], name="subtract_means")(image), []
    for i, (multiple, count) in enumerate(BLOCKS, start=1):
        x = layers.MaxPooling2D(name=f"block{i}_pool")(x) if i > 1 else x
        for j in range(1, count + 1):
            name = f"block{i}_conv{j}"
            x = layers.Conv2D(multiple * width, 3, padding="same", activation="relu", name=name)(x)
        side = layers.Conv2D(1, 1, name=f"dsn{i}")(x)
        larger = layers.UpSampling2D(2 ** (i - 1), interpolation="bilinear", name=f"dsn{i}_larger")
        sides.append(larger(side) if i > 1 else side)
    logits = layers.Conv2D(num_classes, 1, dtype="float32", name="logits")
    return keras.Model(image, logits(layers.Concatenate(name="sides")(sides)), name="edges")
