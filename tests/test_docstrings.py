"""The examples in docstrings run, and every public function has one.

Examples of `export` run in a folder with a proven bundle, `bundle`, and a base path with one version of it, `served`.
"""

import ast
import doctest
import importlib
import inspect
from pathlib import Path

import pytest

from tests.plugins.tiers import only

EXAMPLES = Path(__file__).parent.parent / "examples"
PACKAGES = ("zoobase", "export", "pipelines")
WITH_BUNDLE = (
    *("export.bundle.loader", "export.serving.publisher", "export.verifier"),
    *("export.serving.servecheck", "export.certifier"),
)
MODULES = (
    *(*WITH_BUNDLE, "zoobase", "zoobase.console", "zoobase.errors", "export.contract", "export.contract.inference"),
    *("export.parity.intervals", "export.proof.evaluation", "pipelines.catalogue", "pipelines.feeding"),
    *("pipelines.adapters.arrays", "pipelines.adapters.huggingface", "pipelines.adapters.tensorflow_datasets"),
    *("pipelines.augment.policies", "pipelines.shards.manifest", "pipelines.shards.writing", "pipelines.tabular"),
    *("pipelines.text.characters", "pipelines.text.words", "pipelines.pairs"),
)
# what these show is tested elsewhere, too
SLOW = {"export.bundle.loader", "export.serving.publisher", "export.serving.servecheck", "export.certifier"}


def public_functions():
    for package in map(importlib.import_module, PACKAGES):
        for name in package.__all__:
            value = getattr(package, name)
            if inspect.isfunction(value):
                yield pytest.param(value, id=f"{package.__name__}.{name}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    from export import export_model, publish
    from export.runtime.backend import load_tensorflow

    load_tensorflow()
    import keras

    path = tmp_path_factory.mktemp("docstrings")
    model = keras.Sequential([keras.Input((4,), name="x"), keras.layers.Dense(2)])
    publish(export_model(model, path / "bundle", formats=("keras", "saved_model")).path, path / "served")
    return path


@pytest.mark.parametrize("name", only(MODULES, {*MODULES} - SLOW, SLOW))
def test_examples_run(name, request, monkeypatch):
    monkeypatch.chdir(request.getfixturevalue("folder" if name in WITH_BUNDLE else "tmp_path"))
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted
    assert not result.failed, "see the captured output"


@pytest.mark.parametrize("function", public_functions())
def test_public_functions_have_an_example(function):
    """A doctest of a module above, or the name of a script that `tests/test_examples.py` runs."""
    example = inspect.getdoc(function).partition("\nExample:\n")[2]
    if ">>>" in example:
        assert function.__module__ in MODULES
        return
    assert "examples/" in example, "there is no Example section with a doctest or a script"
    script = EXAMPLES / example.partition("examples/")[2].split()[0].rstrip(".")
    names = {node.id for node in ast.walk(ast.parse(script.read_text())) if isinstance(node, ast.Name)}
    assert function.__name__ in names
