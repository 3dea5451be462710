"""Mutated model files and shards: each is read, or refused in one sentence, in bounded memory, and opens no other file.

The valid files that are mutated hold what could lead elsewhere: links, external tensors and assets that name `secret`.
The examples are derived from the code alone (`derandomize`), so that a failure is repeatable. 500 inputs are in the
ordinary tests, 100,000 under `-m proof`.
"""

import contextlib
import ctypes
import functools
import gc
import hashlib
import io
import json
import os
import pickle
import re
import struct
import sys
import threading
import zipfile
from collections import OrderedDict
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pipelines
from export.artifacts import describe
from export.bundle import diff
from export.cli.inputs import read_samples
from pipelines.shards import reading as shard_reading
from pipelines.shards.writing import write_shards
from tests.test_fuzz import changed, read_or_refuse
from zoo.weights.readers import torch_pickle
from zoobase.errors import ExportError

BUNDLE = Path(__file__).parent / "fixtures/bundle"
LARGEST = 600_000_000  # bytes that reading a file of some kilobytes may take: twice what any file may inflate to
NUMBERS = [0, 1, 2, 127, 255, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**63, 2**64 - 1]
SECRET = "secret"


# === Mutations ===

EDITS = st.lists(
    st.tuples(
        st.sampled_from(("byte", "number", "number", "remove", "repeat", "copy", "end", "name")),
        st.integers(0, 2**20),
        st.integers(0, 2**20),
        st.sampled_from(NUMBERS) | st.integers(0, 255),
    ),
    min_size=1,
    max_size=4,
)
CHANGES = st.lists(st.tuples(st.integers(0, 2**20), st.sampled_from(NUMBERS)), min_size=1, max_size=4)


def edited(content, edits):
    """Return bytes after edits: (kind, place, other place, value)."""
    data = bytearray(content)
    for kind, place, other, value in edits:
        i, j = place % (len(data) + 1), other % (len(data) + 1)
        size = 1 + other % 64
        if kind == "byte":
            data[i : i + 1] = bytes([value & 255])
        elif kind == "number":
            width = (1, 2, 4, 8)[other % 4]
            data[i : i + width] = (value & (256**width - 1)).to_bytes(width, "little")
        elif kind == "remove":
            del data[i : i + size]
        elif kind == "repeat":
            data[i:i] = data[i : i + size] * (1 + value % 5)
        elif kind == "copy":
            data[i : i + size] = data[j : j + size]
        elif kind == "end":
            del data[i:]
        else:
            data[i : i + len(SECRET)] = SECRET.encode()
    return bytes(data)


def mutated(draw, content):
    return edited(content, draw(EDITS))


def mutated_zip(draw, content):
    """Mutate a member of a zip file, whose checksum is then right, or the file itself."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = draw(st.sampled_from([*members, ""]))
    if not name:
        return mutated(draw, content)
    if name.endswith(".json") and draw(st.booleans()):
        members[name] = json.dumps(draw(changed(json.loads(members[name])))).encode()
    else:
        members[name] = edited(members[name], draw(EDITS))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", draw(st.sampled_from((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)))) as archive:
        for member in members:
            archive.writestr(member, members[member])
    return stream.getvalue()


def mutated_message(draw, message):
    """Mutate bytes of a serialised protocol buffer, or change some of its fields, so that it can be parsed."""
    copy = type(message)()
    copy.CopyFrom(message)
    if draw(st.booleans()):
        return edited(copy.SerializeToString(), draw(EDITS))
    for place, value in draw(CHANGES):
        fields = [(m, field) for m in messages(copy) for field, _ in m.ListFields()]
        if fields:
            change(*fields[place % len(fields)], value, draw)
    return copy.SerializeToString()


def messages(message):
    yield message
    for field, value in message.ListFields():
        if field.message_type is not None and not field.message_type.GetOptions().map_entry:
            for inner in value if hasattr(value, "__len__") else (value,):
                yield from messages(inner)
        elif field.message_type is not None and field.message_type.fields_by_name["value"].message_type:
            for inner in value.values():
                yield from messages(inner)


def change(holder, field, value, draw):
    """Remove or repeat a field, or replace it: strings by another or by `secret`, numbers by an unusual one."""
    present = getattr(holder, field.name)
    repeated = hasattr(present, "__len__") and not isinstance(present, str | bytes)
    if field.message_type is not None or draw(st.integers(0, 3)) == 0:
        if repeated and not hasattr(present, "keys") and draw(st.booleans()):
            present.extend(list(present)[:1] * 2)
        else:
            holder.ClearField(field.name)
        return
    words = (SECRET, "", "../secret", "x" * 300, "While", "serve", "StatefulPartitionedCall")
    new = words[value % len(words)] if field.type == field.TYPE_STRING else value
    new = SECRET.encode() if field.type == field.TYPE_BYTES else new
    with contextlib.suppress(TypeError, ValueError, OverflowError):  # out of the range of the field
        if repeated:
            present[0] = new
        else:
            setattr(holder, field.name, new)


# === Valid files, of which some name the secret ===


def hdf5(weights, secret):
    """Return an HDF5 file with strings of variable length, as Keras writes them, and others."""
    stream = io.BytesIO()
    with h5py.File(stream, "w", libver=("earliest", "v110")) as file:
        file.attrs["keras_version"] = "3.15"
        file.attrs["weight_names"] = ["kernel", "bias"]
        file["layers/dense/vars/0"] = np.ones((3, 2), np.float32)
        file.create_dataset("layers/dense/vars/1", (4, 4), "f4", chunks=(2, 2), compression="gzip")
        file["names"] = np.array([b"one", b"two"])
        if secret:
            file["outside"] = h5py.ExternalLink(secret, "x")
            file.create_dataset("stored", (4,), "f4", external=[(secret, 0, 16)])
        if not weights:
            file.attrs["model_config"] = '{"class_name": "Sequential", "config": {"layers": []}}'
    return stream.getvalue()


def keras_file(secret):
    stream = io.BytesIO()
    with zipfile.ZipFile(BUNDLE / "model.keras") as whole, zipfile.ZipFile(stream, "w") as archive:
        for name in ("metadata.json", "config.json"):
            archive.writestr(name, whole.read(name))
        archive.writestr("model.weights.h5", hdf5(True, secret))
    return stream.getvalue()


def npz():
    stream = io.BytesIO()
    np.savez(stream, x=np.ones((3, 2), np.float32), y=np.array([b"a", b"bc"]))
    return stream.getvalue()


def checkpoint():
    """Return a file as `torch.save` wrote before PyTorch 1.6, whose global names are written without PyTorch."""

    class Name:
        def __init__(self, module, name):
            self.module, self.name = module, name

    class Storage:
        pass

    class Tensor:
        pass

    class Pickler(pickle._Pickler):
        dispatch = dict(pickle._Pickler.dispatch)

        def save_name(self, name):
            self.write(f"c{name.module}\n{name.name}\n".encode())

        dispatch[Name] = save_name

        def save_tensor(self, tensor):
            self.save(Name("torch._utils", "_rebuild_tensor_v2"))
            self.save((Storage(), 0, (2, 3), (3, 1), False, OrderedDict()))
            self.write(pickle.REDUCE)

        dispatch[Tensor] = save_tensor

        def persistent_id(self, value):
            return (
                ("storage", Name("torch", "FloatStorage"), "7", "cpu", 6, None) if isinstance(value, Storage) else None
            )

    stream = io.BytesIO()
    for value in (torch_pickle.MAGIC, torch_pickle.PROTOCOL, {"little_endian": True}):
        pickle.dump(value, stream, protocol=2)
    Pickler(stream, 2).dump({"weight": Tensor()})
    pickle.dump(["7"], stream, protocol=2)
    stream.write(struct.pack("<q6f", 6, *range(6)))
    return stream.getvalue()


def onnx_model(secret):
    from onnx import TensorProto, helper

    def weight(name, **outside):
        tensor = helper.make_tensor(name, TensorProto.FLOAT, (2,), (1.0, 2.0))
        if outside:
            tensor.ClearField("float_data")
            tensor.data_location = TensorProto.EXTERNAL
            tensor.external_data.add(key="location", value=outside["location"])
        return tensor

    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, (2,))
    constant = helper.make_node("Constant", [], ["y"], value=weight("c", location=secret))
    branch = helper.make_graph([constant], "b", [], [y])
    nodes = [
        helper.make_node("Add", ["x", "w"], ["s"]),
        helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch),
    ]
    inputs = [helper.make_tensor_value_info(n, t, s) for n, t, s in (("x", 1, ("B", 2)), ("c", TensorProto.BOOL, ()))]
    graph = helper.make_graph(nodes, "g", inputs, [y], [weight("w"), weight("v", location=secret)])
    return helper.make_model(graph)


def saved_model(folder, secret):
    """Write a SavedModel with a table from a file, a loop, a branch, random numbers and variables."""
    import tensorflow as tf

    (folder.parent / "words.txt").write_text("a\nb\n")

    class Module(tf.Module):
        def __init__(self):
            super().__init__()
            self.weight = tf.Variable([[1.0, 2.0]], name="weight")
            words = str(folder.parent / "words.txt")
            line, number = tf.lookup.TextFileIndex.WHOLE_LINE, tf.lookup.TextFileIndex.LINE_NUMBER
            source = tf.lookup.TextFileInitializer(words, tf.string, line, tf.int64, number)
            self.table = tf.lookup.StaticHashTable(source, -1)

        @tf.function(input_signature=[tf.TensorSpec((None, 2), name="x"), tf.TensorSpec((None,), tf.string, name="t")])
        def __call__(self, x, t):
            y = tf.cond(tf.reduce_sum(x) > 0, lambda: x * self.weight, lambda: x + tf.random.uniform(()))
            y = tf.while_loop(lambda i, v: i < 2, lambda i, v: (i + 1, v * 2), (0, y))[1]
            return {"y": y, "id": self.table.lookup(t)}

    module = Module()
    tf.saved_model.save(module, str(folder), signatures=module.__call__)


def tflite():
    import tensorflow as tf

    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((1, 4), name="x")])
        def f(self, x):
            y = tf.cond(tf.reduce_sum(x) > 0, lambda: tf.matmul(x, np.ones((4, 3), np.float32)), lambda: x[:, :3])
            return {"y": tf.nn.relu(y)}

    module = Module()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([module.f.get_concrete_function()], module)
    return converter.convert()


# === What watches the reading ===


class Watch:
    """Records the files that are opened while it is entered: by Python, and the secret by any library."""

    def __init__(self, folder):
        self.folder, self.active, self.opened, self.before = str(folder), 0, [], 0
        self.secret = folder.parent / SECRET
        with h5py.File(self.secret, "w") as file:
            file["x"] = np.zeros(4, np.float32)
        libc = ctypes.CDLL(None, use_errno=True)
        self.inotify = libc.inotify_init1(os.O_NONBLOCK)
        assert libc.inotify_add_watch(self.inotify, os.fsencode(self.secret), 0x20) > 0  # IN_OPEN
        sys.addaudithook(self._record)  # cannot be removed: it does nothing while `active` is 0

    def _record(self, event, arguments):
        # not those of other threads; `threading` is gone when the process ends
        if not self.active or self.active != threading.get_ident():
            return
        if event in [
            *("open", "os.listdir", "os.scandir", "os.remove", "os.rename", "os.system", "subprocess.Popen"),
            *("socket.connect", "shutil.rmtree", "os.mkdir"),
        ]:
            self.opened.append((event, arguments[0]))

    @contextlib.contextmanager
    def entered(self):
        self.active = threading.get_ident()
        try:
            yield
        finally:
            self.active = 0
        outside, self.opened = [e for e in self.opened if not self._is_allowed(*e)], []
        if not self.before:
            return  # the first reading, which imports and caches
        assert outside == []
        with pytest.raises(BlockingIOError):  # nothing happened to the secret
            os.read(self.inotify, 4096)
        assert (memory := peak()) < self.before + LARGEST, memory

    def _is_allowed(self, event, path):
        path = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else ""
        if event == "open" and re.search(r"\.pyc?$|/__pycache__/|^$|^<string>$", path):
            return True  # a late import; an open descriptor; where Python 3.13 looks for a syntax error
        if event == "os.listdir" and os.path.abspath(path).startswith(tuple(filter(None, sys.path))):
            return True  # a folder in which such a module is looked for
        return os.path.abspath(path).startswith(self.folder)

    def start(self):
        gc.collect()
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        with contextlib.suppress(BlockingIOError):
            os.read(self.inotify, 2**16)  # what the test itself has opened
        self.before = peak()


def peak():
    """Return the largest resident memory since the last reset, bytes."""
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024


@pytest.fixture(scope="module")
def watch(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz") / "files"
    folder.mkdir()
    return Watch(folder)


# === Formats ===


def reading(watch, path, *readers, of=None):
    """Return a function that writes a content to a file, and reads that, or the folder `of` that holds it."""

    def read(content):
        path.write_bytes(content)
        with watch.entered():
            for reader in readers:
                read_or_refuse(functools.partial(reader, of or path))

    return read


def artifacts(name, contents):
    """Return what makes a function of `draw` and one that reads what it returns as an artifact."""

    def make(watch):
        valid = contents(str(watch.secret))
        kind = mutated_zip if name.endswith(".keras") else mutated

        def mutate(draw):
            content = draw(st.sampled_from(range(len(valid))).map(valid.__getitem__))
            return mutated_message(draw, content) if hasattr(content, "ListFields") else kind(draw, content)

        readers = (describe, diff_weights) if name.endswith((".h5", ".keras")) else (describe,)
        written = [c.SerializeToString() if hasattr(c, "ListFields") else c for c in valid]
        return mutate, reading(watch, Path(watch.folder, name), *readers), written

    return make


def diff_weights(path):
    try:
        return diff._read(path)
    except ExportError:
        raise
    except Exception:  # `diff` has one sentence for all others, as the next line
        return None


def one_file(name, content, reader):
    def make(watch):
        valid, mutate = content(), mutated_zip if name.endswith(".npz") else mutated
        return lambda draw: mutate(draw, valid), reading(watch, Path(watch.folder, name), reader), [valid]

    return make


def saved_models(part):
    def make(watch):
        from export.formats.graph_reader import _message

        folder = Path(watch.folder, f"saved_model_{part}")
        saved_model(folder, str(watch.secret))
        path = folder / ("saved_model.pb" if part == "graph" else "variables/variables.index")
        content, read = path.read_bytes(), reading(watch, path, describe, of=folder)
        if part != "graph":
            return lambda draw: mutated(draw, content), read, [content]
        message = _message()()
        message.ParseFromString(content)
        return lambda draw: mutated_message(draw, message), read, [content]

    return make


def shards(part):
    def make(watch):
        folder, cache = Path(watch.folder, f"shards_{part}"), Path(watch.folder, "cache")
        values = np.arange(96, dtype=np.uint8).reshape(6, 4, 4, 1)
        part_of = (values, ["a", "b"] * 3)
        dataset = pipelines.from_arrays(*part_of, name="six", validation=part_of, test=part_of)
        write_shards(dataset, folder, shards=1)
        manifest, record = folder / "manifest.json", folder / "train-00000-of-00001.tfrecord"
        stated, content = json.loads(manifest.read_text()), record.read_bytes()

        def read(changed_content):
            if part == "records":  # with the digest of what they are, so that TensorFlow reads them
                record.write_bytes(changed_content)
                shard = {"bytes": len(changed_content), "sha256": hashlib.sha256(changed_content).hexdigest()}
                data = json.loads(json.dumps(stated))
                data["shards"]["train"][0] |= shard
                manifest.write_text(json.dumps(data))
            else:
                manifest.write_text(
                    changed_content if isinstance(changed_content, str) else json.dumps(changed_content)
                )
            with watch.entered():
                data = read_or_refuse(lambda: shard_reading.read(folder, cache))
                if data is not None:
                    read_or_refuse(lambda: read_examples(folder, data))

        if part == "records":
            return lambda draw: mutated(draw, content), read, [content]

        secret = watch.secret.read_bytes()
        of_secret = {"bytes": len(secret), "sha256": hashlib.sha256(secret).hexdigest()}

        def elsewhere(draw):
            """Return a manifest of which a file of a split is the secret, with its size and digest."""
            shard, data = dict(of_secret), json.loads(json.dumps(stated))
            behind = f"train-00000-of-00001.tfrecord/../../../{SECRET}"
            shard["file"] = draw(st.sampled_from((f"../../{SECRET}", str(watch.secret), behind)))
            data["shards"][draw(st.sampled_from(("train", "validation", "test")))][0] |= shard
            return data

        return lambda draw: draw(changed(stated)) if draw(st.integers(0, 4)) else elsewhere(draw), read, [stated]

    return make


def read_examples(folder, data):
    import tensorflow as tf

    with (
        shard_reading.naming_damage(folder),
        contextlib.suppress(tf.errors.OpError),
    ):  # of a record that is not of its features
        for _ in data.train.as_numpy_iterator():
            pass


READERS = {  # reader -> share of the inputs, and what makes it
    "keras": (12, artifacts("m.keras", lambda secret: [keras_file(None), keras_file(secret)])),
    "hdf5": (14, artifacts("m.h5", lambda secret: [hdf5(False, None), hdf5(False, secret)])),
    "weights": (10, artifacts("m.weights.h5", lambda secret: [hdf5(True, None), hdf5(True, secret)])),
    "tflite": (14, artifacts("m.tflite", lambda secret: [tflite()])),
    "onnx": (14, artifacts("m.onnx", lambda secret: [onnx_model(secret)])),
    "saved_model": (12, saved_models("graph")),
    "variables": (6, saved_models("variables")),
    "checkpoint": (10, one_file("m.pth", checkpoint, torch_pickle.read)),
    "npz": (5, one_file("x.npz", npz, read_samples)),
    "records": (2, shards("records")),
    "manifest": (1, shards("manifest")),
}
COUNTS = [pytest.param(5, id="quick"), pytest.param(1000, id="full", marks=pytest.mark.proof)]  # times 100


def test_the_shares_are_whole():
    assert sum(share for share, _ in READERS.values()) == 100


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize(
    "reader", [pytest.param(r, marks=pytest.mark.needs("onnx")) if r == "onnx" else r for r in READERS]
)
def test_any_file_is_read_or_refused(reader, count, watch):
    share, make = READERS[reader]
    mutate, read, valid = make(watch)
    watch.before = 0
    for content in valid:
        read(content)
    watch.start()
    quick = settings(
        max_examples=share * count, deadline=None, derandomize=True, database=None, suppress_health_check=[*HealthCheck]
    )
    quick(given(st.composite(mutate)())(read))()
