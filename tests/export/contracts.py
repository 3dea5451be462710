"""Contracts of models with endpoints besides their own call."""

from export.contract import Contract, Endpoint, Tensor
from export.contract.endpoints import bytes_endpoint, step_endpoint, tensor_endpoint

IMAGE = Tensor("image", "float32", (None, 6, 6, 1), "image", 0, 1)
LATENT = Tensor("latent", "float32", (None, 2), "latent")
MORE = ("saved_model", "tflite")


def of_autoencoder(model):
    noise = Tensor("noise", "float32", (None, 2), "noise")
    mean = Tensor("mean", "float32", (None, 2), "latent")
    whole = tensor_endpoint(model, [IMAGE, noise], [IMAGE, mean])
    encode = Endpoint("encode", (IMAGE,), (mean,), lambda x: {"mean": model.encode(x["image"])[0]}, MORE)
    decode = Endpoint("decode", (LATENT,), (IMAGE,), lambda x: {"image": model.decoder(x["latent"])}, MORE)
    return Contract((whole, encode, decode))


def of_characters(model):
    tokens = Tensor("tokens", "int32", (None, None), "token", 0, model.size - 1)
    logits = Tensor("logits", "float32", (None, None, model.size), "logits")
    step = step_endpoint(
        model.step,
        Tensor("token", "int32", (1,), "token", 0, model.size - 1),
        [Tensor("state", "float32", (1, model.units), "state")],
        Tensor("logits", "float32", (1, model.size), "logits"),
    )
    return Contract((tensor_endpoint(model, [tokens], [logits]), step))


def of_functional_cnn(model):
    import tensorflow as tf

    def preprocess(data):
        pixels = tf.io.decode_image(data, channels=1, expand_animations=False)
        return tf.image.resize(tf.cast(pixels, tf.float32), (12, 12))

    labels = ("ant", "bee", "cat", "dog")
    image = Tensor("image", "float32", (None, 12, 12, 1), "image", 0, 255)
    logits = Tensor("logits", "float32", (None, len(labels)), "logits")
    base = tensor_endpoint(model, [image], [logits])
    return Contract((base, bytes_endpoint(base, preprocess, labels=labels)), labels)
