"""The default weights as a TFLite file in the cache: the same predictions, without TensorFlow."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import export
import zoo
from zoo import predict
from zoo.core import registry
from zoo.core.plan import make_plan
from zoo.prediction import kept
from zoobase.console import Console

NAME = "mnist_cnn"
COMMAND = """
import sys
from zoo.predict import main
try:
    main(sys.argv[1:], standalone_mode=False)
finally:
    print("tensorflow" in sys.modules, file=sys.stderr)
"""


@pytest.fixture
def digit(tmp_path):
    path = tmp_path / "digit.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 40)).astype(np.uint8)).save(path)
    return str(path)


@pytest.fixture(scope="module")
def kept_bundle():
    kept.keep(NAME, Console(quiet=True))
    return kept.find(NAME)


@pytest.mark.extended
def test_the_next_command_needs_no_tensorflow(kept_bundle, digit):
    done = subprocess.run([sys.executable, "-c", COMMAND, NAME, digit, "--json"], capture_output=True, text=True)
    assert done.stderr.endswith("\nFalse\n")
    rows = json.loads(done.stdout)["predictions"]
    expected = predict.run(NAME, [digit]).rows  # Keras
    assert [row["label"] for row in rows] == [row["label"] for row in expected]
    np.testing.assert_allclose(
        [row["probability"] for row in rows], [row["probability"] for row in expected], atol=2e-6
    )
    assert export.verify_bundle(kept_bundle, runtimes=["litert"]).verdict == "pass"  # it has no Keras file


def test_a_file_is_written_if_that_is_asked_for(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    monkeypatch.setattr(kept, "keep", lambda name, console: pytest.fail(f"{name} was asked for"))
    with kept.preferred(NAME, None, False, Console()) as opened:
        assert opened == (NAME, None)
    assert "next: with --keep" in capsys.readouterr().out
    with pytest.raises(pytest.fail.Exception, match="asked for"), kept.preferred(NAME, None, True, Console()):
        pass


@pytest.mark.extended
def test_a_damaged_file_is_written_again(kept_bundle):
    file = kept_bundle / "tflite/float32.tflite"
    size = file.stat().st_size
    file.write_bytes(b"")
    assert kept.find(NAME) is None
    kept.keep(NAME, Console(quiet=True))
    assert kept.find(NAME) == kept_bundle
    assert file.stat().st_size == size


def test_after_a_failed_proof_nothing_is_kept_and_nothing_tried_again(monkeypatch, tmp_path):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    tried = []

    def fail(*arguments, **options):
        tried.append(arguments)
        raise export.ExportError("not equal")

    monkeypatch.setattr(export, "export_model", fail)
    for _ in range(2):
        kept.keep(NAME, Console(quiet=True))
        assert kept.find(NAME) is None
    assert len(tried) == 1
    assert [path.read_text() for path in tmp_path.rglob("NONE")] == ["not equal\n"]


def test_without_a_cache_nothing_is_kept(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "file"))
    kept.keep(NAME, Console(quiet=True))
    assert kept.find(NAME) is None


@pytest.mark.extended
def test_other_weights_have_another_file(kept_bundle, monkeypatch, tmp_path):
    (tmp_path / f"{NAME}.weights.h5").write_bytes(b"others")
    monkeypatch.setattr(kept, "SHIPPED", tmp_path)
    assert kept.find(NAME) is None
    assert kept.find("no_such_model") is None


@pytest.mark.parametrize("name", zoo.list_models())
def test_a_task_is_restored_without_the_file_of_its_model(name):
    plan = make_plan(name)
    task = registry.restored_task(name, json.loads(json.dumps(plan.to_json()["task"])))
    assert task in (plan.task, None)
    assert task is not None or not plan.task.accepts
