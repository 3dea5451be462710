"""The installation without TensorFlow: requirements/light.txt and `pip install --no-deps .` in an empty environment."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from zoobase.requirements import distribution, requirements

ROOT = Path(__file__).parent.parent.parent
LIGHT = ("light", "light-onnx")


@pytest.mark.parametrize("name", LIGHT)
def test_the_versions_are_those_of_the_whole_installation(name):
    ours = {line for lines in requirements().values() for line in lines}
    wanted = [line for line in (ROOT / "requirements" / f"{name}.in").read_text().split("\n") if line[:1].isalpha()]
    assert set(wanted) <= ours
    locked = [line for line in (ROOT / "requirements" / f"{name}.txt").read_text().split("\n") if line[:1].isalpha()]
    assert {*map(distribution, wanted)} <= {*map(distribution, locked)}


@pytest.fixture(scope="module")
def light(tmp_path_factory):
    """Return a function that runs a command of `export` in such an environment."""
    folder = tmp_path_factory.mktemp("light")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    python = str(folder / "venv" / "bin" / "python")
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    files = [word for name in LIGHT for word in ("-r", str(ROOT / "requirements" / f"{name}.txt"))]
    subprocess.run([*pip, "--require-hashes", *files], check=True)
    subprocess.run([*pip, "--no-deps", str(ROOT)], check=True)

    def run(*words):
        command = [python, "-m", "export", *map(str, words)]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=200)

    run.python = python
    return run


@pytest.mark.extended
def test_files_are_compared_and_verified_without_tensorflow(light, bundles, tmp_path):
    bundle, other = bundles("functional_cnn").path, bundles("two_by_two").path
    tflite = bundle / "tflite" / "float32.tflite"
    copy = tmp_path / "copy.tflite"
    copy.write_bytes(tflite.read_bytes())
    assert subprocess.run([light.python, "-c", "import tensorflow"], capture_output=True).returncode == 1
    for words in (("compare", tflite, copy), ("certify", tflite, copy), ("inspect", tflite), ("diff", bundle, bundle)):
        result = light(*words)
        assert result.returncode == 0, (words, result.stdout, result.stderr)
    assert light("compare", tflite, other / "tflite" / "float32.tflite").returncode == 1
    here = shutil.copytree(bundle, tmp_path / "here")
    verified = light("verify", here, "--json")
    assert verified.returncode == 3, (verified.stdout, verified.stderr)
    certificate = json.loads(verified.stdout)
    assert "artifacts" in certificate, certificate
    states = {(row["format"], row["runtime"]): row["state"] for row in certificate["artifacts"]}
    assert certificate.get("verdict") == "incomplete", certificate  # Keras and TensorFlow did not run
    assert (states["tflite", "litert"], states["keras", "keras"]) == ("pass", "not_run")
    damaged = here / "tflite" / "float32.tflite"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    assert light("verify", here).returncode == 1
    refused = light("model", bundle / "model.keras", "-o", tmp_path / "again")
    assert (refused.returncode, refused.stderr.count("\n")) == (3, 1)
    assert "pip install 'tensorflow" in refused.stderr


@pytest.mark.extended
def test_the_step_of_ci(light, bundles, tmp_path):
    bundle, other = bundles("functional_cnn").path, bundles("two_by_two").path
    reference, damaged = bundle / "tflite" / "float32.tflite", tmp_path / "damaged.tflite"
    damaged.write_bytes(reference.read_bytes()[:1000])
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    words = action["runs"]["steps"][1]["run"].replace("$GITHUB_ACTION_PATH", str(ROOT)).split()[1:]

    def step(files, **variables):
        paths = {name: tmp_path / name for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "JUNIT", "SARIF")}
        for path in paths.values():
            path.unlink(missing_ok=True)
        environment = {"PATH": os.environ["PATH"], "GITHUB_ACTIONS": "true", "FILES": "\n".join(map(str, files))}
        environment |= {name: str(value) for name, value in (paths | variables).items()}
        command = [light.python, *(word.strip('"') for word in words)]
        result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
        return result, {name: path.read_text() for name, path in paths.items()}

    result, written = step([bundle], RUNTIMES="litert")
    assert (result.returncode, "verdict=pass" in written["GITHUB_OUTPUT"]) == (0, True), result.stdout
    result, written = step([bundle])
    assert (result.returncode, "verdict=incomplete" in written["GITHUB_OUTPUT"]) == (3, True), result.stdout
    result, written = step([reference, other / "tflite" / "float32.tflite", damaged], REFERENCE=reference)
    assert (result.returncode, "verdict=fail" in written["GITHUB_OUTPUT"]) == (1, True), result.stdout
    assert result.stdout.count("::error") == written["JUNIT"].count("<failure") == 2
    assert len(json.loads(written["SARIF"])["runs"][0]["results"]) == 2
    assert written["GITHUB_STEP_SUMMARY"].count("| fail |") == 2
    result, written = step([bundle / "model.keras"], REFERENCE=reference, TOLERANCE="1e-4")
    assert (result.returncode, "pip install keras tensorflow" in result.stdout) == (3, True), result.stdout
    result, written = step([reference], REFERENCE=reference, TOLERANCE="2")
    assert (result.returncode, "2.0 is not in the range" in result.stdout) == (1, True), result.stdout
    assert set(action["outputs"]) == {line.partition("=")[0] for line in written["GITHUB_OUTPUT"].split()}
