"""Height, width and channels come from the data or the user, and reach the builder."""

import dataclasses
import json

import keras
import numpy as np
import pytest
from PIL import Image

from tests.photographs import save
from zoo import train
from zoo.core import registry
from zoo.core.plan import make_plan
from zoobase.errors import UsageError

TINY = {"model.filters": (4, 8), "model.depths": (1, 1), "recipe.epochs": 1, "recipe.batch_size": 16}


def write(folder, sizes, mode="RGB"):
    rng = np.random.default_rng(0)
    for name, level in (("dark", 60), ("light", 180)):
        for i in range(20):
            width, height = sizes[i % len(sizes)]
            pixels = rng.integers(level - 50, level + 50, (height, width, 3)).astype(np.uint8)
            save(folder / name / f"{i}.png", Image.fromarray(pixels).convert(mode))
    return str(folder)


def plan_for(model, folder, **settings):
    return make_plan(model, settings={"data": "image_folder"} | TINY | settings, data_dir=folder)


@pytest.mark.extended
def test_a_classifier_of_small_images_trains_on_a_colour_folder(tmp_path):
    folder = write(tmp_path / "images", [(24, 20)])
    out, settings = tmp_path / "run", {"data": "image_folder"} | TINY
    train.run("fashion_mnist", settings=settings, data_dir=folder, out=str(out), precision="float32")
    contract = json.loads((out / "bundle" / "manifest.json").read_text())["contract"]
    image = contract["endpoints"][0]["inputs"][0]
    assert image["shape"] == [None, 20, 24, 3]


def test_the_size_of_grey_images(tmp_path):
    plan = plan_for("fashion_mnist", write(tmp_path / "grey", [(16, 16)], "L"))
    assert plan.arguments(plan.load_data().info)["image_shape"] == [16, 16, 1]


@pytest.mark.parametrize("model", ["fashion_mnist", "mnist", "autoencoder", "gan"])
def test_images_of_several_sizes_need_a_choice(tmp_path, model):
    mixed = write(tmp_path / "mixed", [(16, 16), (20, 16)])
    settings = {k: v for k, v in TINY.items() if not k.startswith("model.")} | {"data": "image_folder"}
    plan = make_plan(model, settings=settings, data_dir=mixed)
    info = plan.load_data().info
    with pytest.raises(UsageError, match=r"have several sizes: choose one size .* --set task\.height=64"):
        plan.arguments(info)
    chosen = {"task.height": 32, "task.width": 24, "task.channels": 3}
    plan = make_plan(model, settings=settings | chosen, data_dir=mixed)
    assert plan.arguments(info)["image_shape"] == [32, 24, 3]


def test_large_images_need_a_size(tmp_path):
    plan = plan_for("fashion_mnist", write(tmp_path / "large", [(300, 200)]))
    with pytest.raises(UsageError, match="have 200x300 pixels: choose one size"):
        plan.arguments(plan.load_data().info)


def test_a_builder_without_an_image_shape(tmp_path, monkeypatch):
    def fixed(num_classes, **arguments):
        return keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Flatten(), keras.layers.Dense(num_classes)])

    entry = registry.get_entry("fashion_mnist")
    options = tuple(option for option in entry.options if option.name != "image_shape")
    monkeypatch.setattr(registry, "get_entry", lambda name: dataclasses.replace(entry, options=options))
    monkeypatch.setattr(registry, "get_builder", lambda name: fixed)
    plan = plan_for("fashion_mnist", write(tmp_path / "images", [(20, 20)]))
    with pytest.raises(UsageError, match="takes images of 28x28x1, not 20x20x3"):
        plan.build(plan.load_data().info)
