"""Files that were written when the packages were flat load from their rooms: `.keras` files and whole bundles.

tests/fixtures/before_rehousing was written at commit 58fa51e, the last before the move, by

    keras.utils.set_random_seed(0)
    zoo.build("fashion_mnist", api="subclassed", filters=(8, 16), depths=(1, 1)).save("fashion_mnist.keras")
    image = keras.Input((8, 8, 3), name="image")
    x = zoo.layers.ReflectionPadding2D(1)(image)
    x = zoo.layers.InstanceNormalization(groups=-1)(keras.layers.Conv2D(4, 3)(x))
    x = keras.layers.Dense(3, name="logits")(keras.layers.GlobalAveragePooling2D()(x))
    export_model(keras.Model(image, x, name="small"), "bundle", formats=("keras", "hdf5", "weights"))
"""

import importlib
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

import zoo
from export import load, verify_bundle
from export.contract.artifact import Artifact
from export.parity.golden import read_golden
from export.proof.certificate import PASS

OLD = Path(__file__).parent / "fixtures" / "before_rehousing"


@pytest.fixture
def bundle(tmp_path):
    """A copy, for proving a bundle again writes into it."""
    return shutil.copytree(OLD / "bundle", tmp_path / "bundle")


def test_what_moved_is_where_the_table_says():
    for old, new in zoo.MOVED_MODULES.items():
        assert importlib.util.find_spec(new), new
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module(old)


def test_a_bundle_that_names_a_module_that_moved_is_proven_again(bundle):
    manifest = json.loads((bundle / "manifest.json").read_text())
    assert manifest["code_dependency"] == {"package": "zoo", "modules": ["zoo.layers"]}
    certificate = verify_bundle(bundle)
    assert certificate.verdict == PASS
    ran = {row.format for row in certificate.artifacts if row.runtime == "keras" and row.state == PASS}
    assert ran == {"keras", "hdf5", "weights"}


def test_a_bundle_that_names_a_module_that_moved_answers_as_it_did(bundle):
    loaded = load(bundle, "keras")
    case = read_golden(bundle / "golden", loaded.contract)["serving_default"][0]
    answer = loaded["serving_default"](**case.inputs)
    assert set(answer) == set(case.outputs)
    for name, value in case.outputs.items():
        np.testing.assert_allclose(answer[name], value, atol=1e-6)


def test_a_keras_file_loads_by_the_registered_names_of_its_classes(bundle):
    import keras

    import zoo.modeling.layers

    with zipfile.ZipFile(bundle / "model.keras") as archive:
        assert '"module": "zoo.layers"' in archive.read("config.json").decode()
    model = keras.saving.load_model(bundle / "model.keras")
    assert type(model.layers[1]) is zoo.modeling.layers.ReflectionPadding2D


def test_a_subclassed_model_of_the_zoo_loads_as_a_keras_file(tmp_path):
    from export.formats.keras import read_model
    from export.runners.run_keras import load_model

    zoo.get_spec("fashion_mnist")  # registers its classes
    images = np.random.default_rng(0).uniform(0, 255, (3, 28, 28, 1)).astype("float32")
    path = OLD / "fashion_mnist.keras"
    artifact = Artifact("keras", path.name, ("serving_default",)).to_json() | {"path": str(path)}
    one, other = (model(images, training=False) for model in (read_model(path), load_model(artifact, {})))
    assert one.shape == (3, 10)
    np.testing.assert_array_equal(one, other)
