"""Names of models and settings of a training for type checkers, which `make tables` writes."""

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, Literal, TypedDict

# typed: make tables
ModelName = Literal[
    "admissions",
    "attention",
    "autoencoder",
    "bike_sharing",
    "crepe",
    "crepe_full",
    "crepe_small",
    "cyclegan",
    "dcgan",
    "detector",
    "edges",
    "efficientnet_lite0",
    "efficientnet_lite1",
    "efficientnet_lite2",
    "efficientnet_lite3",
    "efficientnet_lite4",
    "faces",
    "fashion_mnist",
    "flow_matching",
    "flowers",
    "forecast",
    "gan",
    "grapheme_to_phoneme",
    "keywords",
    "landmarks",
    "language",
    "magika",
    "minilm",
    "mnist",
    "mnist_cnn",
    "person_segmentation",
    "pix2pix",
    "sentiment",
    "silero_vad",
    "skin_lesions",
    "style_transfer",
    "style_transfer_casa_mila",
    "table",
    "text",
    "text_rnn",
    "text_transformer",
    "unet",
    "word2vec",
    "wordllama",
]

class TrainOptions(TypedDict, total=False):
    recipe: str
    settings: Mapping[str, Any]
    model_arguments: Mapping[str, Any]
    data_dir: str | PathLike[str] | None
    cache_dir: str | PathLike[str] | None
    out: str | PathLike[str] | None
    seed: int
    precision: str
    init: str | PathLike[str] | None
    candidates: str | PathLike[str] | None
    resume: str | PathLike[str] | None
    devices: str | PathLike[str] | None
    checkpoint_minutes: float
    evaluate: bool
    export: bool
    quick: bool
    quantize: str | Sequence[str]

# /typed
