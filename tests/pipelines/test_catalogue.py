"""Datasets in folders of ZOO_DATASETS_PATH: listed without being imported, left out with one warning line if broken.

Those of installed packages are in `tests/zoo/test_outside_package.py`.
"""

import os
import subprocess
import sys

import pytest

import pipelines
import pipelines.datasets
from pipelines import catalogue
from zoobase import plugins

DATASET = '''"""Ten points. More."""
import pipelines

def load(data_dir, cache_dir, split):
    return pipelines.from_arrays({"x": range(10)}, [0, 1] * 5, split="60/20/20", name="points", source="counted")
'''


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return a folder of ZOO_DATASETS_PATH."""
    plugins.warn.cache_clear()
    monkeypatch.setattr(pipelines.datasets, "__path__", [*pipelines.datasets.__path__, str(tmp_path)])
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("pipelines.datasets.own_")]:
        del sys.modules[name]


def test_a_file_in_a_folder_is_a_dataset(folder):
    (folder / "own_points.py").write_text(DATASET)
    (folder / "a_model.py").write_text("def build(): ...\n")
    (folder / "_shared.py").write_text(DATASET)
    assert "own_points" in pipelines.list_datasets()
    assert not {"a_model", "_shared"} & set(pipelines.list_datasets())
    data = pipelines.load("own_points")
    assert data.info.counts == {"train": 6, "validation": 2, "test": 2}
    assert data.info.source == "counted"
    assert catalogue.get_entry("own_points").summary == "Ten points. More."
    with pytest.raises(pipelines.DataError, match="unknown dataset 'own_point'; did you mean own_points"):
        pipelines.load("own_point")


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"def f(:\n", "invalid syntax (line 1)"), (b"x = '\xff'", "codec can't decode"), (b"x = 1\0", "null bytes")],
)
def test_a_file_that_cannot_be_read_is_left_out_with_a_warning(folder, caplog, content, reason):
    (folder / "own_broken.py").write_bytes(content)
    (folder / "own_points.py").write_text(DATASET)
    for _ in range(2):
        assert "own_points" in pipelines.list_datasets()
        assert "own_broken" not in pipelines.list_datasets()
    (record,) = caplog.records
    message = f"warning: dataset file {folder / 'own_broken.py'} is left out, because it cannot be read: "
    assert record.getMessage().startswith(message)
    assert reason in record.getMessage()


def test_a_name_that_is_taken_is_left_out_with_a_warning(folder, caplog):
    (folder / "digits.py").write_text(DATASET)
    assert pipelines.load("digits").info.name == "digits"
    (record,) = caplog.records
    assert f"dataset 'digits' of {folder / 'digits.py'} is left out, because" in record.getMessage()


@pytest.mark.parametrize(
    ("code", "message", "exit_code"),
    [
        ("import nonexistent\n", "cannot be imported from .*own_points.py: No module named 'nonexistent'", 3),
        ("1 / 0\n", "cannot be imported from .*own_points.py: division by zero", 1),
        ("def load(data_dir, cache_dir, split): return {}\n", "returned dict, not a pipelines.Dataset", 1),
    ],
)
def test_a_dataset_that_cannot_be_loaded_is_one_sentence(folder, code, message, exit_code):
    (folder / "own_points.py").write_text(DATASET + code)
    with pytest.raises(pipelines.DataError, match=message) as caught:
        pipelines.load("own_points")
    assert caught.value.exit_code == exit_code


def test_a_warning_is_one_line_on_standard_error(tmp_path):
    (tmp_path / "own_broken.py").write_text("def f(:\n")
    (tmp_path / "own_points.py").write_text(DATASET)
    environment = os.environ | {"ZOO_DATASETS_PATH": str(tmp_path)}
    code = "import sys, pipelines; print('own_points' in pipelines.list_datasets(), 'tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.stdout == "True False\n"
    assert len(done.stderr.splitlines()) == 1


def test_entry_points_are_found_without_importing_their_packages(tmp_path, monkeypatch, caplog):
    plugins.warn.cache_clear()
    package = tmp_path / "strangers" / "data"
    package.mkdir(parents=True)
    for folder in (package.parent, package):
        (folder / "__init__.py").write_text("raise ImportError")
    (package / "points.py").write_text(DATASET)
    (package / "empty.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    assert "strange_points" not in pipelines.list_datasets()
    metadata = tmp_path / "strangers-1.dist-info"  # installed while this process runs
    metadata.mkdir()
    (metadata / "METADATA").write_text("Name: strangers\nVersion: 1\n")
    modules = {"strange_points": "data.points", "empty": "data.empty", "missing": "data.none", "lost": "none.none"}
    lines = [f"{name} = strangers.{module}" for name, module in modules.items()]
    (metadata / "entry_points.txt").write_text("\n".join([f"[{catalogue.ENTRY_POINTS}]", *lines]))
    assert "strange_points" in pipelines.list_datasets()
    assert "strangers" not in sys.modules
    assert sorted(record.getMessage() for record in caplog.records) == [
        f"warning: dataset file {package / 'empty.py'} is left out, because it has no function "
        "load(data_dir, cache_dir, split)",
        "warning: entry point 'lost' is left out: module 'strangers.none.none' is not found",
        "warning: entry point 'missing' is left out: module 'strangers.data.none' is not found",
    ]
