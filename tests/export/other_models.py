"""Right models of kinds that people write: {name: function that returns one}, each small. None needs code of ours."""

import keras
import numpy as np
from keras import applications, layers, ops

IMAGE, TINY = (32, 32, 3), (16, 16, 3)


def _classifier(body, shape=TINY, **options):
    x = inputs = keras.Input(shape, name="image", **options)
    for layer in body:
        x = layer(x)
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))


def _images(*body, **options):
    return lambda: _classifier([make() for make in body], **options)


def _sequence(*body, head=True):
    def make():
        x = tokens = keras.Input((None,), dtype="int32", name="tokens")
        x = layers.Embedding(11, 6, mask_zero=True)(x)
        for layer in body:
            x = layer()(x)
        return keras.Model(tokens, layers.Dense(2)(x) if head else x)

    return make


def _application(name, size=32, **options):
    def make():
        build = getattr(applications, name)
        return build(input_shape=(size, size, 3), weights=None, classes=4, **options)

    return make


def _quantized(mode):
    def make():
        model = keras.Sequential([keras.Input((8,), name="x"), layers.Dense(8, activation="relu"), layers.Dense(4)])
        model.quantize(mode)
        return model

    return make


def _policy(policy):
    def make():
        layer = layers.Conv2D(4, 3, dtype=policy)
        return _classifier([layer, layers.BatchNormalization(dtype=policy)])

    return make


def lora():
    model = keras.Sequential([keras.Input((8,), name="x"), layers.Dense(8, activation="relu"), layers.Dense(4)])
    model.layers[0].enable_lora(2)
    for factor in (model.layers[0].lora_kernel_a, model.layers[0].lora_kernel_b):
        factor.assign(np.random.default_rng(0).normal(size=factor.shape))
    return model


def lora_of_an_embedding():
    tokens = keras.Input((5,), dtype="int32", name="tokens")
    embedding = layers.Embedding(11, 6)
    model = keras.Model(tokens, layers.Dense(2)(layers.GlobalAveragePooling1D()(embedding(tokens))))
    embedding.enable_lora(2)
    embedding.lora_embeddings_b.assign(np.ones(embedding.lora_embeddings_b.shape))
    return model


def int8_with_lora():
    model = _quantized("int8")()
    model.layers[0].enable_lora(2)
    model.layers[0].lora_kernel_b.assign(np.full(model.layers[0].lora_kernel_b.shape, 0.1))
    return model


def trained():
    model = _images(lambda: layers.Conv2D(4, 3), layers.BatchNormalization, lambda: layers.Dropout(0.3))()
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    rng = np.random.default_rng(0)
    model.fit(rng.normal(size=(8, *TINY)).astype("float32"), rng.integers(0, 3, 8), epochs=1, verbose=0)
    return model


def frozen():
    model = _images(lambda: layers.Conv2D(4, 3), layers.BatchNormalization)()
    model.layers[1].trainable = model.layers[2].trainable = False
    return model


def frozen_backbone():
    backbone = _application("MobileNetV2", 32, include_top=False, alpha=0.35)()
    backbone.trainable = False
    image = keras.Input(IMAGE, name="image")
    return keras.Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(backbone(image, training=False))))


def preprocessing():
    inputs = {
        "number": keras.Input((2,), name="number"),
        "year": keras.Input((1,), dtype="int32", name="year"),
        "kind": keras.Input((1,), dtype="string", name="kind"),
    }
    normalization = layers.Normalization()
    normalization.adapt(np.random.default_rng(0).normal(3, 2, (50, 2)).astype("float32"))
    parts = [
        normalization(inputs["number"]),
        layers.Discretization(bin_boundaries=[0.0, 1.0])(inputs["number"]),
        layers.CategoryEncoding(4, output_mode="multi_hot")(layers.IntegerLookup(vocabulary=[1, 5])(inputs["year"])),
        layers.StringLookup(vocabulary=["a", "b"], output_mode="one_hot")(inputs["kind"]),
        layers.Embedding(7, 2)(layers.Hashing(7)(inputs["kind"]))[:, 0],
    ]
    return keras.Model(inputs, layers.Dense(2)(layers.Concatenate()([ops.cast(p, "float32") for p in parts])))


def string_to_float():
    """A table from strings to numbers that are not integers, which TextVectorization's TF-IDF holds."""
    line = keras.Input((1,), dtype="string", name="line")
    words = layers.TextVectorization(output_mode="tf_idf")
    words.adapt(["a line of words", "more words", "a word"])
    return keras.Model(line, layers.Dense(2)(words(line)))


def shared_layers():
    left, right, dense = keras.Input((4,), name="left"), keras.Input((4,), name="right"), layers.Dense(3)
    return keras.Model([left, right], layers.Dot(1)([dense(left), dense(right)]))


def nested():
    inner = keras.Sequential([keras.Input((8,)), layers.Dense(4), layers.Dense(4)])
    x = keras.Input((8,), name="x")
    return keras.Model(x, {"a": inner(x), "b": layers.Dense(2)(inner(x))})


def operations():
    x = keras.Input((6, 4), name="x")
    y = ops.einsum("bij,bkj->bik", x, x)
    y = ops.where(y > 0, ops.log1p(ops.abs(y)), ops.erf(y))
    return keras.Model(x, ops.max(ops.softmax(y, axis=-1), axis=1))


def attention():
    x = keras.Input((7, 8), name="x")
    y = layers.MultiHeadAttention(2, 4, dropout=0.1)(x, x, use_causal_mask=True)
    y = layers.LayerNormalization()(layers.Add()([x, y]))
    y = layers.GroupQueryAttention(4, 4, 2)(y, y)
    return keras.Model(x, layers.GlobalAveragePooling1D()(layers.EinsumDense("btd,df->btf", (None, 3))(y)))


def unet():
    x = keras.Input((16, 16, 3), name="image")
    down = layers.Conv2D(4, 3, strides=2, padding="same")(x)
    up = layers.Conv2DTranspose(4, 3, strides=2, padding="same")(down)
    return keras.Model(x, layers.Conv2D(2, 1)(layers.Concatenate()([x, up, layers.UpSampling2D()(down)])))


MODELS = {
    f.__name__: f
    for f in (
        *(lora, lora_of_an_embedding, int8_with_lora, trained, frozen, frozen_backbone, preprocessing),
        *(string_to_float, shared_layers, nested, operations, attention, unet),
    )
}
MODELS |= {
    "separable": _images(lambda: layers.SeparableConv2D(4, 3), lambda: layers.DepthwiseConv2D(3)),
    "group_normalization": _images(lambda: layers.Conv2D(4, 3), lambda: layers.GroupNormalization(2)),
    "unit_normalization": _images(layers.UnitNormalization, layers.RMSNormalization),
    "spectral": _images(lambda: layers.SpectralNormalization(layers.Conv2D(4, 3))),
    "activations": _images(layers.PReLU, lambda: layers.LeakyReLU(0.2), layers.ELU, lambda: layers.ReLU(6.0)),
    "gelu": _images(lambda: layers.Dense(4, "gelu"), lambda: layers.Dense(4, "silu"), lambda: layers.Dense(4, "mish")),
    "regularized": _images(lambda: layers.Dense(4, kernel_regularizer="l2", activity_regularizer="l1")),
    "noise": _images(
        lambda: layers.GaussianNoise(0.1), lambda: layers.GaussianDropout(0.1), lambda: layers.AlphaDropout(0.1)
    ),
    "spatial_dropout": _images(lambda: layers.SpatialDropout2D(0.2), lambda: layers.Dropout(0.2, seed=1)),
    "augmentation": _images(
        layers.RandomFlip,
        lambda: layers.RandomRotation(0.1),
        lambda: layers.RandomZoom(0.1),
        lambda: layers.RandomContrast(0.1),
        lambda: layers.RandomTranslation(0.1, 0.1),
        lambda: layers.RandomBrightness(0.1),
    ),
    "resizing": _images(
        lambda: layers.Resizing(8, 8), lambda: layers.CenterCrop(6, 6), lambda: layers.Rescaling(1 / 255)
    ),
    "pooling": _images(
        lambda: layers.AveragePooling2D(2), lambda: layers.ZeroPadding2D(1), lambda: layers.Cropping2D(1)
    ),
    "permuted": _images(
        lambda: layers.Permute((2, 1, 3)), lambda: layers.Reshape((16, 48)), lambda: layers.Conv1D(3, 2)
    ),
    "convolution_3d": _images(lambda: layers.Conv3D(2, 2), lambda: layers.MaxPooling3D(2), shape=(6, 6, 6, 1)),
    "locally": _images(lambda: layers.TimeDistributed(layers.Conv2D(2, 2)), shape=(3, 6, 6, 1)),
    "convolution_lstm": _images(lambda: layers.ConvLSTM2D(2, 2), shape=(3, 6, 6, 1)),
    "mixed_float16": _policy("mixed_float16"),
    "mixed_bfloat16": _policy("mixed_bfloat16"),
    "float64": _policy("float64"),
    "int8": _quantized("int8"),
    "int4": _quantized("int4"),
    "lstm": _sequence(lambda: layers.LSTM(4)),
    "gru": _sequence(lambda: layers.GRU(4, dropout=0.1, recurrent_dropout=0.1)),
    "bidirectional": _sequence(lambda: layers.Bidirectional(layers.LSTM(4))),
    "stacked_cells": _sequence(lambda: layers.RNN([layers.GRUCell(3), layers.LSTMCell(4)])),
    "simple_rnn": _sequence(lambda: layers.SimpleRNN(4, return_sequences=True), lambda: layers.LSTM(3, unroll=False)),
    "pooled_with_a_mask": _sequence(layers.GlobalAveragePooling1D),
    "masking": lambda: keras.Sequential([keras.Input((5, 3), name="x"), layers.Masking(), layers.LSTM(2)]),
    "tagger": _sequence(lambda: layers.Bidirectional(layers.GRU(3, return_sequences=True))),
}
# Networks of keras.applications, at sizes and settings at which each is small; tracing one takes up to a minute
APPLICATIONS = {
    "MobileNet": _application("MobileNet", 32, alpha=0.25),
    "MobileNetV2": _application("MobileNetV2", 32, alpha=0.35),
    "MobileNetV3Small": _application("MobileNetV3Small"),
    "EfficientNetB0": _application("EfficientNetB0"),
    "ResNet50V2": _application("ResNet50V2"),
    "VGG16": _application("VGG16"),
    "ConvNeXtTiny": _application("ConvNeXtTiny"),
}
