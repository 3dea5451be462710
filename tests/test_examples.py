"""Each script in examples/ is short and runs; notebooks run, and their pages show the code that ran."""

import ast
import os
import re
from pathlib import Path

import pytest

from tests import commands
from tests.plugins.tiers import only

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "examples"
FASHION_MNIST = str(ROOT / "tests" / "fixtures" / "fashion_mnist")
SHORT = ["--data-dir", FASHION_MNIST, "--epochs", "1"]
RUNS = {  # script -> arguments, the lines that must be printed
    "train_and_export": (["--out", "run", *SHORT], ["test accuracy: ", "run/bundle pass", "tflite/float32.tflite"]),
    "export_any_keras_model": (["--out", "bundle"], ["saved_model/1            c_api        pass", "\npass\n"]),
    "compare_two_files": ([], ["same\n", "different: serving_default: output in case "]),
    "replace_the_head": (["--out", "bundle", "--data-dir", FASHION_MNIST], ["test accuracy: 0.9", "\npass\n"]),
    "own_dataset": (["--out", "run"], ["test accuracy: 0.9"]),
    "own_training_loop": (["--out", "bundle", *SHORT], ["epoch 1: loss ", "\npass\n"]),
    "serve_and_ask": (
        ["--out", "served"],
        ["published version 1", "saved_model class 0", "c_api class 0", "tflite class 0"],
    ),
}
LONG = {"train_and_export", "serve_and_ask", "own_dataset"}  # what they call is tested everywhere


def python(*words, cwd, fresh=False, **environment):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "ZOO_CACHE": str(cwd / "cache"), **environment}
    done = commands.run(*words, cwd=cwd, fresh=fresh, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.extended
@pytest.mark.parametrize("name", only(RUNS, {*RUNS} - LONG, LONG))
def test_script(name, tmp_path):
    arguments, wanted = RUNS[name]
    out = python(str(FOLDER / f"{name}.py"), *arguments, cwd=tmp_path)
    for line in wanted:
        assert line in out


@pytest.mark.extended
def test_own_model_is_listed_and_trained(tmp_path):
    out = python("-m", "zoo", cwd=tmp_path, ZOO_MODELS_PATH=str(FOLDER))
    assert "two_convolutions" in out
    words = ["-m", "zoo.train", "two_convolutions", "--filters", "[4,8]", *SHORT, "--out", "run"]
    words += ["--precision", "float32", "--no-export"]
    assert "accuracy" in python(*words, cwd=tmp_path, ZOO_MODELS_PATH=str(FOLDER))


def test_readme_example(tmp_path):
    code = (ROOT / "README.md").read_text().split("```python\n")[1].split("```")[0]
    assert len(code.strip().splitlines()) <= 7
    assert python("-c", code, cwd=tmp_path, fresh=True).endswith("pass\n")


def test_there_are_nine_scripts_of_at_most_forty_lines():
    scripts = sorted(FOLDER.glob("*.py"))
    assert [path.stem for path in scripts] == sorted([*RUNS, "own_model", "verify_without_us"])
    for path in scripts:
        text = path.read_text()
        assert len(text.splitlines()) <= 40, path.name
        assert f"examples/{path.name}" in ast.get_docstring(ast.parse(text)) or path.stem == "own_model"


NOTEBOOKS = ROOT / "docs" / "notebooks"
PRINTED = {  # notebook -> lines of its output, which do not depend on the machine
    "train_and_prove": [
        r"test accuracy: 0\.9\d",
        r"saved_model/1 +c_api +pass",
        r"tflite/float32\.tflite +litert +pass",
    ],
    "break_a_certificate": [
        r"fail\nfiles: model\.weights\.h5 was changed\nsame",
        r"different: serving_default: output",
    ],
    "features_for_scikit_learn": [r"pixels +64 features, accuracy 0\.8", r"second block +1024 features, accuracy 0\.9"],
    "feed_and_plain_keras": [r"23 batches of 64\nequal: True", r"test accuracy: 0\.9\d"],
    "table_to_bundle": [r"accuracy +0\.9\d", r"\{'logits': \[\[", r'\{"signature_name": "serving_default"'],
    "photographs_of_your_own": [r"40 photographs", r"test accuracy: (0\.9|1\.0)\d; the data is called photos\npass"],
    "masks_of_your_own": [
        r"union: 0\.[789]\d\npass",
        r"tflite/int8\.tflite +litert +pass",
        r"\(64, 64\) uint8 \[0 1\]",
    ],
    "texts_of_your_own": [r"test accuracy: 0\.[89]\d; the more frequent library: 0\.\d", r"keras 0\.9\d labels"],
}


@pytest.mark.proof
@pytest.mark.parametrize("name", PRINTED)
def test_notebook(name, tmp_path):
    script, page = (NOTEBOOKS / f"{name}.py").read_text(), (NOTEBOOKS / f"{name}.md").read_text()
    for cell in re.split(r"^# %%.*\n", script, flags=re.MULTILINE):
        if not cell.startswith("# "):
            assert cell.strip() in page, "run `make notebooks`"
    file, fresh = NOTEBOOKS / f"{name}.py", name == "train_and_prove"
    printed = python(file, cwd=tmp_path, fresh=fresh, MPLBACKEND="Agg")
    for line in PRINTED[name]:
        assert re.search(line, printed), (line, printed)
        assert all(re.search(part, page) for part in line.split(r"\n")), line


def test_every_notebook_is_run():
    assert sorted(PRINTED) == sorted(path.stem for path in NOTEBOOKS.glob("*.py"))
