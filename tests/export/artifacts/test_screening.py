"""A file that is two files, or reads a third, is refused before anything loads it, whatever its format."""

import io
import shutil
import warnings
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

import export
from export.artifacts import describe, locate
from export.bundle.diff import diff
from export.formats import tflite_metadata
from export.formats.keras import read_model
from export.formats.onnx import external_tensors
from export.formats.screening import check_content
from tests.export.conftest import reseal
from tests.export.perturb import editable_h5
from zoobase.errors import CheckFailed, ExportError
from zoobase.hdf5 import open_hdf5

BUNDLE = Path(__file__).parents[2] / "fixtures/bundle"  # two layers of the zoo, as .keras, .h5 and weights
KERAS, HDF5, WEIGHTS = ((BUNDLE / name).read_bytes() for name in ("model.keras", "model.h5", "model.weights.h5"))
TFLITE = b"\x1c\0\0\0TFL3" + bytes(8)


def zipped(*names):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in names:
            archive.writestr(name, "{}")
    return stream.getvalue()


def with_comment(content):
    stream = io.BytesIO(content)
    with zipfile.ZipFile(stream, "a") as archive:
        archive.comment = b"more"
    return stream.getvalue()


def described(name, **fields):
    """Return a zip file of one empty file with further fields in its directory."""
    stream, member = io.BytesIO(), zipfile.ZipInfo(name)
    for field, value in fields.items():
        setattr(member, field, value)
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(member, "{}")
    return stream.getvalue()


SURROUNDED = {
    "tflite and keras, as tflite": ("m.tflite", TFLITE + KERAS, "of format tflite and also a zip file"),
    "tflite and keras, as keras": ("m.keras", TFLITE + KERAS, "of format tflite and also a zip file"),
    "tflite and hdf5": ("m.tflite", TFLITE.ljust(512, b"\0") + HDF5, "of format tflite and also an HDF5 file"),
    "onnx and zip": ("m.onnx", b"\x08\x08" + zipped("a"), "of format onnx and also a zip file"),
    "onnx and hdf5": ("m.onnx", b"\x08\x08".ljust(1024, b"\0") + HDF5, "of format onnx and also an HDF5 file"),
    "before keras": ("m.keras", KERAS[:30] + KERAS, "other content before its zip file"),
    "behind keras": ("m.keras", KERAS + bytes(9), "other content behind its zip file"),
    "comment of keras": ("m.keras", with_comment(KERAS), "other content behind its zip file"),
    "keras as hdf5": ("m.h5", KERAS[:30].ljust(512, b"\0") + HDF5 + KERAS, "its content is of format keras"),
    "hdf5 as keras": ("m.keras", HDF5, "its content is of format hdf5"),
    "user block of hdf5": ("m.h5", bytes(2048) + HDF5, "other content before its HDF5 file"),
    "behind hdf5": ("m.h5", HDF5 + b"\0", "other content behind its HDF5 file"),
    "hdf5 and zip": ("m.h5", HDF5 + zipped("a"), "of format hdf5 and also a zip file"),
    "behind weights": ("m.weights.h5", WEIGHTS + KERAS, "of format weights and also a zip file"),
    "user block of weights": ("m.weights.h5", bytes(512) + WEIGHTS, "other content before its HDF5 file"),
}


@pytest.mark.parametrize("case", SURROUNDED)
def test_a_file_that_is_two_files_is_refused(case, tmp_path):
    name, content, sentence = SURROUNDED[case]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckFailed, match=sentence):
        describe(tmp_path / name)
    with pytest.raises(CheckFailed, match=sentence):
        export.compare(tmp_path / name, BUNDLE / "model.keras")


@pytest.mark.parametrize("name", ["model.keras", "model.h5", "model.weights.h5"])
def test_what_keras_writes_is_not_refused(name):
    assert locate(BUNDLE / name)[0] == BUNDLE / name


# === The files that the metadata of a TFLite file name ===


EMPTY = b"\x10\0\0\0TFL3\0\0\x06\0\x08\0\x04\0\x06\0\0\0\3\0\0\0"  # a TFLite file of version 3 that holds nothing


def naming(*names):
    """Return a TFLite file whose metadata name these files, without the files."""
    associated = [{"name": name} for name in names]
    metadata = {"subgraph_metadata": [{"output_tensor_metadata": [{"associated_files": associated}]}]}
    file = tflite_metadata.attach(EMPTY, metadata, dict.fromkeys(names, b""))
    return file[: file.index(b"PK\x03\x04")] if names else file


def twice(name):
    with warnings.catch_warnings(action="ignore"):
        return zipped(name, name)


def stuffed():
    """Return a zip file with other content between two of its files."""
    file = zipped("a.txt", "b.txt")
    second = file.index(b"PK\x03\x04", 4)
    ends = bytearray(file[:second] + b"more" + file[second:])
    entry = ends.index(b"b.txt", ends.index(b"PK\x01\x02")) - 46
    ends[entry + 42 : entry + 46] = (second + 4).to_bytes(4, "little")
    end = ends.index(b"PK\x05\x06")
    ends[end + 16 : end + 20] = ends.index(b"PK\x01\x02").to_bytes(4, "little")
    return bytes(ends)


@pytest.mark.parametrize("signature", [b"PK\x01\x02", b"PK\x05\x06"])
def test_a_zip_file_with_a_damaged_directory_is_named(tmp_path, signature):
    """Found by the fuzzer: it is a zip file by its end, and its list of files cannot be read."""
    content = bytearray(zipped("config.json"))
    position = content.index(signature) + (0 if signature == b"PK\x01\x02" else 12)
    content[position : position + 2] = b"\xff\x00"
    (tmp_path / "m.keras").write_bytes(content)
    with pytest.raises(ExportError, match="is a damaged zip file"):
        locate(tmp_path / "m.keras")


def test_the_files_that_the_metadata_of_a_tflite_file_name_are_no_other_file(tmp_path):
    (tmp_path / "m.tflite").write_bytes(naming("a.txt", "b.txt") + zipped("a.txt", "b.txt"))
    assert locate(tmp_path / "m.tflite")[1] == "tflite"


BEHIND_TFLITE = {
    "without metadata": (EMPTY + zipped("a.txt"), "with a.txt, which its metadata do not name"),
    "words of metadata alone": (EMPTY + b"TFLITE_METADATA" + zipped("a.txt"), "which its metadata do not name"),
    "one more": (naming("a.txt") + zipped("a.txt", "b.txt"), "with a.txt, b.txt, which its metadata do not name"),
    "one less": (naming("a.txt", "b.txt") + zipped("a.txt"), "which its metadata do not name"),
    "one twice": (naming("a.txt") + twice("a.txt"), "which its metadata do not name"),
    "a model of Keras": (naming("config.json") + zipped("config.json"), "with config.json, which is no name of labels"),
    "a path": (naming("../a.txt") + zipped("../a.txt"), "which is no name of labels"),
    "a folder": (naming("a/b") + zipped("a/b"), "with a/b, which is no name of labels"),
    "a folder of Windows": (naming("a\\b") + zipped("a\\b"), r"with a\\b, which is no name of labels"),
    "a hidden file": (naming(".a") + zipped(".a"), r"with \.a, which is no name of labels"),
    "an extra field": (naming("a.txt") + described("a.txt", extra=b"\x99\x99\x04\0more"), "with more than its files"),
    "a comment of a file": (naming("a.txt") + described("a.txt", comment=b"more"), "with more than its files"),
    "a comment": (naming("a.txt") + with_comment(zipped("a.txt")), "with more than its files"),
    "between two files": (naming("a.txt", "b.txt") + stuffed(), "with more than its files"),
    "an HDF5 file": (naming("a.txt").ljust(512, b"\0") + HDF5 + zipped("a.txt"), "also an HDF5 file"),
}


@pytest.mark.parametrize("case", BEHIND_TFLITE)
def test_any_other_zip_file_behind_a_tflite_file_is_refused(case, tmp_path):
    content, sentence = BEHIND_TFLITE[case]
    (tmp_path / "m.tflite").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "m.tflite") as archive:
        assert archive.testzip() is None
    with pytest.raises(CheckFailed, match=sentence):
        locate(tmp_path / "m.tflite")


def test_a_format_that_is_a_zip_file_itself(tmp_path):
    path = tmp_path / "program.pt2"
    path.write_bytes(zipped("archive_format"))
    check_content(path, "torch")
    path.write_bytes(zipped("archive_format") + bytes(1))
    with pytest.raises(CheckFailed, match="other content behind its zip file"):
        check_content(path, "torch")
    path.write_bytes(bytes(1) + zipped("archive_format"))
    with pytest.raises(CheckFailed, match="of format torch and also a zip file; write it again"):
        check_content(path, "torch")


# === HDF5 files that read other files ===


def link(file, dataset, other):
    shape = file[dataset].shape
    del file[dataset]
    with h5py.File(other, "w") as elsewhere:
        elsewhere["x"] = np.zeros(shape, np.float32)
    file[dataset] = h5py.ExternalLink(other, "x")


def store_outside(file, dataset, other):
    values = file[dataset][()]
    del file[dataset]
    other.write_bytes(values.tobytes())
    file.create_dataset(dataset, values.shape, values.dtype, external=[(str(other), 0, h5py.h5f.UNLIMITED)])


def make_virtual(file, dataset, other):
    values = file[dataset][()]
    del file[dataset]
    with h5py.File(other, "w") as elsewhere:
        elsewhere["x"] = values
    layout = h5py.VirtualLayout(values.shape, values.dtype)
    layout[:] = h5py.VirtualSource(other, "x", values.shape)
    file.create_virtual_dataset(dataset, layout)


ELSEWHERE = {link: "is an external link", store_outside: "an external file", make_virtual: "is a virtual dataset"}


def first_dataset(file):
    names = []
    file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) and item.size > 1 else None)
    return names[0]


def with_values_elsewhere(name, change, folder):
    """Return the path of a copy of a file of the bundle that has the values of one array in another file."""
    path = Path(shutil.copy(BUNDLE / name, folder / name))
    with editable_h5(path) as inner, h5py.File(inner, "r+") as file:
        change(file, first_dataset(file), folder / "other")
    return path


@pytest.mark.parametrize("change", ELSEWHERE)
@pytest.mark.parametrize("name", ["model.keras", "model.h5", "model.weights.h5"])
def test_values_in_another_file_are_refused_in_one_sentence(name, change, tmp_path):
    path = with_values_elsewhere(name, change, tmp_path)
    with pytest.raises(CheckFailed, match=ELSEWHERE[change]) as raised:
        describe(path)
    assert "\n" not in str(raised.value)


def test_every_reader_refuses_an_external_link(tmp_path):
    folder = shutil.copytree(BUNDLE, tmp_path / "bundle")
    for name in ("model.keras", "model.h5", "model.weights.h5"):
        shutil.copy(with_values_elsewhere(name, link, tmp_path), folder / name)
    reseal(folder, code_dependency=None)
    certificate = export.verify_bundle(folder)
    rows = {row.artifact: row for row in certificate.rows}
    for name in ("model.keras", "model.h5", "model.weights.h5"):
        assert rows[name].state == "fail"
        assert "external link" in rows[name].reason
    with pytest.raises(CheckFailed, match="external link"):
        export.load(folder, "keras")
    for name in ("model.keras", "model.h5"):
        with pytest.raises(CheckFailed, match="external link"):
            read_model(folder / name)
        with pytest.raises(CheckFailed, match="external link"):
            export.compare(folder / name, BUNDLE / name)
    with pytest.raises(CheckFailed, match="external link"):
        diff(BUNDLE, folder)


@pytest.mark.parametrize("size", [0, 8, 2**40])
def test_strings_without_an_end_are_one_sentence(tmp_path, size):
    """The HDF5 library would never end with the first."""
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file.attrs["names"] = ["one", "two"]
    content = bytearray((tmp_path / "m.h5").read_bytes())
    first = content.index(b"GCOL") + 16  # index, count, reserved, size
    content[first : first + 16] = bytes(8) + size.to_bytes(8, "little")
    (tmp_path / "m.h5").write_bytes(content)
    with pytest.raises(OSError, match="is damaged: its strings have no end"):
        open_hdf5(tmp_path / "m.h5")
    with pytest.raises(ExportError):
        describe(tmp_path / "m.h5")


def test_links_within_a_file_may_go_in_circles(tmp_path):
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file["a/x"] = 1.0
        file["a/again"] = file["a"]
        file["soft"] = h5py.SoftLink("/nowhere")
    with open_hdf5(tmp_path / "m.h5") as file:
        assert set(file) == {"a", "soft"}


def test_a_file_of_another_format_than_the_manifest_says_is_not_run(tmp_path):
    """Its description had no risks, as a TFLite file, and Keras would load the zip file behind it."""
    folder = shutil.copytree(BUNDLE, tmp_path / "bundle")
    (folder / "model.h5").write_bytes(b"\0\0\0\0TFL3")
    reseal(folder, code_dependency=None)
    row = next(row for row in export.verify_bundle(folder).rows if row.artifact == "model.h5")
    assert (row.state, row.reason) == ("fail", "it is of format tflite, not hdf5 as manifest.json says")


# === ONNX ===


MESSAGES = """
EntryProto: string key
TensorProto: string name, int64 data_location, EntryProto* external_data
SparseTensorProto: TensorProto values
AttributeProto: TensorProto t, GraphProto g, TensorProto* tensors, GraphProto* graphs, SparseTensorProto sparse_tensor
NodeProto: AttributeProto* attribute
GraphProto: NodeProto* node, TensorProto* initializer
TrainingInfoProto: GraphProto initialization, GraphProto algorithm
FunctionProto: NodeProto* node
ModelProto: GraphProto graph, TrainingInfoProto* training_info, FunctionProto* functions
"""


def onnx_model():
    """Return a message that nests as a model of ONNX does, which is an extra."""
    file = descriptor_pb2.FileDescriptorProto(name="nested.proto", package="nested", syntax="proto3")
    for line in MESSAGES.strip().splitlines():
        name, _, members = line.partition(": ")
        message = file.message_type.add(name=name)
        for number, member in enumerate(members.split(", "), 1):
            kind, field = member.split()
            label, of = 3 if kind.endswith("*") else 1, kind.strip("*")
            added = message.field.add(
                name=field, number=number, label=label, type={"int64": 3, "string": 9}.get(of, 11)
            )
            if added.type == 11:
                added.type_name = f".nested.{of}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("nested.ModelProto"))()


PLACES = {
    "weights": lambda model: model.graph.initializer.add(),
    "Constant": lambda model: model.graph.node.add().attribute.add().t,
    "list of an attribute": lambda model: model.graph.node.add().attribute.add().tensors.add(),
    "sparse": lambda model: model.graph.node.add().attribute.add().sparse_tensor.values,
    "If": lambda model: model.graph.node.add().attribute.add().g.initializer.add(),
    "Loop in If": lambda model: model.graph.node.add().attribute.add().g.node.add().attribute.add().g.initializer.add(),
    "graphs": lambda model: model.graph.node.add().attribute.add().graphs.add().node.add().attribute.add().t,
    "function": lambda model: model.functions.add().node.add().attribute.add().t,
    "training": lambda model: model.training_info.add().algorithm.node.add().attribute.add().t,
    "training at the start": lambda model: model.training_info.add().initialization.initializer.add(),
}


@pytest.mark.parametrize("place", PLACES)
def test_external_data_of_onnx_are_found_wherever_a_tensor_is(place):
    model = onnx_model()
    tensor = PLACES[place](model)
    tensor.name = "w"
    assert external_tensors(model) == []
    tensor.data_location = 1
    assert external_tensors(model) == ["w"]
    tensor.data_location = 0
    tensor.external_data.add(key="location")
    assert external_tensors(model) == ["w"]
