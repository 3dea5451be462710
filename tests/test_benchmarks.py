"""The harness judges, draws and writes what it was told; no timing is a test."""

import dataclasses
import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest

from benchmarks import benchmark, plots, report
from benchmarks.__main__ import works
from benchmarks.benchmark import HERE, Contender, Goal, Score, Work, measure, reached
from benchmarks.timing import latency
from benchmarks.timing.time_to_accuracy import Race

WORK = Work(
    title="A walk",
    unit="seconds",
    higher_is_better=False,
    contenders=(Contender("us", ""), Contender("them", ""), Contender("lame", "")),
    goals=(
        Goal("us", "them", 3),
        Goal("us", "them", 2, of="peak MB"),
        Goal("us", "lame", 1),
        Goal("them", "us", 0),
    ),
)
SCORES = {
    "us": Score([1.0, 3.0, 2.0], {"peak MB": 100, "seconds to 94 %": "not reached"}),
    "them": Score([8.0, 8.0, 9.0], {"peak MB": 150}),
    "lame": Score(not_run="not installed"),
}


@pytest.fixture
def saved(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "HERE", tmp_path)
    monkeypatch.setattr(report, "PICTURES", tmp_path / "pictures")
    monkeypatch.setattr(report, "README", tmp_path / "README.md")
    (tmp_path / "README.md").write_text("Before.\n<!-- benchmarks: x -->\nold\n<!-- /benchmarks -->\nAfter.\n")
    monkeypatch.setattr(report, "LOAD", 7.25)
    report.save("walk", WORK, 3, SCORES)
    return tmp_path


def test_goals_are_judged_by_medians_and_by_what_stands_beside():
    assert [reached(goal, WORK, SCORES) for goal in WORK.goals] == [4.0, 1.5, None, 0.25]


def test_results_say_what_was_reached_missed_and_not_run(saved):
    text = (saved / "RESULTS.md").read_text()
    assert "us against them: 4.00 (to reach 3)." in text
    assert "us against them: peak MB: **1.50, missed** (to reach 2)." in text
    assert "them against us: 0.25." in text
    assert "other work was running (load 7.2 before this began): trust ratios only." in text
    assert "us against lame: no figure (to reach 1)." in text
    assert "| us | 2 | 1 to 3, peak MB 100, seconds to 94 % not reached |" in text
    assert "| lame | not run: not installed |" in text
    assert "(../docs/benchmarks/walk.png)" in text
    assert (saved / "pictures" / "walk.png").stat().st_size > 5000


def test_the_readme_shows_each_goal_between_its_marks(saved):
    before, mark, *rows, end, after = (saved / "README.md").read_text().splitlines()
    assert (before, mark, end, after) == ("Before.", "<!-- benchmarks: x -->", "<!-- /benchmarks -->", "After.")
    assert [[cell.strip() for cell in row.split("|")][2:5] for row in rows[2:6]] == [
        ["us against them", "3", "4.00"],
        ["us against them: peak MB", "2", "**1.50, missed**"],
        ["us against lame", "1", "no figure"],
        ["them against us", "tell", "0.25"],
    ]
    assert "| ![walk](docs/benchmarks/walk.png) |" in rows


def test_a_picture_has_a_bar_for_who_ran_and_a_panel_for_what_is_judged(saved):
    result = json.loads((saved / "results.json").read_text())["walk"]
    values, memory = plots.draw(result).axes
    assert [bar.get_width() for bar in values.patches] == [2, 8]
    assert [bar.get_width() for bar in memory.patches] == [100, 150]
    assert [label.get_text() for label in values.get_yticklabels()] == ["us", "them"]


def test_growth_is_drawn_as_lines_over_size():
    result = {
        "title": "Growth", "unit": "seconds", "higher_is_better": False, "goals": [], "growth": "parameters",
        "machine": report.machine(),
        "contenders": {
            f"{who}, 10^{power}": {"median": power * 1.0, "values": [power], "beside": {"size": 10**power}}
            for who in ("us", "them") for power in (4, 6, 5)
        },
    }  # fmt: skip
    (axes,) = plots.draw(result).axes
    assert [line.get_label() for line in axes.lines] == ["us", "them"]
    assert list(axes.lines[0].get_xdata()) == [10**4, 10**5, 10**6]


def test_every_work_names_scripts_that_are_there_and_goals_of_its_contenders():
    for name, one in works().items():
        names = {contender.name for contender in one.contenders}
        assert len(names) == len(one.contenders), name
        assert {who for goal in one.goals for who in (goal.ours, goal.peer)} <= names, name
        scripts = {c.script for c in one.contenders} | ({one.prepare} if one.prepare else set())
        assert all((HERE / script).is_file() for script in scripts), name


def test_each_measured_work_has_its_picture():
    for name in json.loads((HERE / "results.json").read_text()):
        assert name in works()
        assert (report.PICTURES / f"{name}.png").is_file(), name


def test_who_never_arrives_is_named_and_beaten(saved):
    late = Score([5.0, math.inf, 4.0])
    never = Score([math.inf] * 3, {"best accuracy": 0.91, "seconds to 94 %": math.inf})
    scores = {"us": Score([1.0, 3.0, 2.0], {"seconds to 94 %": 6.0}), "them": late, "lame": never}
    goals = (Goal("us", "them", 2), Goal("us", "lame", 3, of="seconds to 94 %"), Goal("lame", "us", 1))
    race = dataclasses.replace(WORK, title="Race", goals=(*goals, Goal("lame", "lame", 1)))
    assert [reached(goal, race, scores) for goal in race.goals] == [2.5, math.inf, 0, None]
    report.save("race", race, 3, scores)
    text = (saved / "RESULTS.md").read_text()
    assert "| them | 5 | 4 to never |" in text
    assert "| lame | never | never to never, best accuracy 0.91, seconds to 94 % never |" in text
    assert "us against lame: seconds to 94 %: the peer never did (to reach 3)." in text
    assert "lame against us: **0.00, missed** (to reach 1)." in text
    first, _ = plots.draw(json.loads((saved / "results.json").read_text())["race"]).axes
    assert [note.get_text() for note in first.texts] == [" 2", " 5", " never"]


def test_a_contender_knows_its_turn_and_its_start(tmp_path):
    script = tmp_path / "turn.py"
    script.write_text(
        "import json, os, time\n"
        "turn = int(os.environ['BENCHMARK_TURN'])\n"
        "age = time.time() - float(os.environ['BENCHMARK_STARTED'])\n"
        "print(json.dumps({'value': turn, 'turns': turn, 'age': age}))\n"
    )
    told = Work("", "", True, (Contender("it", os.path.relpath(script, HERE)),), rounds=2)
    kept = {}
    score = measure(told, print, lambda rounds, scores: kept.update({rounds: list(scores["it"].values)}))["it"]
    assert kept == {1: [0], 2: [0, 1]}, "a work that is killed keeps the rounds it had"
    assert score.values == [0, 1]
    assert score.beside["turns"] == 0.5, "the median of what stands beside the values"
    assert 0 < score.beside["age"] < 60


def test_a_peer_that_cannot_be_installed_is_not_run(tmp_path, monkeypatch):
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text("#!/bin/sh\nexit 1\n")  # as pip does without a package index
    python.chmod(0o755)
    monkeypatch.setattr(benchmark, "PEER_VENV", tmp_path)
    lonely = Work("", "", True, (Contender("it", "ours/command.py", requirements=("torch", "numpy")),), rounds=1)
    assert measure(lonely, print, lambda rounds, scores: None)["it"].not_run == "pip could not install torch, numpy"


def test_a_profile_counts_operations_and_no_methods_of_the_runtime(tmp_path):
    import tensorflow as tf

    from benchmarks import profile_step

    multiply = tf.function(lambda x: tf.linalg.cholesky(tf.matmul(x, x) + 100.0 * tf.eye(64)))
    multiply(tf.eye(64))
    with tf.profiler.experimental.Profile(str(tmp_path)):
        for _ in range(profile_step.STEPS):
            multiply(tf.eye(64))
    found = {kind: (spent, count) for kind, spent, count in profile_step.by_kind(str(tmp_path))}
    assert found["Cholesky"][0] > 0
    assert found["Cholesky"][1] == pytest.approx(1)
    assert not {"Process", "Run"} & set(found)


def test_latency_tells_of_both_batches(monkeypatch):
    monkeypatch.setenv("BENCHMARK_STARTED", "0")
    monkeypatch.setattr(latency, "TIMES", 20)
    told = latency.told(lambda: lambda images: np.sqrt(images).sum())
    assert told.keys() == {
        "value",
        "p95 ms, batch 1",
        "p50 ms, batch 32",
        "p95 ms, batch 32",
        "cold start s",
        "peak MB",
    }
    assert 0 < told["value"] <= told["p95 ms, batch 1"]
    assert 0 < told["p50 ms, batch 32"] <= told["p95 ms, batch 32"]
    assert 10 < told["peak MB"] < 100_000


def test_an_artifact_of_a_bundle_is_timed(tmp_path):
    """A tiny row of `inference`: a real file in the real runner; what the bundle does not hold is said."""
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
        told = {"BENCHMARK_DATA": str(tmp_path), "BENCHMARK_STARTED": "0", "PYTHONPATH": str(HERE.parent)}
        words = [sys.executable, str(HERE / "ours" / "infer.py"), runtime, path]
        done = subprocess.run(words, env={**os.environ, **told}, capture_output=True, text=True, check=True)
        return json.loads(done.stdout.splitlines()[-1])

    assert 0 < row("litert", "float32.tflite")["value"] < 1000
    assert "no onnx/model.onnx" in row("onnx", "onnx/model.onnx")["not_run"]


def test_a_race_says_what_was_reached_and_when():
    race = Race()
    for accuracy in (0.90, 0.93, 0.91):
        race.pause()
        assert not race.judge(accuracy)
    told = race.told()
    assert 0 < told["value"] <= told["seconds in all"]
    assert told["seconds to 94%"] == math.inf
    assert (told["epochs"], told["best accuracy"]) == (3, 0.93)
    race.pause()
    assert race.judge(0.95)
    assert math.isclose(race.told()["seconds to 94%"], race.seconds)


def test_a_race_that_reaches_nothing_lasts_for_ever():
    race = Race()
    race.pause()
    race.judge(0.5)
    assert race.told()["value"] == math.inf
    assert race.told()["best accuracy"] == 0.5


def test_peers_run_as_their_users_have_them(tmp_path, monkeypatch):
    """We turn oneDNN on for ourselves; whoever is compared with us is not given it unless the benchmark says so."""
    monkeypatch.setattr(benchmark, "HERE", tmp_path)
    (tmp_path / "peer.py").write_text(
        "import json, os; print(json.dumps({'value': int(os.environ.get('TF_ENABLE_ONEDNN_OPTS', -1))}))"
    )
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "1")
    assert benchmark._once(Contender("peer", "peer.py"), 0)["value"] == -1
    assert benchmark._once(Contender("peer", "peer.py", environment={"TF_ENABLE_ONEDNN_OPTS": "0"}), 0)["value"] == 0
