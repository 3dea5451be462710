"""The README is short, and what it says is so."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import zoo
from docs import tables

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_readme_is_at_most_8_kilobytes():
    assert len(README.encode()) <= 8 * 1024


@pytest.mark.parametrize(("path", "name", "text"), tables.blocks(), ids=lambda value: getattr(value, "name", None))
def test_generated_tables_are_current(path, name, text):
    assert tables.current(path, name) == text, "run `make tables`"


def test_the_table_says_which_data_a_figure_was_measured_on():
    rows = {row.split("|")[1].strip(" `"): row for row in README.splitlines() if row.startswith("| `")}
    assert "mnist_5k" in rows["mnist"]
    for name in zoo.list_models():
        _, _, _, figure, data, _, _ = rows[name].split("|")
        assert bool(figure.strip()) == bool(data.strip()) == bool(zoo.get_spec(name).card.expect), name


def test_a_figure_of_another_dataset_is_named():
    for name in zoo.list_models():
        card = zoo.get_spec(name).card
        if "--set data=" in card.command:
            dataset = card.command.split("--set data=")[1].split()[0]
            assert card.test_data.startswith(dataset), name


def test_ci_runs_the_test_command_of_the_readme():
    assert "    make test" in README
    assert "make test" in (ROOT / ".ci" / "run").read_text().splitlines()


def test_cards_with_a_figure_name_its_command():
    for name in zoo.list_models():
        card = zoo.get_spec(name).card
        assert bool(card.expect) == bool(card.command) == bool(card.measured_on), name


def test_weights_are_in_the_wheel():
    """`pip install .` without --editable installs the weights that `zoo.build(weights="default")` loads."""
    # in a process of its own, because setuptools must be imported before distutils
    code = (
        "from setuptools import Distribution as D; d = D(); d.parse_config_files(); print(json.dumps(d.package_data))"
    )
    command = [sys.executable, "-c", f"import json; {code}"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    patterns = json.loads(printed)["zoo.weights"]
    found = {path.name for pattern in patterns for path in (ROOT / "zoo" / "weights").glob(pattern)}
    shipped = [w.source for name in zoo.list_models() for w in zoo.get_spec(name).weights.values() if w.fetch is None]
    assert shipped
    assert set(shipped) <= found
