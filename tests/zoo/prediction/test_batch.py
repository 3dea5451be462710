"""`zoo.predict -o FILE.parquet --workers N`: the same as file by file, also if a worker and the command are killed."""

import contextlib
import os
import signal
import sys
import time

import numpy as np
import psutil
import pytest
from PIL import Image
from pyarrow import parquet

from tests import commands
from zoo import predict
from zoo.prediction import batch
from zoobase.errors import MissingError, UsageError

FILES = 12 * batch.PART - 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder whose images are links to ten, one of them not an image."""
    folder = tmp_path_factory.mktemp("many")
    pixels = np.random.default_rng(0).integers(0, 256, (10, 28, 28), np.uint8)
    for i, image in enumerate(pixels):
        Image.fromarray(image).save(folder / f"{i:05d}.png")
    (folder / "00003.png").write_text("not an image")
    for i in range(10, FILES):
        (folder / f"{i:05d}.png").hardlink_to(folder / f"{i % 10:05d}.png")
    return folder


def command(*words):
    return commands.Command("-m", "zoo.predict", *words, merged=True)


def wait_for_parts(out, count, process):
    process.wait_for(lambda: len(list(out.with_name(f"{out.name}.parts").glob("part-*"))) >= count)


def name_of(process):
    try:
        return process.name()
    except psutil.NoSuchProcess:
        return ""


def workers(process):
    for child in psutil.Process(process.pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if "MapWorker" in " ".join(child.cmdline()):
                yield child


@pytest.mark.extended
def test_a_worker_and_the_command_are_killed_and_it_resumes(trained, folder, tmp_path):
    bundle, out = trained("fashion_mnist") / "bundle", tmp_path / "out.parquet"
    words = [bundle, folder / "*.png", "-o", out, "--top-k", 2]
    process = command(*words, "--workers", 2)
    wait_for_parts(out, 1, process)
    next(workers(process)).send_signal(signal.SIGKILL)
    wait_for_parts(out, 3, process)
    children = psutil.Process(process.pid).children(recursive=True)
    of_ray = [child for child in children if "Agent" not in name_of(child)]  # agents end some tens of seconds later
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert psutil.wait_procs(of_ray, timeout=60)[1] == []
    assert not out.exists()

    with pytest.raises(UsageError, match=r"other settings \(top k\)"):
        batch.run(bundle, [str(folder / "*.png")], out, top_k=3)
    process = command(*words, "--workers", 1)
    printed = process.communicate(timeout=300)[0]
    assert process.returncode == 1, printed
    assert f"of {FILES} inputs have no prediction: {out.with_suffix('.errors.csv')}" in printed
    assert f"resuming {out}: " in printed
    assert "Traceback" not in printed
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.errors.csv", "out.parquet"]

    names = sorted(str(path) for path in folder.iterdir())
    expected = predict.run(bundle, names[:10], top_k=2)
    rows = parquet.read_table(out).to_pylist()
    assert len(rows) == 2 * sum(i % 10 != 3 for i in range(FILES))
    assert [row["input"] for row in rows[::2]] == [name for i, name in enumerate(names) if i % 10 != 3]
    for i, row in enumerate(rows):
        other = expected.rows[i % 18]
        assert row["label"] == other["label"]
        assert row["probability"] == pytest.approx(other["probability"], abs=1e-5)
    errors = out.with_suffix(".errors.csv").read_text().splitlines()
    assert errors[:2] == ["input,reason", f"{names[3]},{expected.problems[0]}"]
    assert len(errors) == 1 + sum(i % 10 == 3 for i in range(FILES))


@pytest.mark.extended
@pytest.mark.proof
def test_the_number_of_workers_and_interruptions_do_not_change_a_bit(trained, folder, tmp_path):
    bundle, results = trained("fashion_mnist") / "bundle", []
    for name, count, kills in (("one", 1, 0), ("two", 2, 0), ("killed", 2, 3)):
        out = tmp_path / name / "out.parquet"
        for kill in range(kills):
            process = command(bundle, folder, "-o", out, "--workers", count)
            wait_for_parts(out, 1 + 2 * kill, process)
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        process = command(bundle, folder, "-o", out, "--workers", count)
        printed = process.communicate(timeout=300)[0]
        assert process.returncode == 1, printed
        results.append((out.read_bytes(), out.with_suffix(".errors.csv").read_bytes()))
    assert results[0] == results[1] == results[2]


@pytest.mark.extended
@pytest.mark.proof
def test_memory_does_not_grow_with_the_number_of_files(trained, folder, tmp_path):
    """The largest resident memory of the command, and of a worker, in MB; the names of 90,000 more files are 10 MB."""
    peaks = {}
    for count in (10_000, 100_000):
        files = tmp_path / str(count)
        files.mkdir()
        for i in range(count):
            (files / f"{i:06d}.png").hardlink_to(folder / f"{i % 10:05d}.png")
        process = command(trained("fashion_mnist") / "bundle", files, "-o", files / "out.parquet", "--workers", 2)
        peak = {"command": 0, "worker": 0}
        while process.poll() is None:
            for name, group in (("command", [psutil.Process(process.pid)]), ("worker", workers(process))):
                with contextlib.suppress(psutil.Error):
                    peak[name] = max(peak[name], *(each.memory_info().rss // 10**6 for each in group), 0)
            time.sleep(0.5)
        assert (process.returncode, len(parquet.read_table(files / "out.parquet"))) == (1, 3 * count * 9 // 10)
        peaks[count] = peak
    print(peaks)
    for name, megabytes in peaks[10_000].items():
        assert peaks[100_000][name] < megabytes + 50


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["a.png", "--workers", "2"], "--workers is for many inputs"),
        (["a.png", "-o", "a.csv", "--workers", "2"], "-o FILE.parquet"),
    ],
)
def test_workers_are_for_parquet(trained, words, sentence, capsys):
    with pytest.raises(UsageError, match=sentence):
        predict.main([str(trained("fashion_mnist")), *words], standalone_mode=False)


def test_what_cannot_be_predicted_by_workers(trained, tmp_path, monkeypatch):
    out, run = tmp_path / "out.parquet", trained("fashion_mnist")
    for source, inputs, kind, sentence in (
        ("fashion_mnist", ["a.png"], UsageError, "is a model of the zoo: name a bundle"),
        ("nowhere", ["a.png"], UsageError, "not a run folder"),
        (run, [str(tmp_path)], UsageError, "no image files in"),
        (run, [str(tmp_path / "*.png")], MissingError, "no file matches"),
        (trained("text_rnn"), ["word"], MissingError, "try python -m zoo.sample"),
    ):
        with pytest.raises(kind, match=sentence):
            batch.run(source, inputs, out)
    for other in ("s3://bucket/out.parquet", tmp_path):
        with pytest.raises(UsageError, match="is not a file of this machine"):
            batch.run(run, ["a.png"], other)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingError, match=r"pip install .ray\["):
        batch.run(run, ["a.png"], out)
    assert list(tmp_path.iterdir()) == []
