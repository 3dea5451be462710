"""Arguments of builders, and settings of plans, that cannot be right: one sentence that says what is."""

import pytest

import zoo
from zoo.core.plan import make_plan
from zoo.modeling.backbones import TINY
from zoobase.errors import UsageError, ZooError

BUILD = [
    ("fashon_mnist", {}, "did you mean fashion_mnist"),
    ("fashion_mnist", {"filterz": (8,)}, "did you mean filters"),
    ("fashion_mnist", {"api": "functionl"}, "did you mean functional"),
    ("fashion_mnist", {"api": "subclassed", "ensemble": 2}, "api=subclassed has neither model.ensemble"),
    ("fashion_mnist", {"api": "subclassed", "flip_tta": True}, "api=subclassed has neither model.ensemble"),
    ("fashion_mnist", {"filters": (32, 64, 128)}, "3 filters and 4 depths: give one of each for every block"),
    ("fashion_mnist", {"filters": (-4,), "depths": (1,)}, "cannot be built with these arguments"),
    ("fashion_mnist", {"num_classes": -1}, "num_classes=-1 is not valid"),
    ("fashion_mnist", {"num_classes": 0}, "num_classes=0 is not valid"),
    ("fashion_mnist", {"weights": "nosuch.h5"}, "nosuch.h5 do not exist"),
    ("fashion_mnist", {"weights": "folder/of/mine"}, "folder/of/mine do not exist"),
    ("fashion_mnist", {"weights": "defualt"}, "did you mean default"),
    ("fashion_mnist", {"weights": True}, "weights=True is not the name or path"),
    ("autoencoder", {"latent_dim": 0}, "positive whole number"),
    ("autoencoder", {"filters": (8, 8, 8)}, "cannot be halved 3 times"),
    ("autoencoder", {"kind": "denoise"}, "dense or denoising"),
    ("cyclegan", {"image_shape": (8, 8, 1)}, "8x8 are too small for 2 downsampling stages"),
    ("cyclegan", {"pool": 0}, "pool=0"),
    ("detector", {"image_shape": (7, 30, 3)}, "images of 7x30 are too small"),
    ("detector", {"width": 0}, "it must be positive"),
    ("detector", {"encoder": TINY, "image_shape": (64, 64, 1)}, "takes images of 3 channels, not 1"),
    ("faces", {"smallest": 11}, "smallest=11 is not valid"),
    ("faces", {"smallest": 257}, "smallest=257 is not valid"),
    ("faces", {"candidates": 0}, "candidates=0 is not valid"),
    ("faces", {"image_shape": (64, 64, 1)}, "not in those of 1 channels"),
    ("flow_matching", {"filters": (8, 8, 8)}, "28x28 cannot be halved 3 times"),
    ("flow_matching", {"steps": 0}, "model.steps=0 is not valid"),
    ("pix2pix", {"image_shape": (12, 28, 1)}, "12x28 are too small"),
    ("sentiment", {"pairs": 0}, "pairs="),
    ("sentiment", {"pairs": -1}, "pairs="),
    ("sentiment", {"parts": 1}, "pairs="),
    ("text", {"backbone": "minlm"}, "did you mean minilm"),
    ("unet", {"image_shape": (7, 30, 3)}, "images of 7x30 are too small for 3 downsampling stages"),
    ("unet", {"depth": 0}, "both must be positive"),
    ("unet", {"encoder": TINY, "depth": 6, "image_shape": (64, 64, 3)}, "no features of 1x1: choose a smaller model."),
    ("unet", {"encoder": TINY, "image_shape": (64, 64, 1)}, "takes images of 3 channels, not 1"),
]
PLAN = [
    ("attention", {"task.level": "word"}, "did you mean.*words"),
    ("attention", {"task.beam": 0}, "task.beam"),
    ("attention", {"recipe.data": "verse"}, "did you mean verses"),
    ("attention", {"recipe.task": '{"levle": 1}'}, "level"),
    ("autoencoder", {"recipe.dropout": "0.4"}, "argument of autoencoder"),
    ("bike_sharing", {"task.loss": "poison"}, "did you mean poisson"),
    ("fashion_mnist", {"recipe.candidates": '[{"fliters": [8, 16]}]'}, "did you mean filters"),
    ("fashion_mnist", {"recipe.model": '{"droput": 0.4}'}, "did you mean dropout"),
    (
        "fashion_mnist",
        {"recipe.schedule": "cosine", "recipe.decay": 0.1},
        "recipe.decay has no effect with .*schedule=cosine; omit it",
    ),
    ("mnist", {"model.ensemble": 2}, "ensemble"),
    ("mnist", {"recipe.epochs": "9" * 400}, "recipe.epochs=9+.* is not"),
    ("mnist", {"recipe.learning_rate": "9" * 400}, "recipe.learning_rate=9+.* is not"),
    ("pix2pix", {"task.direction": "b2b"}, "must be a2b or b2a"),
    ("table", {"model.ensemble": 2, "recipe.restarts": 2}, "trains so many models from different seeds"),
    ("table", {"model.ensemble": 2, "recipe.candidates": [{"dropout": 0.0}]}, "trains so many models from different"),
    ("text_rnn", {"task.level": "word"}, "did you mean.*words"),
    ("text_rnn", {"task.warm_up": 500}, "warm_up"),
    *(
        (name, {"recipe.whiten": True}, "recipe.whiten has no effect with")
        for name in ("flowers", "sentiment", "dcgan")
    ),
]


@pytest.mark.parametrize(("name", "arguments", "sentence"), BUILD)
def test_arguments_of_a_builder(name, arguments, sentence):
    with pytest.raises(ZooError, match=sentence) as caught:
        zoo.build(name, **arguments)
    assert caught.value.exit_code in (2, 3)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "settings", "sentence"), PLAN)
def test_settings_of_a_plan(name, settings, sentence):
    with pytest.raises(UsageError, match=sentence) as caught:
        make_plan(name, settings=settings)
    assert "\n" not in str(caught.value)
