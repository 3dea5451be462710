"""Every image classifier as a backbone: embedding, feature maps, frozen layers, image files."""

import keras
import numpy as np
import pytest
from PIL import Image

import zoo
from pipelines import DataError
from zoo.modeling.features import feature_maps
from zoobase.errors import UsageError

TINY = {"backbone": "efficientnet_lite_tiny", "image_shape": (64, 64, 3)}
CLASSIFIERS = {
    "fashion_mnist": {"filters": (4, 8), "depths": (1, 2)},
    "efficientnet_lite0": {"width": 0.25, "depth": 0.3, "image_shape": (64, 64, 3)},
    "flowers": TINY,
    "skin_lesions": TINY,
}


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_without_the_head(name):
    keras.utils.set_random_seed(0)
    whole = zoo.build(name, **CLASSIFIERS[name])
    keras.utils.set_random_seed(0)
    body = zoo.build(name, include_top=False, **CLASSIFIERS[name])
    assert len(body.output_shape) == 2
    image = np.random.default_rng(0).uniform(0, 255, (2, *whole.input_shape[1:])).astype(np.float32)
    np.testing.assert_allclose(whole.get_layer("logits")(body(image)), whole(image), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_feature_maps(name):
    maps = zoo.build(name, features_only=True, **CLASSIFIERS[name])
    size = maps.input_shape[1]
    got = maps(np.zeros((1, *maps.input_shape[1:]), np.float32))
    strides = [int(key.removeprefix("stride_")) for key in got]
    assert strides == sorted(strides)
    assert len(strides) >= 2
    for stride, tensor in zip(strides, got.values(), strict=True):
        assert tensor.shape[1] == -(-size // stride)


def test_feature_maps_of_a_nested_network():
    """Which scales its images before `keras.applications` sees them."""
    model = zoo.build("flowers", backbone="mobilenet_v2", image_shape=(64, 64, 3))
    network = next(layer for layer in model.get_layer("backbone").layers if isinstance(layer, keras.Model))
    image = np.random.default_rng(0).uniform(0, 255, (1, 64, 64, 3)).astype(np.float32)
    want = network(keras.applications.mobilenet_v2.preprocess_input(image.copy()))
    np.testing.assert_allclose(feature_maps(model)(image)["stride_32"], want, rtol=1e-4, atol=1e-5)


def test_a_model_with_trained_weights():
    whole, body = zoo.build("fashion_mnist", "default"), zoo.build("fashion_mnist", "default", include_top=False)
    image = np.random.default_rng(0).uniform(0, 255, (2, 28, 28, 1)).astype(np.float32)
    np.testing.assert_allclose(whole.get_layer("logits")(body(image)), whole(image), rtol=1e-4, atol=1e-4)


def test_frozen_layers_are_not_trained():
    model = zoo.build("fashion_mnist", **CLASSIFIERS["fashion_mnist"])
    assert zoo.freeze(model, "block0_pool") < model.count_params()
    before = {variable.path: np.array(variable) for variable in model.weights}
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(np.random.default_rng(0).uniform(0, 255, (16, 28, 28, 1)), np.arange(16) % 10, verbose=0)
    changed = {variable.path.split("_")[0] for variable in model.weights if (before[variable.path] != variable).any()}
    assert changed == {"block1", "logits/kernel", "logits/bias"}


def test_layers_of_a_nested_backbone_are_frozen():
    model = zoo.build("flowers", **TINY)
    whole = sum(np.prod(v.shape) for v in model.trainable_variables)
    some = zoo.freeze(model, "stem_norm")
    assert 0 < zoo.freeze(model) < some < whole
    assert {v.path.split("/")[0] for v in model.trainable_variables} == {"logits"}


def test_files(tmp_path):
    Image.fromarray(np.full((50, 40, 3), 200, np.uint8)).save(tmp_path / "a.png")
    assert zoo.preprocess("fashion_mnist")([tmp_path / "a.png"] * 2).shape == (2, 28, 28, 1)
    pixels = zoo.preprocess("flowers", (32, 48, 3))([tmp_path / "a.png"])
    assert (pixels.shape, pixels.dtype) == ((1, 32, 48, 3), np.uint8)
    (tmp_path / "b.png").write_text("no image")
    with pytest.raises(DataError, match="not an image"):
        zoo.preprocess("flowers")([tmp_path / "b.png"])


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: zoo.build("autoencoder", include_top=False), "no order|no head"),
        (lambda: zoo.build("fashion_mnist", include_top=False, api="subclassed"), "build it with another api"),
        (lambda: zoo.build("mnist", features_only=True), "no feature maps"),
        (lambda: zoo.freeze(zoo.build("mnist"), "hiden"), "unknown layer of mnist"),
        (lambda: zoo.preprocess("sentiment"), "does not take images"),
        (lambda: zoo.preprocess("dcgan"), "does not take images"),
    ],
)
def test_errors(call, sentence):
    with pytest.raises(UsageError, match=sentence):
        call()


def test_the_maps_of_a_segmentation_are_not_its_class_logits():
    model = zoo.build("unet", num_classes=3, width=4, depth=2, image_shape=(32, 32, 3))
    maps = feature_maps(model).output
    assert {key: tensor.shape[1:] for key, tensor in maps.items()} == {
        "stride_1": (32, 32, 4),
        "stride_2": (16, 16, 8),
        "stride_4": (8, 8, 16),
    }


@pytest.mark.parametrize("has_class_token", [False, True])
def test_the_last_tokens_of_a_transformer_are_a_map(has_class_token):
    """The patches alone would be the input of the transformer, not its features."""
    image = keras.Input((32, 32, 3), name="image")
    x = keras.layers.Reshape((16, 8))(keras.layers.Conv2D(8, 8, strides=8, name="patches")(image))
    if has_class_token:
        x = keras.layers.ZeroPadding1D((1, 0))(x)
    x = keras.layers.Add()([x, keras.layers.MultiHeadAttention(2, 4, name="attention")(x, x)])
    tokens = keras.layers.LayerNormalization(name="norm")(x)
    logits = keras.layers.Dense(5, name="logits")(keras.layers.GlobalAveragePooling1D()(tokens))
    maps = feature_maps(keras.Model(image, logits, name="vit"))
    pixels = np.random.default_rng(0).uniform(0, 1, (2, 32, 32, 3)).astype(np.float32)
    want = keras.Model(image, tokens)(pixels)[:, -16:]
    np.testing.assert_allclose(maps(pixels)["stride_8"], np.reshape(want, (2, 4, 4, 8)), rtol=1e-5, atol=1e-6)


def test_what_has_no_feature_maps_and_no_head_says_so():
    for name in ("table", "admissions", "bike_sharing", "sentiment", "text_rnn"):
        with pytest.raises(UsageError, match="does not take images"):
            zoo.build(name, features_only=True)
    for name in ("table", "dcgan"):
        with pytest.raises(UsageError, match=r"has no head|is a subclassed model"):
            zoo.build(name, include_top=False)
