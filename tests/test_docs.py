"""The page of recipes says what was measured, by commands that exist, and of every field of a recipe."""

import dataclasses
import json
import re
import shlex
from pathlib import Path

import pytest

from docs import recipes
from docs.experiments import EXPERIMENTS, MODEL, PRECISION
from zoo.cli.options import settings
from zoo.core.plan import make_plan
from zoo.core.recipe import Recipe

PAGE = (Path(recipes.__file__).parent / "recipes.md").read_text()
RESULTS = json.loads((recipes.PICTURES / "results.json").read_text())


def test_the_page_is_what_the_results_say():
    assert recipes.page(RESULTS) == PAGE, "run `python -m docs.recipes`"


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda e: e.name)
def test_each_command_trains_what_its_row_shows(experiment):
    assert f"recipes/{experiment.name}.png" in PAGE
    assert (recipes.PICTURES / f"{experiment.name}.png").stat().st_size > 10_000
    for label in experiment.variants:
        command = re.search(rf"^    # {re.escape(label)}\n    (python .*)$", PAGE, re.MULTILINE).group(1)
        assert f"    {experiment.command(label)}\n" in PAGE
        words = shlex.split(command)
        pairs = [words[i + 1] for i, word in enumerate(words) if word == "--set"]
        plan = make_plan(MODEL, settings=settings(tuple(pairs)), precision=PRECISION)
        assert words[3] == MODEL
        assert {"test_loss", "val_loss"} <= RESULTS[experiment.name]["rows"][label].keys()
        assert f"{plan.command()} --precision {PRECISION} --no-export" == command


def test_the_page_names_every_field_and_shows_those_of_the_course():
    fields = {f.name for f in dataclasses.fields(Recipe)}
    named = dict(re.findall(r"^\| `(\w+)` \|.* \| ([^|]+) \|$", PAGE, re.MULTILINE))
    assert named.keys() == fields
    course = {"restarts", "momentum", "schedule", "decay", "l1", "l2", "weight_decay", "dropout", "patience", "augment"}
    assert {f for f, shown in named.items() if shown == "not shown here"}.isdisjoint(course)


def test_links_within_the_page_lead_to_headings():
    anchors = {recipes._anchor(title) for title in re.findall(r"^## (.+)$", PAGE, re.MULTILINE)}
    assert set(re.findall(r"\(#([^)]+)\)", PAGE)) <= anchors
