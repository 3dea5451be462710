"""A module of the user that has the name of one of our packages is named, instead of failing somewhere in its code."""

import pytest

from tests.commands import run
from tests.test_imports import ROOT


@pytest.mark.parametrize("name", ["export.py", "pipelines/__init__.py"])
def test_a_module_that_hides_ours_is_named(name, tmp_path):
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("")
    script = tmp_path / "script.py"
    script.write_text(f"import sys\nsys.path.append({str(ROOT)!r})\nimport zoo\n")
    failed = run(str(script), fresh=True)
    assert failed.returncode == 1
    expected = f"ImportError: {file} hides the package {name.partition('.')[0].partition('/')[0]!r} of keras-proof-zoo"
    assert expected in failed.stderr.splitlines()[-1]


def test_other_modules_hide_nothing(tmp_path):
    (tmp_path / "exports.py").write_text("")
    script = tmp_path / "script.py"
    script.write_text(f"import sys\nsys.path.append({str(ROOT)!r})\nimport zoo\nprint(zoo.__file__)\n")
    assert run(str(script), fresh=True).stdout.strip().startswith(str(ROOT))
