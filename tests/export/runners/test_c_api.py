"""The C++ loader of TF Serving through ctypes, strings included."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from tensorflow.core.protobuf import saved_model_pb2

from export import verify_bundle
from export.protocol.c_api import fields, read_signatures
from export.protocol.runner import Runtime
from export.runners import RUNTIMES
from export.runtime.process import PROTOCOL
from tests.export.conftest import reseal, row_of


def test_a_folder_without_variables(damaged):
    """TensorFlow loads such a folder and raises at the first request only."""
    folder = damaged("two_by_two")
    shutil.rmtree(folder / "saved_model/1/variables")
    reseal(folder)
    row = row_of(verify_bundle(folder, runtimes=["c_api"]), runtime="c_api")
    assert row.state == "fail"
    assert "variables/variables.index is missing" in row.reason


def test_required_only_where_the_wheel_contains_it(bundles, monkeypatch):
    path = bundles("two_by_two").path
    absent = Runtime("c_api", "run_c_api.py", "tensorflow", "tensorflow", ("saved_model",), True, library="no.so")
    monkeypatch.setitem(RUNTIMES, "c_api", absent)
    certificate = verify_bundle(path, runtimes=["c_api"])
    row = row_of(certificate, runtime="c_api")
    assert (row.state, row.required, certificate.verdict) == ("not_run", False, "pass")
    assert row.reason == "the installed tensorflow does not contain no.so"


@pytest.mark.extended
def test_another_framework_in_the_process_is_a_failure(bundles, monkeypatch):
    path = bundles("two_by_two").path
    other_runner = Runtime("c_api", "run_tensorflow.py", "tensorflow", "tensorflow", ("saved_model",), True)
    monkeypatch.setitem(RUNTIMES, "c_api", other_runner)
    row = row_of(verify_bundle(path, runtimes=["c_api"]), runtime="c_api")
    assert row.state == "fail"
    assert "tensorflow, which is not its runtime" in row.reason


def test_signatures_are_those_that_tensorflow_reads(bundles):
    proto = saved_model_pb2.SavedModel()
    data = (bundles("functional_cnn").path / "saved_model/1/saved_model.pb").read_bytes()
    proto.ParseFromString(data)
    ours = read_signatures(next(value for number, value in fields(data) if number == 2))
    theirs = {k: v for k, v in proto.meta_graphs[0].signature_def.items() if not k.startswith("__")}
    assert set(ours) == set(theirs)
    for name, signature in theirs.items():
        for kind in ("inputs", "outputs"):
            tensors = {k: f"{o}:{i}" for k, (o, i, _) in getattr(ours[name], kind).items()}
            assert tensors == {k: v.name for k, v in getattr(signature, kind).items()}
        shapes = {k: v.tensor_shape for k, v in signature.inputs.items()}
        assert ours[name].shapes == {
            k: tuple(None if d.size < 0 else d.size for d in v.dim) for k, v in shapes.items() if not v.unknown_rank
        }
    assert ours["bytes"].inputs["image_bytes"][2] == "string"
    rng = np.random.default_rng(0)
    for size in rng.integers(1, len(data), 20):
        with pytest.raises(ValueError, match="truncated or damaged"):
            list(fields(data[: -int(size)]))


def test_libraries_of_python_that_are_loaded_later_keep_their_own_openssl():
    code = "from export.protocol import c_api; c_api.library(); import hashlib, ssl; ssl.create_default_context()"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


PROBE = """
import sys
sys.path.insert(0, sys.argv[1])
import dataclasses, json, numpy as np, c_api
session = c_api.Session(sys.argv[2])
files, images = session.signatures["bytes"], session.signatures["serving_default"]
other_rank = {"image": np.zeros(1, np.float32)}
for signature, wrong in (
    (files, {"photo": np.array([b""], object)}),
    (files, {"image_bytes": np.array([b"no image"], object)}),
    (images, other_rank),
    (dataclasses.replace(images, shapes={}), other_rank),
):
    try:
        session.run(signature, wrong)
    except Exception as error:
        print(type(error).__name__, str(error).splitlines()[0])
print(json.dumps([sorted(session.signatures), files.inputs["image_bytes"][2], "tensorflow" in sys.modules]))
"""


def test_strings_errors_and_signatures(bundles):
    """A convolution of oneDNN ends the process, unless the SavedModel or its caller checks the shape."""
    path = bundles("functional_cnn").path / "saved_model" / "1"
    command = [sys.executable, "-P", "-c", PROBE, str(PROTOCOL), str(path)]
    process = subprocess.run(command, capture_output=True, text=True, timeout=120)
    unknown, damaged, ours, graph, facts = process.stdout.splitlines()
    assert unknown == "ValueError takes ['image_bytes'], not ['photo']"
    assert damaged.startswith("TensorFlowError InvalidArgument: ")
    assert ours == "ValueError image has shape (1,), not (None, 12, 12, 1)"
    assert graph.startswith("TensorFlowError InvalidArgument: Shape of tensor")
    assert json.loads(facts) == [["bytes", "serving_default"], "string", False]
    assert process.returncode == 0
