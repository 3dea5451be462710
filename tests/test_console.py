"""Results and exceptions become output and exit codes in one place, also on terminals without Unicode."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from tests import commands
from tests.plugins.tiers import only
from zoobase import Console, common_options, run
from zoobase.console import describe_error


def command(function):
    return click.command("verb")(common_options(function))


def fails(capsys, error, *words, monkeypatch=None):
    """Run a command that raises; return its exit code, standard output and standard error."""

    def verb(console):
        raise error

    if monkeypatch:
        monkeypatch.setattr(Console, "printed_json", False)
        monkeypatch.setattr(sys, "argv", ["verb", *words])
    with pytest.raises(SystemExit) as stop:
        run(command(verb), words)
    return stop.value.code, *capsys.readouterr()


class ResourceExhaustedError(Exception):
    """As TensorFlow's."""


KERAS = (
    "Exception encountered when calling Dense.call().\n\n\x1b[1mThe kernel has 3 rows.\x1b[0m\n\nArguments:\n  • x=1"
)
TENSORFLOW = "Graph execution error:\n\nDetected at node x defined at (most recent call last):\n  file\nthe cause [[x]]"


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (FileNotFoundError(2, "No such file or directory", "a.png"), 3, "a.png: No such file or directory"),
        (NotADirectoryError(20, "Not a directory", b"a/\xff"), 3, "a/\\udcff: Not a directory"),
        (PermissionError(13, "Permission denied", "out"), 1, "out: Permission denied"),
        (OSError(28, "No space left on device"), 1, "No space left on device"),
        (RecursionError("maximum recursion depth exceeded"), 2, "the input is nested too deeply"),
        (MemoryError(), 1, "there is not enough memory: a smaller batch size or input may help"),
        (ResourceExhaustedError("OOM when allocating\n[1]"), 1, "there is not enough memory: OOM when allocating [1]"),
        (click.UsageError("give a file"), 2, "give a file"),
        (KeyboardInterrupt(), 130, "stopped"),
        (ValueError(KERAS), 1, "The kernel has 3 rows. Arguments: • x=1 (run again"),
        (ValueError(TENSORFLOW), 1, "ValueError: the cause [[x]] (run again"),
    ],
)
def test_an_exception_is_one_sentence_and_a_code(capsys, error, code, sentence):
    result, out, err = fails(capsys, error)
    assert (result, out) == (code, "")
    assert sentence in err
    assert err.strip().startswith("error: ")
    assert err.strip().count("\n") == 0


def test_an_error_is_json_too(capsys, monkeypatch):
    error = FileNotFoundError(2, "No such file or directory", "a")
    code, out, _ = fails(capsys, error, "--json", monkeypatch=monkeypatch)
    assert json.loads(out) == {"error": "a: No such file or directory", "code": code}


def test_names_that_are_no_utf8_are_printed(capfdbinary):
    console = Console(json=True)
    console.print("a\udcff")
    console.result({"file": "a\udcff"})
    out, err = capfdbinary.readouterr()
    assert json.loads(out) == {"file": "a\udcff"}
    assert b"a\\udcff" in err
    assert describe_error(OSError(2, "no", "a\udcff"))[0] == "a\udcff: no"


@pytest.mark.parametrize(
    "words",
    [
        "from zoobase import *; import click\n"
        "@click.command()\ndef verb():\n    for i in range(10**5): click.echo(i)\nrun(verb, [])",
        "from zoobase import *; import click\n"
        "@click.command()\n@common_options\ndef verb(console):\n"
        "    for i in range(10**5): console.print(str(i))\nrun(verb, [])",
        "from zoobase import *; import click, sys\n"
        "@click.command()\ndef verb():\n    click.echo('x' * 10**4); sys.exit(1)\nrun(verb, [])",
    ],
)
def test_a_reader_that_ends_early_is_no_error(words):
    reading, writing = os.pipe()
    os.close(reading)  # as `| head` does when it has read enough
    process = subprocess.run([sys.executable, "-c", words], stdout=writing, stderr=subprocess.PIPE, timeout=60)
    os.close(writing)
    assert (process.returncode, process.stderr) == (0, b"")


def test_names_in_columns_and_tables_are_data(capsys):
    from export.cli import print_table

    Console().table("", ["", "[/x]\x1b[2J"], [("a", 1)])
    Console().lines(["a"], [["[/x]\x1b[2J"]])
    print_table(("a", "b"), [("[/x]\x1b[2J", "pass")])
    out = capsys.readouterr().out
    assert out.count("[/x]\\x1b[2J") == 3
    assert "\x1b[2J" not in out


def test_a_closed_or_full_standard_output_is_no_traceback():
    code = "import click; from zoobase import run; run(click.Command('x', callback=lambda: click.echo('hello')), [])"
    command = [sys.executable, "-c", code]
    closed = subprocess.run(["sh", "-c", 'exec "$@" >&-', "sh", *command], capture_output=True, text=True)
    assert (closed.returncode, closed.stderr) == (0, "")
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    full = subprocess.run(
        ["sh", "-c", 'exec "$@" > /dev/full', "sh", *command], capture_output=True, text=True, env=buffered
    )
    assert (full.returncode, full.stderr) == (1, "error: No space left on device\n")


@pytest.mark.parametrize(("number", "code"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_a_stop_during_which_a_library_fails_is_a_stop(number, code):
    """An interrupted `zipfile` raises a ValueError when it is closed with a file that is still being written."""
    words = (
        "import click, io, os, signal, zipfile; from zoobase import run\n"
        "@click.command()\n"
        "def verb():\n"
        "    with zipfile.ZipFile(io.BytesIO(), 'w') as file:\n"
        "        part = file.open('x', 'w')\n"
        f"        os.kill(os.getpid(), signal.{number})\n"
        "run(verb)"
    )
    process = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, timeout=60)
    assert (process.returncode, process.stderr) == (code, "error: stopped\n")


BUNDLE = Path(__file__).parent / "fixtures/bundle"
TERMINALS = {
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}
NAME = "größe-模型"
VERBS = [
    ("zoo", "train", "--help"),
    ("zoo", "predict", "--help"),
    ("zoo",),
    ("zoo", "info", "attention"),
    ("zoo", "weights"),
    ("pipelines", "list"),
    ("export", "formats"),
    ("export", "inspect", f"{NAME}/model.keras"),
    ("export", "inspect", f"{NAME}/model.keras", "--json"),
    ("export", "diff", NAME, NAME),
    ("export", "inspect", f"{NAME}/nowhere"),
    ("zoo", "predict", NAME, "x"),
    ("zoo", "info", NAME),
]
SLOW = {("zoo", "weights"), ("zoo", "predict")}  # import TensorFlow


@pytest.mark.parametrize("words", only(VERBS, [v for v in VERBS if v[:2] not in SLOW]), ids=" ".join)
def test_no_verb_needs_a_terminal_with_unicode(words, tmp_path):
    printed_without_unicode(words, "ascii", tmp_path)


@pytest.mark.extended
def test_a_verb_prints_in_the_locale_c(tmp_path):
    printed_without_unicode(("export", "inspect", f"{NAME}/model.keras"), "C", tmp_path)


def printed_without_unicode(words, terminal, tmp_path):
    shutil.copytree(BUNDLE, tmp_path / NAME)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("LC_", "LANG"))}
    environment |= TERMINALS[terminal] | {"PYTHONPATH": commands.ROOT}
    command = [sys.executable, "-m", *words]
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, timeout=120)
    for output in (ended.stdout, ended.stderr):
        assert b"Traceback" not in output, output
        assert b"UnicodeEncodeError" not in output, output
        assert b"not UTF-8" not in output, output
    assert ended.returncode == (0 if not ended.stderr else ended.returncode)
    if "--json" in words:
        assert json.loads(ended.stdout.decode("latin-1"))["format"] == "keras"
