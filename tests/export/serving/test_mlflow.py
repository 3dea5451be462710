"""`examples/mlflow`: a bundle in MLflow's registry on SQLite, and back, in a process that has only the logged files."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from export import load
from export.bundle import layout
from zoobase.errors import CheckFailed

EXAMPLE = Path(__file__).parents[3] / "examples" / "mlflow"
LOADED = """
import json, sys
import mlflow
import numpy as np
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model(sys.argv[2])
print(json.dumps({name: value.tolist() for name, value in model.predict({"image": np.load(sys.argv[3])}).items()}))
"""


@pytest.mark.extended
def test_logged_registered_and_loaded(bundles, tmp_path, monkeypatch):
    import mlflow

    monkeypatch.syspath_prepend(EXAMPLE)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    import bundle_flavor

    bundle = shutil.copytree(bundles("functional_cnn").path, tmp_path / "cnn")
    manifest = layout.read_manifest(bundle)
    manifest["metrics"], manifest["card"]["intervals"] = {"accuracy": 0.9}, {"accuracy": [0.8, 0.95]}
    layout.seal(bundle, manifest)
    store = f"sqlite:///{tmp_path / 'mlflow.db'}"
    mlflow.set_tracking_uri(store)
    mlflow.set_experiment(experiment_id=mlflow.create_experiment("x", artifact_location=str(tmp_path / "artifacts")))
    with mlflow.start_run() as run:
        info = bundle_flavor.log_model(bundle, "net", registered_model_name="net")
    flavor = info.flavors["keras_proof_zoo"]
    assert (flavor["verdict"], [t.name for t in info.signature.inputs.inputs]) == ("pass", ["image"])
    metrics = mlflow.get_run(run.info.run_id).data.metrics
    assert metrics == {"accuracy": 0.9, "accuracy_low": 0.8, "accuracy_high": 0.95}
    logged = Path(mlflow.artifacts.download_artifacts("models:/net/1", dst_path=str(tmp_path / "copy")))
    assert json.loads((logged / flavor["certificate"]).read_text())["verdict"] == "pass"

    images = np.random.default_rng(0).uniform(0, 255, (2, 12, 12, 1)).astype("float32")
    np.save(tmp_path / "images.npy", images)
    words = [sys.executable, "-c", LOADED, store, "models:/net/1", str(tmp_path / "images.npy")]
    answer = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    expected = load(bundle, "tflite")["serving_default"](image=images)["logits"]
    np.testing.assert_array_equal(json.loads(answer.stdout.splitlines()[-1])["logits"], expected.astype(float))

    (path,) = (tmp_path / "artifacts").rglob("float32.tflite")
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    answer = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path)
    assert (answer.returncode, "is damaged" in answer.stderr) == (1, True)
    (bundle / "README.md").write_text("changed")
    with mlflow.start_run(), pytest.raises(CheckFailed, match="damaged"):
        bundle_flavor.log_model(bundle, "net")
