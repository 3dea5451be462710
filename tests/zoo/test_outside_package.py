"""A package of someone else, with a model, a task and a dataset, installed by pip: listed, trained, proven, asked."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import commands

ROOT = Path(__file__).parent.parent.parent
FILES = {
    "pyproject.toml": """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "stripes"
version = "1.0"

[project.entry-points."zoo.models"]
stripes = "stripes.models"

[project.entry-points."zoo.datasets"]
stripes_12x12 = "stripes.data"

[tool.setuptools]
packages = ["stripes"]
""",
    "stripes/__init__.py": 'raise ImportError("listing must not import the package")',
    "stripes/task.py": '''
"""Classification that also reports the balanced accuracy."""

from dataclasses import dataclass

from sklearn.metrics import balanced_accuracy_score

from zoo.tasks import Classification


@dataclass(frozen=True)
class BalancedClassification(Classification):
    """Image classification with the balanced accuracy."""

    title = "balanced image classification"

    def metrics(self, outputs, truth, info):
        """Return the metrics of classification, and the balanced accuracy."""
        balanced = balanced_accuracy_score(truth, outputs["logits"].argmax(-1))
        return {**super().metrics(outputs, truth, info), "balanced_accuracy": float(balanced)}
''',
    "stripes/data.py": '''
"""Images of horizontal and vertical stripes."""

import numpy as np

import pipelines


def load(data_dir, cache_dir, split):
    """See `pipelines.load`."""
    rng = np.random.default_rng(0)
    labels = rng.integers(2, size=400)
    stripes = np.tile(np.repeat([[40], [200]], 3, 0), (2, 12)) + rng.integers(-30, 30, (400, 12, 12))
    images = np.where(labels[:, None, None], stripes.transpose(0, 2, 1), stripes).astype("uint8")
    names = ("horizontal", "vertical")
    return pipelines.from_arrays(
        images, labels, class_names=names, split=split, name="stripes_12x12", source="drawn", licence="CC0-1.0"
    )
''',
    "stripes/models.py": '''
"""A linear classifier of stripes."""

import keras
from keras import layers

from stripes.task import BalancedClassification
from zoo import Card, Recipe, register


@register(
    data="stripes_12x12",
    task=BalancedClassification(),
    recipes={"default": Recipe(epochs=3, batch_size=16, learning_rate=0.01)},
    tiny={},
    card=Card(paper="none"),
)
def linear_stripes(num_classes: int = 2, image_shape: tuple = (12, 12, 1)) -> keras.Model:
    """Linear classifier of 12x12 images."""
    image = keras.Input(tuple(image_shape), name="image")
    x = layers.Flatten()(layers.Rescaling(1 / 255)(image))
    return keras.Model(image, layers.Dense(num_classes, name="logits")(x))
''',
}


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """Return the folder into which pip has installed the package."""
    source, site = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    for name, text in FILES.items():
        path = source / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text.lstrip())
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation", "--target"]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, site, source], check=True, timeout=120)
    return site


def python(package, *words, code=0, **options):
    """Run a command with the package on the path, in a folder beside it."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(package), str(ROOT)])}
    done = commands.run(*words, timeout=300, cwd=package.parent, env=environment, **options)
    assert done.returncode == code, done.stderr
    return done


def test_the_package_is_listed_without_being_imported(package):
    """Its `__init__` raises until the next test replaces it."""
    code = (
        "import sys, zoo, pipelines; print(zoo.list_models('*stripes'), 'stripes_12x12' in pipelines.list_datasets());"
        "print([name for name in ('stripes', 'tensorflow', 'keras') if name in sys.modules])"
    )
    assert python(package, "-c", code, fresh=True).stdout == "['linear_stripes'] True\n[]\n"
    wrong = python(package, "-m", "zoo.train", "linear_stripes", "--set", "data=stripes_12x21", code=2, fresh=True)
    assert wrong.stderr == "error: unknown dataset 'stripes_12x21'; did you mean stripes_12x12?\n"


@pytest.mark.extended
def test_the_package_is_trained_to_a_proven_bundle(package):
    (package / "stripes" / "__init__.py").write_text("")
    code = """
import json
import numpy as np
from PIL import Image
import zoo
summary = zoo.train.run("linear_stripes", settings={"recipe.epochs": 1}, precision="float32", out="run")
image = np.zeros((12, 12), "uint8")
image[3:6] = image[9:] = 200
Image.fromarray(image).save("horizontal.png")
prediction = zoo.predict.run("run/bundle", ["horizontal.png"], top_k=1)
print(json.dumps([summary, prediction.rows]))
"""
    summary, (prediction,) = json.loads(python(package, "-c", code).stdout)
    assert summary["data"] == "stripes_12x12"
    assert summary["metrics"]["balanced_accuracy"] > 0.9
    assert [bundle["verdict"] for bundle in summary["bundles"]] == ["pass"]
    assert prediction["label"] == "horizontal"
    config = json.loads((package.parent / "run" / "config.json").read_text())
    assert config["info"]["licence"] == "CC0-1.0"
