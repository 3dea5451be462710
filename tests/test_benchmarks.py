"""The benchmark harness: running candidates, ratios, reports and figures; no times are tested."""

import dataclasses
import json
import math
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from benchmarks import benchmark, plots, report, scaling
from benchmarks.__main__ import all_benchmarks
from benchmarks.benchmark import HERE, Benchmark, Candidate, Goal, Score, achieved_ratio, measure
from benchmarks.timing import latency
from benchmarks.timing.time_to_accuracy import AccuracyTimer

BENCHMARK = Benchmark(
    title="Example",
    unit="seconds",
    higher_is_better=False,
    candidates=(Candidate("ours", ""), Candidate("other", ""), Candidate("missing", "")),
    goals=(
        Goal("ours", "other", 3),
        Goal("ours", "other", 2, of="peak MB"),
        Goal("ours", "missing", 1),
        Goal("other", "ours", 0),
    ),
)
SCORES = {
    "ours": Score([1.0, 3.0, 2.0], {"peak MB": 100, "seconds to 94 %": "not reached"}),
    "other": Score([8.0, 8.0, 9.0], {"peak MB": 150}),
    "missing": Score(not_run="not installed"),
}


@pytest.fixture
def saved(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "HERE", tmp_path)
    monkeypatch.setattr(report, "IMAGES", tmp_path / "images")
    monkeypatch.setattr(report, "PAGE", tmp_path / "page.md")
    (tmp_path / "page.md").write_text("Before.\n<!-- benchmarks: x -->\nold\n<!-- /benchmarks -->\nAfter.\n")
    monkeypatch.setattr(report, "LOAD", 7.25)
    report.save("example", BENCHMARK, 3, SCORES)
    return tmp_path


def test_ratios_of_medians_and_of_additional_numbers():
    assert [achieved_ratio(goal, BENCHMARK, SCORES) for goal in BENCHMARK.goals] == [4.0, 1.5, None, 0.25]


def test_results_list_reached_missed_and_not_run(saved):
    text = (saved / "RESULTS.md").read_text()
    assert "ours against other: 4.00 (target 3)." in text
    assert "ours against other: peak MB: **1.50, missed** (target 2)." in text
    assert "other against ours: 0.25." in text
    assert "under other load (load average 7.2 at the start): only ratios are meaningful." in text
    assert "ours against missing: no value (target 1)." in text
    assert "| ours | 2 | 1 to 3, peak MB 100, seconds to 94 % not reached |" in text
    assert "| missing | not run: not installed |" in text
    assert "(../docs/benchmarks/example.png)" in text
    assert (saved / "images" / "example.png").stat().st_size > 5000


def test_the_page_has_a_row_per_goal_between_its_marks(saved):
    before, mark, *rows, end, after = (saved / "page.md").read_text().splitlines()
    assert (before, mark, end, after) == ("Before.", "<!-- benchmarks: x -->", "<!-- /benchmarks -->", "After.")
    assert [[cell.strip() for cell in row.split("|")][2:5] for row in rows[2:6]] == [
        ["ours against other", "3", "4.00"],
        ["ours against other: peak MB", "2", "**1.50, missed**"],
        ["ours against missing", "1", "no value"],
        ["other against ours", "report only", "0.25"],
    ]
    figure = next(row for row in rows if "(benchmarks/example.png)" in row)
    assert re.fullmatch(
        r"\| !\[(.+: .+ of each candidate)\]\(\S+\)<br>\*\1\. `python -m benchmarks example`\.\* \|", figure
    )


def test_a_figure_has_a_bar_per_candidate_and_a_panel_per_number(saved):
    result = json.loads((saved / "results.json").read_text())["example"]
    values, memory = plots.draw(result).axes
    assert [bar.get_width() for bar in values.patches] == [2, 8]
    assert [bar.get_width() for bar in memory.patches] == [100, 150]
    assert [label.get_text() for label in values.get_yticklabels()] == ["ours", "other"]


def test_growth_is_plotted_as_lines_over_size():
    result = {
        "title": "Growth", "unit": "seconds", "higher_is_better": False, "goals": [], "growth": "parameters",
        "machine": report.machine(),
        "contenders": {
            f"{name}, 10^{power}": {"median": power * 1.0, "values": [power], "beside": {"size": 10**power}}
            for name in ("ours", "other") for power in (4, 6, 5)
        },
    }  # fmt: skip
    (axes,) = plots.draw(result).axes
    assert [line.get_label() for line in axes.lines] == ["ours", "other"]
    assert list(axes.lines[0].get_xdata()) == [10**4, 10**5, 10**6]


def test_every_benchmark_has_existing_scripts_and_goals_of_its_candidates():
    for name, suite in all_benchmarks().items():
        names = {candidate.name for candidate in suite.candidates}
        assert len(names) == len(suite.candidates), name
        assert {side for goal in suite.goals for side in (goal.ours, goal.peer)} <= names, name
        scripts = {c.script for c in suite.candidates} | ({suite.prepare} if suite.prepare else set())
        assert all((HERE / script).is_file() for script in scripts), name


def test_each_measured_benchmark_has_its_figure():
    for name in json.loads((HERE / "results.json").read_text()):
        assert name in all_benchmarks()
        assert (report.IMAGES / f"{name}.png").is_file(), name


def test_a_target_that_is_not_reached_is_an_infinite_cost(saved):
    partly = Score([5.0, math.inf, 4.0])
    never = Score([math.inf] * 3, {"best accuracy": 0.91, "seconds to 94 %": math.inf})
    scores = {"ours": Score([1.0, 3.0, 2.0], {"seconds to 94 %": 6.0}), "other": partly, "missing": never}
    goals = (Goal("ours", "other", 2), Goal("ours", "missing", 3, of="seconds to 94 %"), Goal("missing", "ours", 1))
    timed = dataclasses.replace(BENCHMARK, title="Time", goals=(*goals, Goal("missing", "missing", 1)))
    assert [achieved_ratio(goal, timed, scores) for goal in timed.goals] == [2.5, math.inf, 0, None]
    report.save("timed", timed, 3, scores)
    text = (saved / "RESULTS.md").read_text()
    assert "| other | 5 | 4 to not reached |" in text
    never_row = (
        "| missing | not reached | not reached to not reached, best accuracy 0.91, seconds to 94 % not reached |"
    )
    assert never_row in text
    assert "ours against missing: seconds to 94 %: target not reached by the peer (target 3)." in text
    assert "missing against ours: **0.00, missed** (target 1)." in text
    first, _ = plots.draw(json.loads((saved / "results.json").read_text())["timed"]).axes
    assert [note.get_text() for note in first.texts] == ["2", "5", "not reached"]


def test_a_candidate_gets_its_round_and_start_time(tmp_path):
    script = tmp_path / "turn.py"
    script.write_text(
        "import json, os, time\n"
        "turn = int(os.environ['BENCHMARK_TURN'])\n"
        "age = time.time() - float(os.environ['BENCHMARK_STARTED'])\n"
        "print(json.dumps({'value': turn, 'turns': turn, 'age': age}))\n"
    )
    benchmark = Benchmark("", "", True, (Candidate("it", os.path.relpath(script, HERE)),), rounds=2)
    saved = {}
    score = measure(benchmark, print, lambda rounds, scores: saved.update({rounds: list(scores["it"].values)}))["it"]
    assert saved == {1: [0], 2: [0, 1]}, "an interrupted benchmark keeps its finished rounds"
    assert score.values == [0, 1]
    assert score.extra["turns"] == 0.5, "the median of the additional numbers"
    assert 0 < score.extra["age"] < 60


def test_a_candidate_that_cannot_be_installed_is_not_run(tmp_path, monkeypatch):
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text("#!/bin/sh\nexit 1\n")  # as pip does without a package index
    python.chmod(0o755)
    monkeypatch.setattr(benchmark, "PEER_VENV", tmp_path)
    uninstallable = Benchmark(
        "", "", True, (Candidate("it", "ours/command.py", requirements=("torch", "numpy")),), rounds=1
    )
    assert (
        measure(uninstallable, print, lambda rounds, scores: None)["it"].not_run == "pip could not install torch, numpy"
    )


def test_a_profile_counts_operations_only(tmp_path):
    import tensorflow as tf

    from benchmarks import profile_step

    multiply = tf.function(lambda x: tf.linalg.cholesky(tf.matmul(x, x) + 100.0 * tf.eye(64)))
    multiply(tf.eye(64))
    with tf.profiler.experimental.Profile(str(tmp_path)):
        for _ in range(profile_step.STEPS):
            multiply(tf.eye(64))
    kinds = {kind: (time, count) for kind, time, count in profile_step.by_kind(str(tmp_path))}
    assert kinds["Cholesky"][0] > 0
    assert kinds["Cholesky"][1] == pytest.approx(1)
    assert not {"Process", "Run"} & set(kinds)


def test_latency_of_both_batch_sizes(monkeypatch):
    monkeypatch.setenv("BENCHMARK_STARTED", "0")
    monkeypatch.setattr(latency, "TIMES", 20)
    result = latency.measure(lambda: lambda images: np.sqrt(images).sum())
    assert result.keys() == {
        "value",
        "p95 ms, batch 1",
        "p50 ms, batch 32",
        "p95 ms, batch 32",
        "cold start s",
        "peak MB",
    }
    assert 0 < result["value"] <= result["p95 ms, batch 1"]
    assert 0 < result["p50 ms, batch 32"] <= result["p95 ms, batch 32"]
    assert 10 < result["peak MB"] < 100_000


def test_an_artifact_of_a_bundle_is_timed(tmp_path):
    """A small version of `inference`: a real file in the real runner; a missing artifact is reported."""
    import tensorflow as tf

    module = tf.Module()
    pixels = tf.TensorSpec((1, 28, 28, 1), tf.float32, "image")
    module.sums = tf.function(lambda image: {"logits": tf.reduce_sum(image, (1, 2))}, input_signature=[pixels])
    tf.saved_model.save(module, str(tmp_path / "saved"), {"serving_default": module.sums})
    bundle = tmp_path / "inference"
    bundle.mkdir()
    (bundle / "float32.tflite").write_bytes(tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "saved")).convert())
    endpoint = {"name": "serving_default", "inputs": [{"name": "image", "dtype": "float32"}]}
    (bundle / "manifest.json").write_text(json.dumps({"contract": {"endpoints": [endpoint]}}))

    def row(runtime, path):
        variables = {"BENCHMARK_DATA": str(tmp_path), "BENCHMARK_STARTED": "0", "PYTHONPATH": str(HERE.parent)}
        command = [sys.executable, str(HERE / "ours" / "infer.py"), runtime, path]
        process = subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True, check=True)
        return json.loads(process.stdout.splitlines()[-1])

    assert 0 < row("litert", "float32.tflite")["value"] < 1000
    assert "no onnx/model.onnx" in row("onnx", "onnx/model.onnx")["not_run"]


def test_the_timer_records_when_targets_are_reached():
    timer = AccuracyTimer()
    timer.pause()
    timer.record(0.5)
    assert (timer.result()["value"], timer.result()["best accuracy"]) == (math.inf, 0.5)
    timer = AccuracyTimer()
    for accuracy in (0.90, 0.93, 0.91):
        timer.pause()
        assert not timer.record(accuracy)
    result = timer.result()
    assert 0 < result["value"] <= result["seconds in all"]
    assert result["seconds to 94%"] == math.inf
    assert (result["epochs"], result["best accuracy"]) == (3, 0.93)
    timer.pause()
    assert timer.record(0.95)
    assert math.isclose(timer.result()["seconds to 94%"], timer.seconds)


def test_alternatives_run_with_their_own_defaults(tmp_path, monkeypatch):
    """Our own oneDNN setting is not passed on unless the benchmark sets it."""
    monkeypatch.setattr(benchmark, "HERE", tmp_path)
    (tmp_path / "peer.py").write_text(
        "import json, os; print(json.dumps({'value': int(os.environ.get('TF_ENABLE_ONEDNN_OPTS', -1))}))"
    )
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "1")
    assert benchmark._run(Candidate("peer", "peer.py"), 0)["value"] == -1
    assert benchmark._run(Candidate("peer", "peer.py", environment={"TF_ENABLE_ONEDNN_OPTS": "0"}), 0)["value"] == 0


def test_the_cost_model_is_what_the_page_says():
    results = json.loads(scaling.RESULTS.read_text())
    assert (
        scaling.text(results)
        == scaling.BLOCK.search(scaling.PAGE.read_text())[0].split("\n", 1)[1].rpartition("<!--")[0]
    )
    assert scaling.FIGURE.is_file()
    assert results.keys() == {"machine", *scaling.MODES}


def test_the_cost_model_sums_its_parts():
    costs = scaling.Costs(step=(0.0, 1.0), bytes=0, latency=0.0, bandwidth=1.0, read=0.0, augment=0.0)
    assert scaling.efficiency(costs, 1024) == scaling.efficiency(costs, 64, batch=4096) == 1
    ring = dataclasses.replace(costs, bytes=600, latency=3.0, bandwidth=100.0)
    assert ring.seconds(3, 30) == pytest.approx(10 + 4 * (3 + 600 / 3 / 100))  # four messages of a third
    reads = dataclasses.replace(costs, read=0.5)
    assert reads.seconds(4, 40) == 10 + 20  # every worker reads the whole batch
    assert [scaling.efficiency(reads, n) for n in (1, 2)] == [1, pytest.approx(1.5 / 2)]
