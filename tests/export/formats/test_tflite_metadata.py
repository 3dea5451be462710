"""The metadata of a TFLite file come from the contract, change nothing else in the file, and are verified."""

import contextlib
import re
import shutil
import zipfile

import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

import export
from export.artifacts import describe
from export.contract import Tensor
from export.formats import tflite, tflite_metadata
from export.formats.tflite_metadata import attach, pack, read, unpack
from tests.export.conftest import create, reseal
from tests.plugins import needs
from zoobase.errors import ExportError

EVERYTHING = {
    "name": "model",
    "description": "äöü",
    "version": "1",
    "subgraph_metadata": [
        {
            "name": "main",
            "input_tensor_metadata": [
                {
                    "name": "image",
                    "dimension_names": ["batch", "height"],
                    "content": {"content_properties": ("ImageProperties", {"color_space": 1}), "range": {"min": 1}},
                    "process_units": [{"options": ("NormalizationOptions", {"mean": [127.5], "std": [0.5, 2.0]})}],
                    "stats": {"max": [255.0], "min": [-1.0]},
                },
                {"content": {"content_properties": ("AudioProperties", {"sample_rate": 16000, "channels": 1})}},
            ],
            "output_tensor_metadata": [{"associated_files": [{"name": "labels.txt", "type": 2}]}],
            "input_process_units": [{"options": ("BertTokenizerOptions", {"vocab_file": [{"name": "vocab.txt"}]})}],
            "custom_metadata": [{"name": "own", "data": [1, 2, 3]}],
        },
        {},
    ],
    "min_parser_version": "1.3.0",
}


def test_a_flatbuffer_holds_what_was_packed():
    assert unpack(pack(EVERYTHING)) == EVERYTHING
    assert tflite_metadata.Attached(EVERYTHING).names == ["labels.txt", "vocab.txt"]


def test_damaged_metadata_are_one_sentence():
    whole, rng = pack(EVERYTHING), np.random.default_rng(0)
    for _ in range(2000):
        damaged = bytearray(whole)
        damaged[rng.integers(len(whole))] ^= 1 << int(rng.integers(8))
        with contextlib.suppress(ExportError):  # and nothing else
            unpack(bytes(damaged[: rng.integers(1, len(whole) + 1)]))


def test_metadata_that_refer_to_one_table_many_times_are_bounded(monkeypatch):
    monkeypatch.setattr(tflite_metadata, "LARGEST_COUNT", 100)
    with pytest.raises(ExportError, match="more than 100 entries"):
        unpack(pack({"subgraph_metadata": [{"name": "a"}] * 100}))


def content_of(file):
    """Return all that is in a TFLite file but the added entry of its metadata and its buffer."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(file, 0))
    if tflite_metadata.read(file) is not None:
        *model.metadata, _ = model.metadata
        *model.buffers, _ = model.buffers

    def plain(value):
        if isinstance(value, list):
            return [plain(item) for item in value]
        if isinstance(value, np.ndarray):
            return value.tolist()
        return {k: plain(v) for k, v in vars(value).items()} if hasattr(value, "__dict__") else value

    return plain(model)


def without_metadata(file):
    """Return the file that the converter wrote, which is all behind the new root, without the zip file."""
    end = file.find(b"PK\x03\x04")
    return file[file.index(b"TFL3", 8) - 4 : None if end < 0 else end]


def test_nothing_of_a_model_changes(bundles):
    file = (bundles("functional_cnn").path / "tflite/float32.tflite").read_bytes()
    converted = without_metadata(file)
    assert read(converted) is None
    attached = attach(converted, {"name": "model", "description": "x" * 77}, {})
    assert attached.endswith(converted)
    assert content_of(attached) == content_of(file) == content_of(converted)
    assert len(content_of(converted)["subgraphs"][0]["operators"]) > 3
    with pytest.raises(ExportError, match="has metadata already"):
        attach(attached, {}, {})
    with pytest.raises(ExportError, match=r"name the files \['a.txt'\], not \[\]"):
        attach(converted, {"associated_files": [{"name": "a.txt"}]}, {})


def test_the_contract_is_in_the_file(bundles):
    path = bundles("functional_cnn").path / "tflite/float32.tflite"
    (graph,) = read(path.read_bytes()).metadata["subgraph_metadata"]
    (image,), (logits,) = graph["input_tensor_metadata"], graph["output_tensor_metadata"]
    assert image["name"] == "image"
    assert image["description"] == "pixels, which the model normalizes itself, from 0 to 255"
    assert image["stats"] == {"max": [255.0], "min": [0.0]}
    assert image["content"] == {"content_properties": ("ImageProperties", {"color_space": 2})}
    assert image["process_units"] == [{"options": ("NormalizationOptions", {"mean": [0.0], "std": [1.0]})}]
    assert [file["name"] for file in logits["associated_files"]] == ["labels.txt"]
    with zipfile.ZipFile(path) as archive:
        assert archive.read("labels.txt") == b"ant\nbee\ncat\ndog\n"


@pytest.mark.extended
def test_each_subgraph_has_the_tensors_of_its_endpoint_in_its_order(bundles):
    path = bundles("autoencoder").path / "tflite/float32.tflite"
    file = path.read_bytes()
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(file, 0))
    described = read(file).metadata["subgraph_metadata"]
    assert len(described) == len(model.subgraphs) == 3
    for signature in model.signatureDefs:
        graph, entry = model.subgraphs[signature.subgraphIndex], described[signature.subgraphIndex]
        assert entry["name"] == signature.signatureKey.decode()
        for kind in ("input", "output"):
            names = {m.tensorIndex: m.name.decode() for m in getattr(signature, f"{kind}s")}
            order = [names[index] for index in getattr(graph, f"{kind}s")]
            assert [tensor["name"] for tensor in entry[f"{kind}_tensor_metadata"]] == order


# === What is red ===


def rewritten(path, change, files=None):
    """Write the metadata of a file again, changed, with these files behind it."""
    file = path.read_bytes()
    metadata = unpack(pack(read(file).metadata))
    change(metadata["subgraph_metadata"][0])
    held = {}
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            held = {name: archive.read(name) for name in archive.namelist()}
    path.write_bytes(attach(without_metadata(file), metadata, held if files is None else files(held)))


def normalized_twice(graph):
    graph["input_tensor_metadata"][0]["process_units"] = [
        {"options": ("NormalizationOptions", {"mean": [127.5], "std": [127.5]})}
    ]


def reverse_labels(files):
    return files | {"labels.txt": b"".join(reversed(files["labels.txt"].splitlines(keepends=True)))}


def forget_the_vocabulary(graph):
    del graph["input_tensor_metadata"][0]["process_units"]


def without_vocabulary(files):
    return {name: content for name, content in files.items() if name != "vocabulary.txt"}


RED = {
    "a wrong normalization": (
        *("functional_cnn", normalized_twice, None),
        r"process_units\[0\].options\[1\].mean\[0\] 127.5 where the contract has 0.0",
    ),
    "permuted labels": (
        "functional_cnn",
        lambda graph: None,
        reverse_labels,
        "its labels.txt is not that of the contract",
    ),
    "a missing vocabulary": (
        *("texts", forget_the_vocabulary, without_vocabulary),
        r"process_units None where the contract has \[\{'options': \('RegexTokenizerOptions'",
    ),
    "another range": (
        *("functional_cnn", lambda graph: graph["input_tensor_metadata"][0]["stats"].update(max=[1.0]), None),
        r"stats.max\[0\] 1.0 where the contract has 255.0",
    ),
}


@pytest.mark.parametrize("case", RED)
def test_metadata_that_the_contract_does_not_have_fail(case, bundles, texts, tmp_path):
    name, change, files, clause = RED[case]
    folder = shutil.copytree(texts if name == "texts" else bundles(name).path, tmp_path / "bundle")
    assert export.verify_bundle(folder, runtimes=["litert"]).verdict == "pass"
    rewritten(folder / "tflite/float32.tflite", change, files)
    reseal(folder)
    certificate = export.verify_bundle(folder, runtimes=["litert"])
    (row,) = (row for row in certificate.rows if row.format == "tflite")
    assert (certificate.verdict, row.state) == ("fail", "fail")
    assert re.search(clause, row.reason), row.reason


def test_a_file_without_metadata_fails(damaged):
    folder = damaged("functional_cnn")
    file = folder / "tflite/float32.tflite"
    file.write_bytes(without_metadata(file.read_bytes()))
    reseal(folder)
    (row,) = (r for r in export.verify_bundle(folder, runtimes=["litert"]).rows if r.format == "tflite")
    assert (row.state, row.reason) == ("fail", "it has no metadata")


@pytest.mark.extended
def test_quantized_files_have_the_same_metadata(tmp_path):
    model, contract = create("functional_cnn")
    calibration = {"image": np.random.default_rng(0).uniform(0, 255, (100, 12, 12, 1)).astype("float32")}
    forms = [q.name for q in tflite.QUANTIZATIONS if q.name in needs.quantizations()]
    quantization = export.Quantization(forms, calibration)
    options = {"contract": contract, "formats": ("tflite",), "quantization": quantization}
    path = export.export_model(model, tmp_path / "b", **options).path
    every = [read((path / f"tflite/{name}.tflite").read_bytes()) for name in ("float32", *forms)]
    assert all(attached == every[0] for attached in every)
    assert every[0].names == ["labels.txt"]


@pytest.mark.needs("quantizer")
def test_buffers_behind_the_flatbuffer_move_with_it(tmp_path):
    """litert-quantizer writes 256 KiB and more there, at offsets from the start of the file, which metadata move."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((1024,), name="x"), keras.layers.Dense(640, name="y")])
    bundle = export.export_model(model, tmp_path / "b", formats=(), quantization=export.Quantization(("int4",)))
    file = bundle.path / "tflite/int4.tflite"
    buffers = schema.ModelT.InitFromObj(schema.Model.GetRootAs(file.read_bytes(), 0)).buffers
    assert [buffer.size for buffer in buffers if buffer.offset > 1] == [1024 * 640 / 2]
    assert describe(file).parameters == 1024 * 640  # the converter omits biases of zero
    (row,) = (row for row in bundle.certificate.rows if row.runtime == "litert")
    assert row.state == "pass", row.reason


def test_words_are_as_many_as_ids():
    with pytest.raises(ValueError, match="2 words for ids up to 5; give one for each"):
        Tensor("tokens", "int32", (None, 8), "token", 0, 5, words=("", "a"))
    with pytest.raises(ValueError, match="need `sample_rate`"):
        Tensor("audio", "float32", (None, 16000), "audio")
