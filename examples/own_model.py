"""A model of your own in one file. A folder in ZOO_MODELS_PATH is searched for such files.

ZOO_MODELS_PATH=examples python -m zoo info two_convolutions
ZOO_MODELS_PATH=examples python -m zoo.train two_convolutions --filters '[8,16]'
"""

from collections.abc import Sequence

import keras
from keras import layers

from zoo import Card, Recipe, register
from zoo.tasks import Classification


@register(
    data="fashion_mnist",
    task=Classification(height=28, width=28, channels=1),
    recipes={"default": Recipe(epochs=5, batch_size=128, learning_rate=1e-3)},
    tiny={"filters": (4, 8)},
    card=Card(paper="LeCun, Bottou, Bengio, Haffner 1998, doi:10.1109/5.726791"),
)
def two_convolutions(num_classes: int = 10, filters: Sequence[int] = (16, 32)) -> keras.Model:
    """Two convolutions with max pooling and a linear classifier.

    Shapes: image (B, 28, 28, 1) in [0, 255] -> logits (B, num_classes) float32.
    """
    image = keras.Input((28, 28, 1), name="image")
    x = layers.Rescaling(1 / 255, name="rescale")(image)
    for i, width in enumerate(filters):
        x = layers.Conv2D(width, 3, padding="same", activation="relu", name=f"conv_{i}")(x)
        x = layers.MaxPooling2D(name=f"pool_{i}")(x)
    x = layers.Flatten(name="flatten")(x)
    return keras.Model(image, layers.Dense(num_classes, name="logits")(x), name="two_convolutions")
