"""Metadata of TFLite files: what each input and output means, in the schema that MediaPipe Tasks reads.

Reference: github.com/google-ai-edge/mediapipe, mediapipe/tasks/metadata/metadata_schema.fbs (Apache-2.0).

The metadata are a FlatBuffer in a buffer of the file; the files that they name (labels, a vocabulary) are a zip file
behind it. `attach` writes a new root before a file: all bytes of the file stay as they are, and where they are relative
to each other, so that its operators, tensors and buffers cannot change. Only the offsets of buffers that lie behind the
FlatBuffer, as litert-quantizer writes them, are counted from the start of the file and move with it.
"""

import contextlib
import io
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flatbuffers
from flatbuffers import encode, number_types
from flatbuffers.table import Table

from export.contract import Contract, Endpoint, Tensor, range_text
from zoobase.errors import ExportError

NAME, IDENTIFIER = "TFLITE_METADATA", b"M001"
PARSER = "1.3.0"  # the version of the schema that has everything that is written here
ALIGNMENT = 64  # bytes, of what is written before a file: constants in it keep their alignment
OFFSET = 6  # in the table of fields of a buffer: where its content starts in the file, if it is not in the FlatBuffer
LARGEST_COUNT = 100_000  # of tables and strings that are read: a few bytes can refer to the same ones many times
LABELS, VOCABULARY = "labels.txt", "vocabulary.txt"
SPECIAL = ("<PAD>", "<UNKNOWN>")  # ids 0 and 1 in the vocabulary of a RegexTokenizer
UINT, BYTE, FLOAT, STRING = "uint", "byte", "float", "string"
FORMATS = {UINT: number_types.Uint32Flags, BYTE: number_types.Int8Flags, FLOAT: number_types.Float32Flags}

# The fields of each table in the order of the schema: a scalar, a string, a table, a [list] of one of these, or a
# union, a list of tables, which has two places: which of them it is, from 1 on, and the table.
SCHEMA: Mapping[str, Mapping[str, Any]] = json.loads(Path(__file__).with_suffix(".json").read_text())
FILE_TYPES = {"axis labels": 2, "value labels": 3, "score calibration": 4, "vocabulary": 5}
COLOURS = {3: 1, 1: 2}  # channels -> RGB, grayscale
DESCRIPTIONS = {
    "image": "pixels, which the model normalizes itself",
    "audio": "samples of a sound",
    "token": "token ids, padded with 0",
    "state": "recurrent state: zeros first, then the output of the call before",
    "logits": "scores of the classes before softmax",
    "probabilities": "probabilities of the classes",
    "class_ids": "numbers of the classes",
    "latent": "latent vector",
    "noise": "standard normal numbers",
}


# === From the contract ===


def metadata_of(name: str, contract: Contract, endpoints: Sequence[Endpoint | None]) -> dict[str, Any]:
    """Return the metadata of a model."""
    return {
        "name": name,
        "description": f"the endpoint{'s' * (sum(e is not None for e in endpoints) > 1)} "
        + ", ".join(e.name for e in endpoints if e is not None),
        "subgraph_metadata": [_subgraph(contract, endpoint) for endpoint in endpoints],
        "min_parser_version": PARSER,
    }


def files_of(contract: Contract, endpoints: Sequence[Endpoint | None]) -> dict[str, bytes]:
    """Return the files that the metadata name."""
    every = [e for e in endpoints if e is not None]
    files = {}
    if any(_label_type(contract, tensor) for endpoint in every for tensor in endpoint.outputs):
        files[LABELS] = "".join(f"{' '.join(label.split())}\n" for label in contract.labels or ()).encode()
    for tensor in (tensor for endpoint in every for tensor in endpoint.inputs if tensor.words):
        files[VOCABULARY] = vocabulary_file(tensor)
    return files


def vocabulary_file(tensor: Tensor) -> bytes:
    """Return the words of a tensor of token ids, one a line; for a RegexTokenizer each form with its id behind it."""
    words = tensor.words or ()
    if tensor.delimiter is None:
        return "".join(f"{word}\n" for word in words).encode()
    named = (*SPECIAL, *words[len(SPECIAL) :])
    return "".join(f"{form} {i}\n" for i, word in enumerate(named) for form in word.split(" ") if form).encode()


def _subgraph(contract: Contract, endpoint: Endpoint | None) -> dict[str, Any]:
    if endpoint is None:
        return {"name": "called by other subgraphs"}
    return {
        "name": endpoint.name,
        "input_tensor_metadata": [_input(tensor) for tensor in endpoint.inputs],
        "output_tensor_metadata": [_output(contract, tensor) for tensor in endpoint.outputs],
    }


def _tensor(tensor: Tensor) -> dict[str, Any]:
    ranged = range_text(tensor) if tensor.vocabulary is None else ""
    metadata = {
        "name": tensor.name,
        "description": ", ".join(filter(None, [DESCRIPTIONS.get(tensor.meaning, ""), ranged])) or tensor.dtype,
    }
    ends = {"max": tensor.high, "min": tensor.low}
    if tensor.meaning == "probabilities":
        ends = {"max": 1.0, "min": 0.0}
    stats = {
        key: [*map(float, end if isinstance(end, tuple) else (end,))] for key, end in ends.items() if end is not None
    }
    return metadata | ({"stats": stats} if stats else {})


def _input(tensor: Tensor) -> dict[str, Any]:
    metadata = _tensor(tensor)
    if tensor.meaning == "image" and len(tensor.shape) == 4 and tensor.shape[-1] in COLOURS:
        metadata["content"] = {"content_properties": ("ImageProperties", {"color_space": COLOURS[tensor.shape[-1]]})}
        if tensor.dtype == "float32":
            metadata["process_units"] = [{"options": ("NormalizationOptions", {"mean": [0.0], "std": [1.0]})}]
    if tensor.meaning == "audio":
        properties = {"sample_rate": tensor.sample_rate, "channels": 1 if len(tensor.shape) == 2 else tensor.shape[-1]}
        metadata["content"] = {"content_properties": ("AudioProperties", properties)}
    if tensor.words:
        file = _file(VOCABULARY, "vocabulary", "words by their ids")
        if tensor.delimiter is None:
            metadata["associated_files"] = [file]
        else:
            options = {"delim_regex_pattern": tensor.delimiter, "vocab_file": [file]}
            metadata["process_units"] = [{"options": ("RegexTokenizerOptions", options)}]
    return metadata


def _output(contract: Contract, tensor: Tensor) -> dict[str, Any]:
    metadata = _tensor(tensor)
    if kind := _label_type(contract, tensor):
        metadata["associated_files"] = [_file(LABELS, kind, "names of the classes")]
        metadata["content"] = {"content_properties": ("FeatureProperties", {})}
    return metadata


def _label_type(contract: Contract, tensor: Tensor) -> str | None:
    """Return how the labels of a contract belong to an output, or None."""
    if contract.labels is None:
        return None
    if tensor.meaning == "class_ids":
        return "value labels"
    is_scores = tensor.meaning in ("logits", "probabilities", "tensor") and len(tensor.shape) > 1
    return "axis labels" if is_scores and tensor.shape[-1] == len(contract.labels) else None


def _file(name: str, kind: str, description: str) -> dict[str, Any]:
    return {"name": name, "description": description, "type": FILE_TYPES[kind]}


# === FlatBuffers ===


def pack(metadata: Mapping[str, Any]) -> bytes:
    """Return metadata as a FlatBuffer.

    Example:
        >>> unpack(pack({"name": "m", "subgraph_metadata": [{"name": "main"}]}))
        {'name': 'm', 'subgraph_metadata': [{'name': 'main'}]}
    """
    builder = flatbuffers.Builder()
    builder.Finish(_pack(builder, "ModelMetadata", metadata), file_identifier=IDENTIFIER)
    return bytes(builder.Output())


def _pack(builder: Any, kind: str, values: Mapping[str, Any]) -> int:
    """Write a table behind its children; return its offset."""
    entries, slot = [], 0
    for field, of in SCHEMA[kind].items():
        value = values.get(field)
        if isinstance(of, list):
            if value is not None:
                entries += [(slot, BYTE, of.index(value[0]) + 1), (slot + 1, None, _pack(builder, *value))]
            slot += 1
        elif value is not None:
            entries.append((slot, of, value) if of in FORMATS else (slot, None, _pack_child(builder, of, value)))
        slot += 1
    builder.StartObject(slot)
    for place, of, value in entries:
        if of is None:
            builder.PrependUOffsetTRelativeSlot(place, value, 0)
        else:
            builder.PrependSlot(FORMATS[of], place, value, 0)
    return int(builder.EndObject())


def _pack_child(builder: Any, of: Any, value: Any) -> int:
    if of == STRING:
        return int(builder.CreateString(value))
    if of in SCHEMA:
        return _pack(builder, of, value)
    of = of[1:-1]
    children = value if of in FORMATS else [_pack_child(builder, of, child) for child in value]
    builder.StartVector(FORMATS[of].bytewidth if of in FORMATS else 4, len(children), 4)
    for child in reversed(children):
        builder.Prepend(FORMATS[of], child) if of in FORMATS else builder.PrependUOffsetTRelative(child)
    return int(builder.EndVector())


def unpack(data: bytes) -> dict[str, Any]:
    """Return the metadata of a FlatBuffer that anyone may have written."""
    reader = _Reader(data)
    try:
        if data[4:8] != IDENTIFIER:
            raise ValueError("another identifier")
        return reader.table("ModelMetadata", encode.Get(number_types.UOffsetTFlags.packer_type, data, 0))
    except ExportError:
        raise
    except Exception as error:  # offsets may lead anywhere
        raise ExportError("the metadata of the TFLite file are damaged; write it again") from error


class _Reader:
    """Reads tables, and counts them."""

    def __init__(self, data: bytes) -> None:
        self.data, self.count = data, 0

    def table(self, kind: str, position: int) -> dict[str, Any]:
        self._step()
        table, values, slot = Table(self.data, position), {}, 0
        for field, of in SCHEMA[kind].items():
            place = table.Offset(4 + 2 * slot)
            if isinstance(of, list):
                target = table.Offset(6 + 2 * slot)
                number = table.Get(FORMATS[BYTE], position + place) if place else 0
                if number and target:
                    name = of[number - 1]
                    values[field] = name, self.table(name, table.Indirect(position + target))
                slot += 1
            elif place:
                values[field] = self._value(table, of, position + place)
            slot += 1
        return values

    def _value(self, table: Table, of: Any, place: int) -> Any:
        self._step()
        if of in FORMATS:
            return table.Get(FORMATS[of], place)
        if of == STRING:
            return table.String(place).decode("utf-8")
        if of in SCHEMA:
            return self.table(of, table.Indirect(place))
        start, of = table.Indirect(place), of[1:-1]
        length = table.Get(number_types.UOffsetTFlags, start)
        width = FORMATS[of].bytewidth if of in FORMATS else 4
        if start + 4 + length * width > len(self.data):
            raise ValueError("a vector that ends behind the file")
        return [self._value(table, of, start + 4 + i * width) for i in range(length)]

    def _step(self) -> None:
        self.count += 1
        if self.count > LARGEST_COUNT:
            raise ExportError(f"the metadata of the TFLite file have more than {LARGEST_COUNT:,} entries")


# === In a TFLite file ===


@dataclass(frozen=True)
class Attached:
    """What a TFLite file says of itself."""

    metadata: Mapping[str, Any]  # a `ModelMetadata`

    @property
    def names(self) -> list[str]:
        """The associated files of the model, its subgraphs, tensors and tokenizers."""
        return sorted({str(file.get("name", "")) for file in _associated("ModelMetadata", self.metadata)})


def _associated(kind: str, values: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if kind == "AssociatedFile":
        yield values
        return
    for field, of in SCHEMA[kind].items():
        value = values.get(field)
        if value is None:
            continue
        if isinstance(of, list):
            yield from _associated(*value)
        elif of in SCHEMA:
            yield from _associated(of, value)
        elif of[1:-1] in SCHEMA:
            for child in value:
                yield from _associated(of[1:-1], child)


def difference(path: Path, attached: Attached, contract: Contract, endpoints: Sequence[Endpoint | None]) -> str | None:
    """Return the first difference of a file's metadata, and of the files that they name, from a contract; or None."""
    expected = unpack(pack(metadata_of(str(attached.metadata.get("name", "")), contract, endpoints)))
    if clause := _first_difference(attached.metadata, expected, ""):
        return f"its metadata have {clause}"
    files = files_of(contract, endpoints)
    present = zipfile.is_zipfile(path)
    with zipfile.ZipFile(path) if present else contextlib.nullcontext() as archive:
        for name, content in files.items():
            if archive is None or name not in archive.namelist():
                return f"{name} is missing, which its metadata name"
            if archive.read(name) != content:
                return f"its {name} is not that of the contract"
    return None


def files_in(file: bytes) -> dict[str, bytes]:
    """Return the content of the files that the metadata of a TFLite file name, by name; it was screened."""
    stream = io.BytesIO(file)
    if not zipfile.is_zipfile(stream):
        return {}
    with zipfile.ZipFile(stream) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def tokenizer_in(attached: Attached, files: Mapping[str, bytes]) -> tuple[str, list[str]] | None:
    """Return the delimiter of the RegexTokenizer of a file, and its words by id; None if it has none."""
    # Forms of one word are separated by a space, as in `Tensor.words`.
    tensors = [t for g in attached.metadata.get("subgraph_metadata", ()) for t in g.get("input_tensor_metadata", ())]
    units = [unit["options"] for tensor in tensors for unit in tensor.get("process_units", ())]
    options = next((options for kind, options in units if kind == "RegexTokenizerOptions"), None)
    if options is None or VOCABULARY not in files:
        return None
    forms: dict[int, list[str]] = {}
    for line in files[VOCABULARY].decode().splitlines():
        form, _, number = line.rpartition(" ")
        forms.setdefault(int(number), []).append(form)
    return options["delim_regex_pattern"], [" ".join(forms.get(i, ())) for i in range(max(forms) + 1)]


def _first_difference(value: Any, expected: Any, where: str) -> str | None:
    if isinstance(value, Mapping) and isinstance(expected, Mapping):
        for key in sorted({*value, *expected}):
            if clause := _first_difference(value.get(key), expected.get(key), f"{where}.{key}" if where else key):
                return clause
        return None
    lists = (list, tuple)
    if isinstance(value, lists) and isinstance(expected, lists) and len(value) == len(expected):
        pairs = enumerate(zip(value, expected, strict=True))
        return next(filter(None, (_first_difference(*pair, f"{where}[{i}]") for i, pair in pairs)), None)
    return None if value == expected else f"{where} {value!r:.80} where the contract has {expected!r:.80}"


# Places of the fields of `Model`, `Metadata` and `Buffer` in the schema of TFLite files (version 3)
VERSION, BUFFERS, METADATA, FIELDS = 0, 4, 6, 8


def read(file: bytes) -> Attached | None:
    """Return the metadata of a TFLite file; None if it has none."""
    try:
        model = _Model(file)
        data = next((model.data(buffer) for name, buffer in model.metadata() if name == NAME), None)
    except Exception as error:  # offsets may lead anywhere
        raise ExportError("the TFLite file is damaged; write it again") from error
    return None if data is None else Attached(unpack(data))


class _Model:
    """The root of a TFLite file: where it says what it is made of."""

    def __init__(self, file: bytes) -> None:
        self.file = file
        self.table = Table(file, encode.Get(number_types.UOffsetTFlags.packer_type, file, 0))

    def target(self, field: int) -> int | None:
        """Return the position that a field of the root refers to."""
        place = self.table.Offset(4 + 2 * field)
        return self.table.Indirect(self.table.Pos + place) if place else None

    def elements(self, field: int) -> list[int]:
        """Return the positions that a vector of the root refers to."""
        start = self.target(field)
        if start is None:
            return []
        count = self.table.Get(number_types.UOffsetTFlags, start)
        if start + 4 + 4 * count > len(self.file):
            raise ValueError("a vector that ends behind the file")
        return [self.table.Indirect(start + 4 + 4 * i) for i in range(count)]

    def metadata(self) -> Iterator[tuple[str, int]]:
        """Yield (name, number of the buffer) of each entry."""
        for position in self.elements(METADATA):
            entry = Table(self.file, position)
            name, buffer = entry.Offset(4), entry.Offset(6)
            yield (
                entry.String(position + name).decode("utf-8", "replace") if name else "",
                entry.Get(number_types.Uint32Flags, position + buffer) if buffer else 0,
            )

    def data(self, buffer: int) -> bytes:
        """Return the content of a buffer."""
        position = self.elements(BUFFERS)[buffer]
        table = Table(self.file, position)
        start = table.Indirect(position + table.Offset(4))
        length = table.Get(number_types.UOffsetTFlags, start)
        return self.file[start + 4 : start + 4 + length]


def attach(file: bytes, metadata: Mapping[str, Any], files: Mapping[str, bytes]) -> bytes:
    """Return a TFLite file with metadata, and the files that they name as a zip file behind it."""
    # A new root stands before the file: it refers to what the old one refers to, and to one more buffer.
    if read(file) is not None:
        raise ExportError("the TFLite file has metadata already; attach them to the file that the converter wrote")
    if sorted(files) != Attached(metadata).names:
        raise ExportError(f"the metadata name the files {Attached(metadata).names}, not {sorted(files)}")
    old, builder = _Model(file), flatbuffers.Builder()
    builder.minalign = ALIGNMENT
    # an offset is counted from the end of what is written here, so those in the file behind it are negative
    buffers, entries = ([-position for position in old.elements(field)] for field in (BUFFERS, METADATA))
    data = pack(metadata)
    builder.StartVector(1, len(data), 16)  # as the schema says
    builder.head -= len(data)
    builder.Bytes[builder.head : builder.head + len(data)] = data
    content = int(builder.EndVector())
    builder.StartObject(1)
    builder.PrependUOffsetTRelativeSlot(0, content, 0)
    buffers.append(builder.EndObject())
    name = builder.CreateString(NAME)
    builder.StartObject(2)
    builder.PrependUOffsetTRelativeSlot(0, name, 0)
    builder.PrependUint32Slot(1, len(buffers) - 1, 0)
    entries.append(builder.EndObject())
    targets = {field: old.target(field) for field in range(1, FIELDS)}
    offsets = {field: -position for field, position in targets.items() if position is not None}
    offsets |= {BUFFERS: _vector_of(builder, buffers), METADATA: _vector_of(builder, entries)}
    version = old.table.Offset(4 + 2 * VERSION)
    builder.StartObject(FIELDS)
    builder.PrependUint32Slot(VERSION, old.table.Get(number_types.Uint32Flags, old.table.Pos + version), 0)
    for field, offset in offsets.items():
        builder.PrependUOffsetTRelativeSlot(field, offset, 0)
    builder.Finish(builder.EndObject(), file_identifier=file[4:8])
    head = bytes(builder.Output())
    file = _moved(old, len(head))
    _check_unchanged(old, _Model(head + file), len(head))
    return head + file if not files else _with_files(head + file, files)


def _moved(model: _Model, shift: int) -> bytes:
    """Return a file whose buffers behind the FlatBuffer will be `shift` bytes further on."""
    file = bytearray(model.file)
    for position in model.elements(BUFFERS):
        if place := Table(model.file, position).Offset(OFFSET):
            start = encode.Get(number_types.Uint64Flags.packer_type, model.file, position + place)
            if start > 1:  # 0 and 1 mean that the buffer is in the FlatBuffer
                encode.Write(number_types.Uint64Flags.packer_type, file, position + place, start + shift)
    return bytes(file)


def _vector_of(builder: Any, offsets: Sequence[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def _check_unchanged(old: _Model, new: _Model, shift: int) -> None:
    """Raise AssertionError unless the new root refers to what the old one does, which is `shift` bytes further on."""
    assert shift % ALIGNMENT == 0
    for field in set(range(1, FIELDS)) - {BUFFERS, METADATA}:
        position = old.target(field)
        assert new.target(field) == (None if position is None else position + shift), field
    for field in (BUFFERS, METADATA):
        assert new.elements(field)[:-1] == [position + shift for position in old.elements(field)], field


def _with_files(file: bytes, files: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO(file)
    with zipfile.ZipFile(stream, "a") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)  # of 1980: the same bytes at any time
    return stream.getvalue()
