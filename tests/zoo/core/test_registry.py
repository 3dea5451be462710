"""The registry: names, signatures and summaries without TensorFlow; models in additional files."""

import dataclasses
import json
import os
import subprocess
import sys

import pytest

import zoo
from zoo import fashion_mnist
from zoo.core import plan, registry
from zoobase import plugins
from zoobase.errors import ZooError


def python(code, **environment):
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, env=os.environ | environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_and_listing_need_no_tensorflow():
    out = python(
        "import sys, zoo, zoo.train, zoo.__main__, pipelines, export; print(zoo.list_models());"
        "print([m for m in ('tensorflow', 'keras', 'numpy.random') if m in sys.modules])"
    )
    names, loaded = out.splitlines()
    assert "fashion_mnist" in names
    assert "tensorflow" not in loaded
    assert "keras" not in loaded


def test_builders_are_attributes_of_the_package():
    assert fashion_mnist is registry.get_builder("fashion_mnist")
    with pytest.raises(ImportError):
        exec("from zoo import fashion_mnits")


def test_specs_equal_the_metadata_of_the_source():
    for name, entry in registry.entries().items():
        spec = zoo.get_spec(name)
        assert (spec.name, spec.data, type(spec.task).__name__) == (name, entry.data, entry.task)
        assert plan.make_plan(name, settings=spec.tiny_settings()).model == name


MODEL = '''
"""A third-party model."""
import keras
from keras import layers
from zoo import Card, Recipe, register
from zoo.tasks import Classification


@register(data="fashion_mnist", task=Classification(), recipes={"default": Recipe(epochs=1)}, tiny={"units": 4},
          card=Card(paper="none"))
def dropped_in(num_classes: int = 10, units: int = 32) -> keras.Model:
    """A single hidden layer."""
    image = keras.Input((28, 28, 1), name="image")
    x = layers.Flatten()(layers.Rescaling(1 / 255)(image))
    return keras.Model(image, layers.Dense(num_classes, name="logits")(layers.Dense(units, activation="relu")(x)))
'''


@pytest.fixture
def folder(tmp_path, monkeypatch):
    import zoo.models

    plugins.warn.cache_clear()
    monkeypatch.setattr(zoo.models, "__path__", [*zoo.models.__path__, str(tmp_path)])
    return tmp_path


def test_a_model_of_ones_own_is_listed_before_it_has_a_figure(folder):
    (folder / "one.py").write_text(MODEL)
    listed = zoo.list_models(listed=True)
    assert {"dropped_in", "fashion_mnist"} <= set(listed)
    assert {"mnist", "table"} <= set(zoo.list_models(listed=False))
    assert sorted([*listed, *zoo.list_models(listed=False)]) == zoo.list_models()


def test_a_name_registered_twice_is_left_out_with_a_warning(folder, caplog):
    for stem in ("one", "two"):
        (folder / f"{stem}.py").write_text(MODEL)
    (folder / "three.py").write_text(MODEL.replace("dropped_in", "mnist"))
    zoo.list_models()
    assert registry.entries()["dropped_in"].module == "zoo.models.one"
    assert registry.entries()["mnist"].module == "zoo.models.mnist"
    assert [record.getMessage() for record in caplog.records] == [
        f"warning: model {name!r} of {folder / file} is left out, because zoo.models.{first} has registered this name"
        for name, file, first in (("mnist", "three.py", "mnist"), ("dropped_in", "two.py", "one"))
    ]


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"def f(:\n", "invalid syntax (line 1)"), (b"x = '\xff'", "codec can't decode"), (b"x = 1\0", "null bytes")],
)
def test_an_invalid_model_file_is_left_out_with_a_warning(folder, caplog, content, reason):
    (folder / "broken.py").write_bytes(content)
    (folder / "good.py").write_text(MODEL)
    assert {"dropped_in", "mnist"} <= set(zoo.list_models())
    (record,) = caplog.records
    assert record.getMessage().startswith(f"warning: model file {folder / 'broken.py'} is left out")
    assert reason in record.getMessage()


def test_a_warning_about_a_model_file_is_one_line_on_standard_error(tmp_path):
    (tmp_path / "broken.py").write_text("def f(:\n")
    done = subprocess.run(
        [sys.executable, "-m", "zoo", "--json"],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"ZOO_MODELS_PATH": str(tmp_path)},
    )
    assert done.returncode == 0
    assert len(done.stderr.splitlines()) == 1
    assert "fashion_mnist" in {row["name"] for row in json.loads(done.stdout)}


def test_a_builder_with_kwargs_is_refused():
    register = registry.register(data="digits", task=None, recipes={"default": None}, tiny={}, card=None)

    def forwarding(num_classes=10, **kwargs):
        """A builder whose options cannot be read."""

    with pytest.raises(ZooError, match=r"'forwarding' takes \*\*kwargs: name every argument"):
        register(forwarding)


def test_names_read_from_the_source_equal_those_of_the_specs():
    """Wrong names are reported before TensorFlow is imported, by what the source says."""
    for name, entry in registry.entries().items():
        spec = zoo.get_spec(name)
        assert registry.task_fields(entry) == {f.name for f in dataclasses.fields(spec.task)}, name
        assert entry.recipes in ((), tuple(spec.recipes)), name


def test_variants(folder):
    """Other names for a builder with other defaults, which are known without an import."""
    variant = 'Variant(summary="Twice as wide.", arguments={"units": 64}, task=Classification(height=14))'
    content = MODEL.replace("tiny=", f"variants={{'dropped_wide': {variant}}},\n    tiny=", 1)
    (folder / "wide.py").write_text(content.replace("import Card", "import Card, Variant", 1))
    entry = registry.get_entry("dropped_wide")
    assert {option.name: option.default for option in entry.options}["units"] == 64
    assert "zoo.models.wide" not in sys.modules
    model = zoo.build("dropped_wide")
    assert (model.name, model.count_params()) == ("dropped_wide", zoo.build("dropped_in", units=64).count_params())
    assert zoo.build("dropped_wide", units=8).count_params() == zoo.build("dropped_in", units=8).count_params()
    assert zoo.get_spec("dropped_wide").task.height == 14
    assert zoo.get_spec("dropped_in").task.height == 0
