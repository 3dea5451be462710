"""Arguments of the verbs and JSON files that hold anything: a sentence and an exit code, never an exception's name.

The examples are derived from the code alone (`derandomize`), so that a failure is repeatable.
"""

import contextlib
import copy
import dataclasses
import io
import json
import shutil
import sys
import zipfile
from pathlib import Path

import click
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from export.__main__ import verbs as export_verbs
from export.artifacts import describe
from export.bundle import layout
from export.contract import Artifact, Contract
from export.parity.cases import read_golden
from pipelines.__main__ import verbs as pipelines_verbs
from pipelines.dataset import Info
from zoo.__main__ import main_command as zoo_verbs
from zoo.core.plan import Plan, make_plan, read_bundle
from zoo.core.recipe import Recipe
from zoo.core.run_folder import RunFolder
from zoo.prediction.predictor import category_names
from zoobase import Console, run
from zoobase.console import describe_error
from zoobase.errors import KnownError

FIXTURES = Path(__file__).parent / "fixtures"
BUNDLE = FIXTURES / "bundle"
CONTRACT = Contract.from_json(layout.read_manifest(BUNDLE)["contract"])
UNKNOWN = "run again with --debug"  # of the sentence for an exception that nobody has thought of

quick = settings(
    max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)

values = st.sampled_from(
    ["", "0", "-1", "nan", "1e400", "9" * 30, "x" * 3000, "[" * 3000, "a=b", "\x1b[31m", "\udcff", "../..", "next"]
) | st.text(st.characters(exclude_characters="\0"), max_size=6)


@st.composite
def changed(draw, original):
    """Return a copy of a JSON document in which one value is replaced by another, removed, or the whole is."""
    root = holder = [copy.deepcopy(original)]
    key = 0
    while isinstance(holder[key], dict | list) and holder[key] and draw(st.integers(0, 9)):
        holder = holder[key]
        key = draw(st.sampled_from(sorted(holder) if isinstance(holder, dict) else range(len(holder))))
    if holder is not root and draw(st.booleans()):
        del holder[key]
    else:
        holder[key] = draw(anything)
    return root[0]


def read_or_refuse(call):
    """Call a function that reads a file: it may succeed, or raise one of our errors."""
    try:
        return call()
    except KnownError as error:
        assert "\n" not in str(error) and len(str(error)) < 1000  # noqa: PT017, PT018


# === JSON files ===

MANIFEST = json.loads((BUNDLE / "manifest.json").read_text())


PLAN, INFO = make_plan("fashion_mnist").to_json(), Info("digits", "", "", "", {"image": ""}, {"train": 1}).to_json()
CONFIG = {**PLAN, "info": INFO, "requested": PLAN}


def read_manifest(folder):
    if accepted := read_or_refuse(lambda: layout.read_manifest(folder)):
        assert Contract.from_json(accepted["contract"]).endpoints
        assert all(Artifact.from_json(artifact).path for artifact in accepted["artifacts"])
    read_or_refuse(lambda: read_bundle(folder))


def read_cases(folder):
    for file in (BUNDLE / "golden").glob("*.npz"):
        shutil.copy(file, folder)
    read_golden(folder, CONTRACT)


def read_config(folder):
    run_folder = RunFolder.open(folder)
    read_or_refuse(run_folder.info)
    if plan := read_or_refuse(run_folder.plan):
        run_folder.differences(plan)


def read_evaluation(folder):
    assert all(isinstance(value, int | float) for value in RunFolder(folder).metrics().values())


def read_names(folder):
    category_names(Info("flowers", "", "", "", {}, {}, class_names=("1", "2")), folder / "names.json")


METADATA = changed({"plan": PLAN, "info": INFO, "served": ""})
FILES = {  # what is read -> the file, what it holds, and what reads it from its folder
    "manifest": ("manifest.json", changed(MANIFEST), read_manifest),
    "metadata": ("manifest.json", METADATA.map(lambda zoo: MANIFEST | {"metadata": {"zoo": zoo}}), read_bundle),
    "certificate": ("parity.json", changed(json.loads((BUNDLE / "parity.json").read_text())), layout.read_verdict),
    "golden cases": ("cases.json", changed(json.loads((BUNDLE / "golden/cases.json").read_text())), read_cases),
    "config": ("config.json", changed(CONFIG), read_config),
    "evaluation": (
        "evaluation.json",
        changed({"metrics": {"accuracy": 0.5, "loss": 1}, "split": "test"}),
        read_evaluation,
    ),
    "category names": ("names.json", anything, read_names),
}


@pytest.mark.parametrize("name", FILES)
@quick
@given(data=st.data())
def test_any_json_is_read_or_refused(name, tmp_path, data):
    file, content, read = FILES[name]
    (tmp_path / file).write_text(json.dumps(data.draw(content)))
    read_or_refuse(lambda: read(tmp_path))


@quick
@given(layer=anything, flags=st.dictionaries(st.sampled_from(["class_name", "config", "registered_name"]), anything))
def test_any_keras_config_is_described_or_refused(tmp_path, layer, flags):
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        archive.writestr("config.json", json.dumps({"config": {"layers": [layer, flags]}} | flags))
    read_or_refuse(lambda: describe(tmp_path / "model.keras"))


# === Settings ===

KEYS = [f"recipe.{field.name}" for field in dataclasses.fields(Recipe)]
KEYS += ["task.height", "task.fit", "model.filters", "model.dropout", "model.api", "data", "recipe", "x.y", ""]


@settings(quick, max_examples=100)
@given(key=st.sampled_from(KEYS), value=anything | values, seed=st.integers(-1, 2**33))
def test_any_setting_gives_a_plan_that_can_be_saved_or_is_refused(key, value, seed):
    if plan := read_or_refuse(lambda: make_plan("fashion_mnist", settings={key: value}, seed=seed)):
        assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


# === Arguments of the verbs ===

VERBS = {"zoo": zoo_verbs, "export": export_verbs, "pipelines": pipelines_verbs}


def names_of(group, name):
    """Return the name of a command, or those of the commands of a group: `log verify`."""
    command = group.get_command(None, name)
    return [f"{name} {sub}" for sub in command.list_commands(None)] if isinstance(command, click.Group) else [name]


def command_of(group, verb):
    for name in verb.split():
        group = group.get_command(None, name)
    return group


COMMANDS = [
    (package, name)
    for package, group in VERBS.items()
    for command in group.list_commands(None)
    for name in names_of(group, command)
    if (package, name) != ("pipelines", "serve-data")  # serves until it is stopped, without any argument
]


@pytest.mark.parametrize(("package", "verb"), COMMANDS, ids=["-".join(command) for command in COMMANDS])
@settings(quick, max_examples=12)
@given(data=st.data())
def test_any_arguments_of_a_verb_are_accepted_or_refused(package, verb, data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # it holds no run, no bundle and no image, so that no verb comes to its work
    group = VERBS[package]
    options = [option for p in command_of(group, verb).params for option in p.opts if option.startswith("--")]
    words = data.draw(st.lists(st.sampled_from(options) | values, max_size=5))
    words = [word for word in words if word != "--help"]
    monkeypatch.setattr(sys, "argv", [*verb.split(), *words])
    monkeypatch.setattr(Console, "printed_json", False)
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as stop:
        run(group, [*verb.split(), *words])
    assert stop.value.code in (0, 1, 2, 3)
    assert UNKNOWN not in err.getvalue()
    if stop.value.code and "--json" in words:
        assert json.loads(out.getvalue())["code"] == stop.value.code


def test_the_sentence_of_an_unknown_exception_is_the_one_that_is_searched_for():
    assert UNKNOWN in describe_error(KeyError("x"))[0]
