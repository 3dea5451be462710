"""Small real models, one for each way in which an export can fail. Fresh processes import this module."""

import keras
from keras import layers, ops


def functional_cnn(augment=False):
    image = keras.Input((12, 12, 1), name="image")
    x = layers.RandomTranslation(0.3, 0.3)(image) if augment else image
    x = layers.Rescaling(1 / 255)(x)
    x = layers.Conv2D(6, 3, padding="same", name="conv")(x)
    x = layers.BatchNormalization()(x)
    x = layers.ReLU()(x)
    x = layers.MaxPooling2D()(x)
    x = layers.Dropout(0.5)(layers.Flatten()(x))
    return keras.Model(image, layers.Dense(4, name="logits")(x))


def sequential_cnn():
    return keras.Sequential(
        [
            keras.Input((12, 12, 3)),
            layers.RandomFlip(),
            layers.RandomRotation(0.2),
            layers.Rescaling(1 / 255),
            layers.Conv2D(4, 3, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation="softmax"),
        ]
    )


def two_by_two():
    left = keras.Input((5,), name="left")
    right = keras.Input((3,), name="right")
    x = layers.Concatenate()([left, right])
    return keras.Model([left, right], [layers.Dense(2, name="mean")(x), layers.Dense(2, name="spread")(x)])


def dictionary():
    inputs = {"age": keras.Input((1,), name="age"), "pulse": keras.Input((4,), name="pulse")}
    x = layers.Concatenate()([inputs["age"], inputs["pulse"]])
    return keras.Model(inputs, {"risk": layers.Dense(1)(x), "days": layers.Dense(2)(x)})


def masked():
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    x = layers.Embedding(9, 4, mask_zero=True)(tokens)
    return keras.Model(tokens, layers.Dense(3)(layers.GRU(5)(x)))


def category():
    kind = keras.Input((1,), dtype="string", name="kind")
    x = layers.Embedding(5, 3)(layers.StringLookup(vocabulary=["a", "b", "c"])(kind))
    return keras.Model(kind, layers.Dense(200)(layers.Flatten()(x)))


def text():
    """The vocabulary is adapted, which Keras' own .h5 and .weights.h5 lose."""
    line = keras.Input((1,), dtype="string", name="line")
    words = layers.TextVectorization(output_sequence_length=6)
    words.adapt(["a line of words", "more words"])
    return keras.Model(line, layers.Dense(2)(layers.Flatten()(layers.Embedding(8, 3)(words(line)))))


@keras.saving.register_keras_serializable("tests")
class Subclassed(keras.Model):
    """A model whose layers are created in __init__."""

    def __init__(self, classes=3, **options):
        super().__init__(**options)
        self.classes = classes
        self.scale = layers.Rescaling(1 / 255)
        self.convolution = layers.Conv2D(4, 3, activation="relu")
        self.normalisation = layers.BatchNormalization()
        self.pool = layers.GlobalAveragePooling2D()
        self.head = layers.Dense(classes)

    def call(self, image, training=False):
        x = self.normalisation(self.convolution(self.scale(image)), training=training)
        return self.head(self.pool(x))

    def get_config(self):
        return super().get_config() | {"classes": self.classes}


def subclassed():
    model = Subclassed()
    model(ops.zeros((1, 10, 10, 1)))
    return model


@keras.saving.register_keras_serializable("tests")
class Built(Subclassed):
    """The same with layers that are built in __init__ too, so that HDF5 files can be loaded."""

    def __init__(self, **options):
        super().__init__(**options)
        self.convolution.build((None, 10, 10, 1))
        self.normalisation.build((None, 8, 8, 4))
        self.head.build((None, 4))


def built():
    model = Built()
    model(ops.zeros((1, 10, 10, 1)))
    return model


@keras.saving.register_keras_serializable("tests")
class CalledBuilt(Subclassed):
    """A bug: calls self.build() but builds no layer."""

    def __init__(self, **options):
        super().__init__(**options)
        self.build((None, 10, 10, 1))


def called_built():
    model = CalledBuilt()
    model(ops.zeros((1, 10, 10, 1)))
    return model


@keras.saving.register_keras_serializable("tests")
class BatchDependent(layers.Layer):
    """A bug: subtracts the mean of the batch, also in inference."""

    def call(self, x):
        return x - ops.mean(x, axis=0, keepdims=True)


def batch_dependent():
    return keras.Sequential([keras.Input((6,)), layers.Dense(4), BatchDependent()])


@keras.saving.register_keras_serializable("tests")
class Autoencoder(keras.Model):
    def __init__(self, latent=2, **options):
        super().__init__(**options)
        self.latent = latent
        self.encoder = keras.Sequential([layers.Flatten(), layers.Dense(8, "relu"), layers.Dense(2 * latent)])
        self.decoder = keras.Sequential([layers.Dense(8, "relu"), layers.Dense(36), layers.Reshape((6, 6, 1))])

    def encode(self, image):
        return ops.split(self.encoder(image), 2, axis=-1)

    def call(self, inputs, training=False):
        mean, spread = self.encode(inputs["image"])
        return {"image": self.decoder(mean + ops.exp(spread / 2) * inputs["noise"]), "mean": mean}

    def get_config(self):
        return super().get_config() | {"latent": self.latent}


def autoencoder():
    model = Autoencoder()
    model({"image": ops.zeros((1, 6, 6, 1)), "noise": ops.zeros((1, 2))})
    return model


@keras.saving.register_keras_serializable("tests")
class Characters(keras.Model):
    """A character model: tokens (B, T) -> logits (B, T, size), and a step with explicit state."""

    def __init__(self, size=11, units=6, **options):
        super().__init__(**options)
        self.size, self.units = size, units
        self.embedding = layers.Embedding(size, 5)
        self.recurrent = layers.GRU(units, return_sequences=True, return_state=True)
        self.head = layers.Dense(size)

    def call(self, tokens, training=False):
        return self.head(self.recurrent(self.embedding(tokens))[0])

    def step(self, token, state):
        x = self.embedding(token)
        y, (state,) = self.recurrent.cell(x, [state])
        return self.head(y), state

    def get_config(self):
        return super().get_config() | {"size": self.size, "units": self.units}


def characters():
    model = Characters()
    model(ops.zeros((1, 4), "int32"))
    return model


@keras.saving.register_keras_serializable("tests")
class Branching(layers.Layer):
    """Applies one of two layers, the rare one only where the input is very large."""

    def __init__(self, **options):
        super().__init__(**options)
        self.usual, self.rare = layers.Dense(2, name="usual"), layers.Dense(2, name="rare")

    def build(self, shape):
        self.usual.build(shape)
        self.rare.build(shape)
        super().build(shape)

    def call(self, x):
        return ops.cond(ops.max(x) > 1e6, lambda: self.rare(x), lambda: self.usual(x))
