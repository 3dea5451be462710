"""Files are read in bounded time and memory, by a process that may die."""

import os

import flatbuffers
import pytest
from click.testing import CliRunner

from export import verify_bundle
from export.__main__ import verbs
from export.artifacts import readable
from export.bundle.layout import find_damage
from tests.export.bundle.closed_faults import sparse
from tests.export.conftest import reseal, row_of
from zoobase.errors import CheckFailed


def references(builder, offset, count):
    """Return a vector that names one table many times."""
    builder.StartVector(4, count, 4)
    for _ in range(count):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()


def bomb(path, count=1000):
    """Write a TFLite file of a few kB: a thousand times the same subgraph, of a thousand times the same tensor."""
    builder = flatbuffers.Builder()
    builder.StartObject(11)
    tensor = builder.EndObject()
    tensors = references(builder, tensor, count)
    builder.StartObject(6)
    builder.PrependUOffsetTRelativeSlot(0, tensors, 0)
    graph = builder.EndObject()
    graphs = references(builder, graph, count)
    builder.StartObject(8)
    builder.PrependUOffsetTRelativeSlot(2, graphs, 0)
    builder.Finish(builder.EndObject(), b"TFL3")
    path.write_bytes(builder.Output())
    return path


def test_a_small_file_that_takes_long_is_refused(tmp_path, monkeypatch):
    file = bomb(tmp_path / "bomb.tflite")
    assert file.stat().st_size < 10_000
    monkeypatch.setattr(readable, "SECONDS", 2)
    ended = CliRunner().invoke(verbs, ["inspect", str(file)])
    assert isinstance(ended.exception, CheckFailed)
    refused = str(ended.exception)
    assert "is refused: the process that read it stopped after 2" in refused
    assert refused.endswith("s of CPU time")  # not of wall time, which a busy machine takes


@pytest.mark.extended
def test_verify_refuses_it_and_runs_the_others(damaged, monkeypatch):
    folder = damaged("two_by_two")
    bomb(folder / "tflite/float32.tflite")
    reseal(folder)
    monkeypatch.setattr(readable, "SECONDS", 5)
    certificate = verify_bundle(folder, runtimes=["keras"])
    row = row_of(certificate, format="tflite")
    assert (row.state, row.reason[:40]) == ("fail", "the process that read it stopped after 5")
    assert row_of(certificate, artifact="model.keras").state == "pass"


def test_memory_is_bounded_by_the_size_of_the_files(bundles, monkeypatch):
    file, bounds = bundles("two_by_two").path / "model.keras", []
    monkeypatch.setattr(readable.process, "run_job", lambda *words, **options: bounds.append(options) or ({}, None))
    assert readable.unreadable([file]) == {}
    assert bounds[0]["memory"] == readable.MEMORY + readable.TIMES * file.stat().st_size


def test_a_file_of_holes_is_refused(tmp_path, damaged):
    folder = damaged("two_by_two")
    sparse(folder, "golden/cases.json")
    for call in (verify_bundle, find_damage):
        with pytest.raises(CheckFailed, match=r"of its 1,100 GB 0 MB are on the disk"):
            call(folder)
    file = tmp_path / "model.tflite"
    file.write_bytes(b"....TFL3")
    os.truncate(file, 2**40)
    with pytest.raises(CheckFailed, match="are on the disk"):
        readable.unreadable([file])
