"""The archive for SageMaker, and its inference.py in a process that does not hold our code."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile

import numpy as np
import pytest
from export.serving.transfer.sagemaker import write_archive
from PIL import Image

from export import ExportError, load
from export.wire import rest
from tests.export.test_cli import run
from zoobase.errors import CheckFailed

CALL = """
import io, json, sys, types
sys.path.insert(0, sys.argv[1])
import inference
for line in sys.stdin:
    kind, body = json.loads(line)
    context = types.SimpleNamespace(request_content_type=kind, accept_header="application/json")
    try:
        print(inference.input_handler(io.BytesIO(bytes.fromhex(body)), context))
    except ValueError as error:
        print("error: " + str(error))
assert not {"export", "numpy"} & set(sys.modules)
"""


@pytest.fixture
def unpacked(tmp_path):
    """Return a function that unpacks the archive of a bundle."""

    def unpack(bundle):
        with tarfile.open(write_archive(bundle, tmp_path / "model.tar.gz")) as tar:
            assert {(entry.uid, entry.uname, entry.mtime) for entry in tar} == {(0, "", 0)}
            tar.extractall(tmp_path / "unpacked", filter="data")
        return tmp_path / "unpacked"

    return unpack


def requests(folder, *calls):
    """Return what `input_handler` makes of (content type, content)."""
    text = "".join(json.dumps([kind, content.hex()]) + "\n" for kind, content in calls)
    command = [sys.executable, "-I", "-c", CALL, str(folder / "code")]
    result = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
    return result.stdout.splitlines()


def answer(folder, bundle, body):
    """Return the outputs of the signature that a request names."""
    endpoint = bundle.contract[json.loads(body)["signature_name"]]
    inputs = rest.decode_request(body, {t.name: t.dtype for t in endpoint.inputs})
    return load(bundle.path)[endpoint.name](**inputs)


def test_images(unpacked, bundles):
    bundle, file = bundles("functional_cnn"), io.BytesIO()
    folder = unpacked(bundle.path)
    Image.fromarray(np.full((12, 12), 200, np.uint8)).save(file, "png")
    png, x_image, csv = requests(
        folder, *((kind, file.getvalue()) for kind in ("image/png", "application/x-image", "text/csv; header=present"))
    )
    assert png == x_image
    assert csv == "error: content type text/csv is not supported; send one of: application/json, image/*"
    expected = load(bundle.path)["serving_default"](image=np.full((1, 12, 12, 1), 200, np.float32))
    np.testing.assert_allclose(answer(folder, bundle, png)["logits"], expected["logits"], atol=1e-5)
    assert (folder / "model" / "1" / "saved_model.pb").is_file()


def test_texts(unpacked, bundles):
    bundle, body = bundles("text"), json.dumps({"signature_name": "serving_default", "instances": [["café"]]})
    folder = unpacked(bundle.path)
    text, same, image = requests(
        folder, ("text/plain", "café".encode()), ("application/json", body.encode()), ("image/png", b"")
    )
    assert json.loads(text) == json.loads(same)
    assert image == "error: content type image/png is not supported; send one of: application/json, text/plain"
    assert answer(folder, bundle, text)


def test_an_archive_is_whole_or_absent(bundles, damaged, tmp_path):
    path = bundles("two_by_two").path
    first, second = write_archive(path, tmp_path / "a.tar.gz"), tmp_path / "b.tar.gz"
    result = run("sagemaker", path, "-o", second)
    assert result.returncode == 0, result.stderr
    with tarfile.open(first) as one, tarfile.open(second) as two:
        assert one.getnames() == two.getnames()
        assert not any(name.startswith(("/", "..")) for name in one.getnames())
    with pytest.raises(ExportError, match="exists; give a file that does not"):
        write_archive(path, first)
    folder = damaged("two_by_two")
    (folder / "saved_model/1/saved_model.pb").write_bytes(b"x")
    with pytest.raises(CheckFailed, match="is damaged"):
        write_archive(folder, tmp_path / "c.tar.gz")
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_file()) == ["a.tar.gz", "b.tar.gz"]
    assert not list(tmp_path.glob(".*"))
