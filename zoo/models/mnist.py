"""Dense classifier of digits: two hidden layers on flattened pixels.

Reference: LeCun, Bottou, Bengio, Haffner 1998, doi:10.1109/5.726791 (data); Srivastava 2014, JMLR 15 (dropout).
Train:     python -m zoo.train mnist                        # MNIST; scikit-learn's digits if it is not available
           python -m zoo.train mnist --set data=digits      # scikit-learn's digits
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers

from zoo.core.recipe import Recipe
from zoo.core.registry import register
from zoo.core.spec import Card
from zoo.tasks.image.classification import Classification


@register(
    data="mnist",
    task=Classification(),
    recipes={"default": Recipe(epochs=15, batch_size=64, optimizer="adam", learning_rate=1e-3, schedule="cosine")},
    tiny={"units": (32,)},
    card=Card(
        paper="LeCun, Bottou, Bengio, Haffner 1998, doi:10.1109/5.726791",
        expect={"accuracy": 0.8963},
        command="python -m zoo.train mnist --set data=digits --precision float32",
        test_data="digits (scikit-learn)",
        measured_on="2 cores of an Intel Xeon under other load: 1.2 minutes; on the last 270 digits of "
        "scikit-learn's file, which is ordered by writer. MNIST was not available",
        notes="Trained on centred digits, light on black.",
    ),
)
def mnist(
    num_classes: int = 10,
    units: Sequence[int] = (512, 512),
    dropout: float = 0.2,
    image_shape: Sequence[int] = (28, 28, 1),
) -> keras.Model:
    """Dense classifier of 28x28 grey digits: 784-512-512-10.

    Shapes: image (B, 28, 28, 1) uint8 or float in [0, 255] -> logits (B, num_classes) float32.
    """
    image = keras.Input(tuple(image_shape), name="image")
    x = layers.Flatten(name="flatten")(layers.Rescaling(1 / 255, name="rescale")(image))
    for i, width in enumerate(units):
        x = layers.Dense(width, activation="relu", name=f"dense_{i}")(x)
        x = layers.Dropout(dropout, name=f"dropout_{i}")(x)
    return keras.Model(image, layers.Dense(num_classes, name="logits")(x), name="mnist")
