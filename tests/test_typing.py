"""What type checkers and editors know of the public names: no `Any`, no unknown, and completion that is complete."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import jedi
import pytest

import export
import pipelines
import zoo
import zoo.tasks
from zoo.core import registry

ROOT = Path(__file__).parent.parent
PUBLIC = {package: package.__all__ for package in (zoo, export, pipelines)}
COMMANDS = ("compare", "evaluate", "export", "info", "predict", "runs", "sample", "stylize", "train", "tune")
EXPRESSIONS = {
    'zoo.load("run")': "Predictor",
    'zoo.load("run").predict(["text"])': "Prediction",
    'zoo.train.run("mnist")': "RunSummary",
    'zoo.get_spec("mnist")': "Spec",
    "zoo.fashion_mnist": "api: Literal['functional'",
    "zoo.list_models()": "list[Literal['admissions'",
    'export.export_model(None, "out")': "Bundle",
    'export.export_model(None, "out").certificate.verdict': "str",
    'export.verify_bundle("out")': "Certificate",
    'pipelines.load("digits").info.counts': "Mapping[str, int]",
}

WRONG = {  # the beginnings of what mypy and pyright say
    "pipelines.nosuch": ('Module has no attribute "nosuch"', '"nosuch" is not a known attribute of module "pipelines"'),
    "export.nosuch": ('Module has no attribute "nosuch"', '"nosuch" is not a known attribute of module "export"'),
    'zoo.build("fashon_mnist")': ('Argument 1 to "build" has', "Argument of type \"Literal['fashon_mnist']\" cannot"),
    'zoo.train.run("mnits")': ('Argument 1 to "run" has', "Argument of type \"Literal['mnits']\" cannot"),
    'zoo.train.run("mnist", epochs=3)': ('Unexpected keyword argument "epochs"', 'No parameter named "epochs"'),
    'zoo.train.run("mnist", seed="1")': ('Argument "seed" to "run" has', "Argument of type \"Literal['1']\" cannot"),
}


def program(path):
    """Write a program that reveals the types of all public names and of some calls."""
    names = [f"{package.__name__}.{name}" for package, names in PUBLIC.items() for name in names]
    names += [f"zoo.{command}" for command in COMMANDS]
    lines = ["import export", "import pipelines", "import zoo", *(f"reveal_type({e})" for e in (*names, *EXPRESSIONS))]
    path.write_text("\n".join([*lines, *WRONG, ""]))
    return [*names, *EXPRESSIONS]


def check(revealed, names):
    assert len(revealed) == len(names)
    unknown = [
        name for name, text in zip(names, revealed, strict=True) if text in ("Any", "Unknown", "builtins.object")
    ]
    assert unknown == []
    for name, text in zip(names, revealed, strict=True):
        if name in EXPRESSIONS:
            assert EXPRESSIONS[name] in text, name


@pytest.mark.extended
def test_mypy(tmp_path):
    names = program(tmp_path / "program.py")
    command = [sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path / "cache"), "--ignore-missing-imports"]
    result = subprocess.run([*command, str(tmp_path / "program.py")], cwd=ROOT, capture_output=True, text=True)
    check(re.findall(r'program.py:\d+: note: Revealed type is "(.*)"', result.stdout), names)
    errors = re.findall(r"program.py:\d+: error: (.*)", result.stdout)
    assert all(error.startswith(said) for error, (said, _) in zip(errors, WRONG.values(), strict=True)), errors


@pytest.mark.extended
@pytest.mark.needs("node")  # pyright runs in it
def test_pyright(tmp_path):
    names = program(tmp_path / "program.py")
    config = {"extraPaths": [str(ROOT)], "reportMissingImports": False, "reportMissingModuleSource": False}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(config))
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, "-p", str(tmp_path)]
    result = json.loads(subprocess.run(command, cwd=tmp_path, capture_output=True, text=True).stdout)
    found = result["generalDiagnostics"]
    revealed = [d["message"].partition(' is "')[2][:-1] for d in found if d["severity"] == "information"]
    check(revealed, names)
    errors = [d["message"] for d in found if d["severity"] == "error"]
    assert all(error.startswith(said) for error, (_, said) in zip(errors, WRONG.values(), strict=True)), errors


@pytest.mark.parametrize("package", PUBLIC, ids=lambda package: package.__name__)
def test_completion_in_an_editor(package):
    name = package.__name__
    script = jedi.Script(f"import {name}\n{name}.", path=ROOT / "program.py", project=jedi.Project(ROOT))
    assert set(PUBLIC[package]) <= {completion.name for completion in script.complete(2, len(name) + 1)}
    assert set(PUBLIC[package]) <= set(dir(package))


def test_completion_of_what_a_call_returns():
    source = 'import zoo\nzoo.load("run").'
    script = jedi.Script(source, path=ROOT / "program.py", project=jedi.Project(ROOT))
    assert {"predict", "endpoints", "contract"} <= {completion.name for completion in script.complete()}


def test_models_and_commands_are_completed():
    """A file in `zoo/models` whose builder has no line in the stub would be `Any` to a type checker."""
    script = jedi.Script("import zoo\nzoo.", path=ROOT / "program.py", project=jedi.Project(ROOT))
    completed = {completion.name for completion in script.complete(2, 4)}
    builders = set()
    for module in {entry.module for entry in registry.entries().values() if entry.module.startswith("zoo.models.")}:
        tree = ast.parse((ROOT / f"{module.replace('.', '/')}.py").read_text())
        functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        builders |= functions & registry.entries().keys()
    assert not builders - completed, "make tables writes zoo/core/builders.pyi"
    assert set(COMMANDS) <= completed
    assert {*COMMANDS, *zoo.list_models()} <= set(dir(zoo))
    assert set(zoo.tasks.__all__) <= set(dir(zoo.tasks))
