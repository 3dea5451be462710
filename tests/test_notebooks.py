"""The notebooks of the documentation run, and their pages show the code that ran."""

import os
import re
from pathlib import Path

import pytest

import docs.pages
from tests import commands

ROOT = Path(docs.pages.__file__).parent.parent
FOLDER = ROOT / "docs" / "notebooks"
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


@pytest.mark.extended
@pytest.mark.parametrize("name", PRINTED)
def test_notebook(name, tmp_path):
    script, page = (FOLDER / f"{name}.py").read_text(), (FOLDER / f"{name}.md").read_text()
    for cell in re.split(r"^# %%.*\n", script, flags=re.MULTILINE):
        if not cell.startswith("# "):
            assert cell.strip() in page, "run `make notebooks`"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "ZOO_CACHE": str(tmp_path / "cache"), "MPLBACKEND": "Agg"}
    done = commands.run(FOLDER / f"{name}.py", cwd=tmp_path, fresh=name == "train_and_prove", env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    for line in PRINTED[name]:
        assert re.search(line, done.stdout), (line, done.stdout)
        assert all(re.search(part, page) for part in line.split(r"\n")), line


def test_every_notebook_is_run():
    assert sorted(PRINTED) == sorted(path.stem for path in FOLDER.glob("*.py"))
