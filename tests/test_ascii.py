"""Terminals without UTF-8: what they cannot show is escaped, and no command fails for it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import commands

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


@pytest.mark.parametrize("terminal", TERMINALS)
@pytest.mark.parametrize("words", VERBS, ids=" ".join)
def test_no_verb_needs_a_terminal_with_unicode(words, terminal, tmp_path):
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
