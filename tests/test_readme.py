"""The README says what is so."""

import json
import re
from pathlib import Path

import zoo

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_table_of_models_is_the_one_the_specs_give():
    from zoo.info import markdown_table

    held = re.search(r"<!-- models: python -m zoo --markdown -->\n(.*?)<!-- /models -->", README, re.DOTALL).group(1)
    assert held == markdown_table(), "run `make tables`"


def test_the_table_of_benchmarks_is_the_one_that_was_measured():
    from benchmarks import report

    measured = json.loads((ROOT / "benchmarks" / "results.json").read_text())
    assert report.BLOCK.search(README)[0].splitlines()[1:-1] == report.table(measured).splitlines()


def test_ci_runs_the_test_command_of_the_readme():
    assert "    make test" in README
    assert "make test" in (ROOT / ".ci" / "run").read_text().splitlines()


def test_every_picture_and_link_is_there():
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target


def test_every_command_of_the_readme_is_a_command():
    import importlib

    for module in set(re.findall(r"python -m ([\w.]+)", README)):
        assert importlib.util.find_spec(module if module not in ("zoo", "export") else f"{module}.__main__"), module


def test_cards_with_a_figure_name_its_command():
    for name in zoo.list_models():
        card = zoo.get_spec(name).card
        assert bool(card.expect) == bool(card.command) == bool(card.measured_on), name
