"""The models of the page on third-party models: the families of keras.applications, twelve backbones of keras-hub."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

APPLICATIONS, HUB = "keras.applications", "keras-hub"
IMAGES = 32  # for the statistics of batch normalisation


@dataclass(frozen=True)
class ThirdPartyModel:
    """A model of another library, with random weights.

    Attributes:
        name: Name of its class or function.
        library: "keras.applications" or "keras-hub".
        arguments: Arguments of its constructor.
    """

    name: str
    library: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def build(self) -> Any:
        """Return the model. Its weights are random, its batch normalisation has statistics of random images."""
        import keras

        keras.utils.set_random_seed(0)
        if self.library == APPLICATIONS:
            model = getattr(keras.applications, self.name)(**self.arguments)
            _set_statistics(model)
            return model
        import keras_hub

        return getattr(keras_hub.models, self.name)(**self.arguments)


def _set_statistics(model: Any) -> None:
    """Give batch normalisation the statistics of one batch, without which answers of a deep network are constant."""
    import keras
    import numpy as np

    layers = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    model(np.random.default_rng(0).uniform(0, 255, (IMAGES, *model.input_shape[1:])).astype("float32"), training=True)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum


def _application(name: str, side: int = 32) -> ThirdPartyModel:
    """Return the smallest member of a family, for 10 classes and images of `side` pixels, its least size."""
    return ThirdPartyModel(name, APPLICATIONS, {"weights": None, "input_shape": (side, side, 3), "classes": 10})


def _hub(name: str, **arguments: Any) -> ThirdPartyModel:
    return ThirdPartyModel(name, HUB, arguments)


_ENCODER = {"vocabulary_size": 100, "num_layers": 2, "num_heads": 2, "hidden_dim": 16, "intermediate_dim": 32}
_LENGTH = {"max_sequence_length": 32}
_DECODER = {"vocabulary_size": 100, "num_layers": 2, "hidden_dim": 16, "intermediate_dim": 32}

MODELS = (
    _application("MobileNet"),
    _application("MobileNetV2"),
    _application("MobileNetV3Small"),
    _application("VGG16"),
    _application("ResNet50"),
    _application("ResNet50V2"),
    _application("EfficientNetB0"),
    _application("EfficientNetV2B0"),
    _application("ConvNeXtTiny"),
    _application("DenseNet121"),
    _application("NASNetMobile"),
    _application("Xception", 71),
    _application("InceptionV3", 75),
    _application("InceptionResNetV2", 75),
    _hub("BertBackbone", **_ENCODER, **_LENGTH),
    _hub("AlbertBackbone", **_ENCODER, **_LENGTH, embedding_dim=8),
    _hub("DistilBertBackbone", **_ENCODER, **_LENGTH),
    _hub("DebertaV3Backbone", **_ENCODER, **_LENGTH, bucket_size=8),
    _hub("FNetBackbone", **{k: v for k, v in _ENCODER.items() if k != "num_heads"}, **_LENGTH),
    _hub("GPT2Backbone", **_ENCODER, **_LENGTH),
    _hub("LlamaBackbone", **_DECODER, num_query_heads=2, num_key_value_heads=1),
    _hub("GemmaBackbone", **_DECODER, num_query_heads=2, num_key_value_heads=1, head_dim=8),
    _hub("T5Backbone", **_ENCODER),
    _hub("ViTBackbone", image_shape=(32, 32, 3), patch_size=8, num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=32),
    _hub(
        "ResNetBackbone",
        input_conv_filters=[64],
        input_conv_kernel_sizes=[3],
        stackwise_num_filters=[64, 128],
        stackwise_num_blocks=[1, 1],
        stackwise_num_strides=[1, 2],
        block_type="basic_block",
        image_shape=(32, 32, 3),
    ),
    _hub(
        "MiTBackbone",
        image_shape=(32, 32, 3),
        layerwise_depths=[1, 1],
        num_layers=2,
        layerwise_num_heads=[1, 2],
        layerwise_sr_ratios=[2, 1],
        hidden_dims=[8, 16],
        layerwise_patch_sizes=[7, 3],
        layerwise_strides=[4, 2],
        max_drop_path_rate=0.1,
    ),
)


@dataclass(frozen=True)
class Cause:
    """Why an artifact of a model does not pass.

    Attributes:
        whose: Whose fault it is: "ours", or a library.
        text: The cause.
    """

    whose: str
    text: str


_NEW_AXIS = Cause(
    "TensorFlow",
    "its converter has no builtin for `mask[:, None, :, :]` of a mask with two unknown sizes; `mask[:, None]` and "
    "`ops.expand_dims` in keras-hub would convert",
)
_ROUNDING = Cause(
    "random weights",
    "a change of the pixels by 1e-6 of their value, which is what rounding does, changes an output by 1e-4: two right "
    "runtimes need not agree within the tolerance",
)
CAUSES: Mapping[str, Cause] = {
    "EfficientNetV2B0": _ROUNDING,
    "ConvNeXtTiny": Cause(
        "Keras", "the `LayerScale` of its ConvNeXt is not registered for its HDF5 reader (tensorflow 59767)"
    ),
    "InceptionResNetV2": Cause(
        "Keras", "its `CustomScaleLayer` is not registered for its HDF5 reader; `model.keras` loads"
    ),
    "MobileNetV3Small": Cause(
        "Keras", "its HDF5 reader passes the constant of an operation as a positional argument; `model.keras` loads"
    ),
    "DebertaV3Backbone": Cause(
        "TensorFlow",
        "its converter has `ABS` and `SIGN` of int32 and float32, but not of int64, in which keras-hub computes "
        "relative positions",
    ),
    "FNetBackbone": Cause("LiteRT", "it has `RFFT2D` of real numbers, but no `FFT2D` of complex ones"),
    "T5Backbone": _NEW_AXIS,
    "LlamaBackbone": _NEW_AXIS,
    "GemmaBackbone": _NEW_AXIS,
}
