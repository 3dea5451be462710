"""Programs of torch.export: what is read of them without PyTorch, and a comparison in it."""

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from export import certify
from export.artifacts import check_trusted, describe, torch_program
from export.artifacts.calling import endpoints_of
from zoobase.errors import CheckFailed, ExportError

PROGRAM = Path(__file__).parent / "programs" / "convolution.pt2"


def rewritten(path, **changes):
    with zipfile.ZipFile(PROGRAM) as source, zipfile.ZipFile(path, "w") as copy:
        for info in source.infolist():
            change = next((c for name, c in changes.items() if info.filename.endswith(name + ".json")), None)
            copy.writestr(info.filename, change(source.read(info)) if change else source.read(info))
    return path


def test_the_signature_is_read():
    description = describe(PROGRAM)
    assert (description.format, description.parameters) == ("torch", 819)
    (endpoint,) = endpoints_of(description)
    assert [(t.name, t.dtype, t.shape) for t in endpoint.inputs] == [("image", "float32", (None, 1, 8, 8))]
    assert [(t.name, t.shape) for t in endpoint.outputs] == [("logits", (None, 3))]
    assert description.operations["torch.ops.aten.conv2d.default"] == 1
    assert not description.risks


def test_the_weights_are_read():
    weights = dict(torch_program.weights(PROGRAM))
    assert weights["c.weight"].shape == (4, 1, 3, 3)
    assert weights["b.num_batches_tracked"].dtype == np.int64
    assert 0 < np.abs(weights["l.weight"]).max() < 0.07  # uniform up to 1 / sqrt(256)


def test_a_pickled_weight_is_refused(tmp_path):
    def pickled(content):
        data = json.loads(content)
        data["config"]["c.weight"]["use_pickle"] = True
        return json.dumps(data)

    path = rewritten(tmp_path / "p.pt2", model_weights_config=pickled)
    with pytest.raises(CheckFailed, match=r"c\.weight is a pickle"):
        check_trusted(describe(path), ())


def test_a_weight_beyond_its_values_is_refused(tmp_path):
    def larger(content):
        data = json.loads(content)
        data["config"]["c.weight"]["tensor_meta"]["sizes"][0]["as_int"] = 4000
        return json.dumps(data)

    path = rewritten(tmp_path / "p.pt2", model_weights_config=larger)
    with pytest.raises(ExportError, match=r"c\.weight is larger than its values"):
        dict(torch_program.weights(path))


@pytest.mark.parametrize("content", [b"PK\x03\x04damaged", None])
def test_other_files_are_one_sentence(tmp_path, content):
    path = tmp_path / "p.pt2"
    if content is None:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("p/other", b"")
    else:
        path.write_bytes(content)
    with pytest.raises(ExportError, match=r"p\.pt2"):
        describe(path)


@pytest.mark.proof
def test_a_conversion_of_pytorch_is_certified(tmp_path):
    certified = certify(PROGRAM, PROGRAM.with_suffix(".onnx"))
    assert certified.comparison.verdict == "same", certified.comparison.findings
    assert certified.comparison.weights["matched"] >= 2
    shutil.copy(PROGRAM.with_suffix(".onnx"), tmp_path / "wrong.onnx")
    content = bytearray((tmp_path / "wrong.onnx").read_bytes())
    at = content.index(dict(torch_program.weights(PROGRAM))["l.bias"].tobytes())
    content[at : at + 4] = np.float32(0.5).tobytes()
    (tmp_path / "wrong.onnx").write_bytes(content)
    assert certify(PROGRAM, tmp_path / "wrong.onnx").comparison.verdict == "different"
