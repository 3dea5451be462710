"""LiteRT's GPU kernels on a driver for processors: the graphs of users' reports, and what is said of each."""

import dataclasses
import json

import keras
import numpy as np
import pytest

import export
from export.artifacts.equivalence import compare
from export.artifacts.repairs import repair
from export.contract import Contract
from export.runners import RUNTIMES, members
from export.versions.flips import flips
from tests.export import tiny_graphs as graphs
from tests.export.test_cli import run
from tests.plugins.tiers import only
from zoobase.errors import CheckFailed, ExportError

pytestmark = pytest.mark.needs("mesa-vulkan-drivers")
FULL, HALF = "litert_gpu", "litert_gpu_half"
ALIASED = "ADD (t2) is wrong only where its result is an output and an input of another operator, SUM"
SAMPLES = {  # mean, deviation and shape of real inputs
    graphs.arg_max_of_five: (-9, 1, 6, 6, 5),
    graphs.large_sum: (3000, 10, 8, 8, 4),
    graphs.sum_that_is_scaled: (3000, 10, 8, 8, 4),
    graphs.root_mean_square: (0, 800, 1, 4, 16),
}
NOT_REPAIRED = (graphs.large_sum, graphs.root_mean_square, graphs.top_k_of_five, graphs.arg_max_of_five)
RIGHT = {FULL: "same", HALF: "same, quantised"}
WRONG = {  # what is said in float32, and in half precision; None of what is right
    graphs.pad_of_rank_3: ("operator that differs is PAD", "operator that differs is PAD"),
    graphs.pad_of_rank_4: (None, None),
    graphs.output_that_is_consumed: (ALIASED, ALIASED),
    graphs.large_sum: (None, "operator that differs is SUM (t2), by "),
    graphs.control: (None, None),
    graphs.constant_of_another_rank: ("operator that differs is ADD", "operator that differs is ADD"),
    graphs.root_mean_square: (None, "operator that differs is SQUARE"),
    graphs.top_k_of_five: ("operator that differs is TOPK_V2", "operator that differs is TOPK_V2"),
    graphs.arg_max_of_five: ("operator that differs is ARG_MAX", "operator that differs is ARG_MAX"),
}
FIVE = list(WRONG)[:5]  # of the issue
TO_REPAIR = only([*WRONG, graphs.sum_that_is_scaled], (), set(WRONG) - {graphs.pad_of_rank_3})


def samples_of(graph):
    """Return real inputs of a graph for which generated ones show nothing, or None."""
    if graph not in SAMPLES:
        return None
    mean, deviation, *shape = SAMPLES[graph]
    return {"t0": np.random.default_rng(0).normal(mean, deviation, (8, *shape)).astype("float32")}


@pytest.mark.parametrize("half", [False, True], ids=["float32", "half"])
@pytest.mark.parametrize(
    "graph",
    only(WRONG, FIVE, {graphs.root_mean_square, graphs.arg_max_of_five, graphs.top_k_of_five}),
    ids=lambda graph: graph.__name__,
)
def test_a_graph_that_gpus_get_wrong_is_named_with_its_operator(graph, half, tmp_path):
    file = graphs.write(graph, tmp_path / "graph.tflite")
    assert file.stat().st_size < (700 if graph in FIVE else 1000)
    result = compare(file, file, runtimes=("cpu", HALF if half else "gpu"), samples=samples_of(graph))
    expected = WRONG[graph][half]
    if expected is None:
        assert result.findings == []
        assert result.verdict == ("same, quantised" if half else "same")
        return
    assert result.verdict == "different"
    assert expected in result.findings[-1]
    if graph is graphs.top_k_of_five:
        assert "litert_gpu: LiteRT reports: TopK requires src tensor C dimension" in result.notes[0].replace(HALF, FULL)
    if not WRONG[graph][0]:
        assert result.findings[-1].endswith(", and half precision ends at 65,504")


def test_operators_that_the_gpu_refuses_are_named(tmp_path):
    whole = graphs.write(graphs.broadcast, tmp_path / "whole.tflite")
    with pytest.raises(CheckFailed, match="the GPU refuses every operator: BROADCAST_TO: Operation is not supported"):
        compare(whole, whole, runtimes=("cpu", "gpu"))
    part = graphs.write(graphs.partly_refused, tmp_path / "part.tflite")
    result = compare(part, part, runtimes=("cpu", "gpu"))
    assert result.verdict == "same"
    text = "litert_gpu: 2 operators run on the processor, 1 on the GPU: DIV: No support of few identical inputs"
    assert [note for note in result.notes if note.startswith(text)]


FORGETFUL = """
import runpy
module = runpy.run_path(RUNNER)
original, calls = module["Model"].call, []
def call(self, endpoint, inputs):
    calls.append(inputs["t0"].tobytes())
    is_wrong = CONDITION
    return {k: v + is_wrong for k, v in original(self, endpoint, inputs).items()}
module["Model"].call = call
module["runner"].main(module["RUNTIME"])
"""


@pytest.mark.parametrize(
    "condition", ["calls.count(calls[-1]) > 20", "calls.count(calls[-1]) > 2 and len({*map(len, calls)}) > 2"]
)
def test_a_call_that_is_not_like_the_first_is_found(condition, tmp_path, monkeypatch):
    """LiteRT #8065: the first calls are right, later ones, or those behind other batch sizes, are not."""
    file = graphs.write(graphs.of_any_batch, tmp_path / "graph.tflite")
    runner = tmp_path / "forgetful.py"
    runner.write_text(FORGETFUL.replace("RUNNER", repr(RUNTIMES[FULL].file)).replace("CONDITION", condition))
    monkeypatch.setitem(RUNTIMES, FULL, dataclasses.replace(RUNTIMES[FULL], file=str(runner)))
    result = compare(file, file, runtimes=("cpu", FULL))
    assert result.verdict == "not repeatable"
    assert "of the same inputs returns another t2 than the first" in result.findings[0]


def test_the_command_compares_one_file_in_two_runtimes(tmp_path):
    file = graphs.write(graphs.pad_of_rank_3, tmp_path / "graph.tflite")
    process = run("compare", file, file, "--runtime", "cpu,gpu", "--json")
    assert process.returncode == 1
    assert "PAD" in json.loads(process.stdout)["findings"][-1]
    for text, message in {
        "cpu": "1 runtimes are named",
        "cpu,cuda": "unknown runtime 'cuda'",
        "cpu,openvino": "not run",
    }.items():
        with pytest.raises(ExportError, match=message):
            compare(file, file, runtimes=text.split(","))


def test_a_bundle_on_the_gpu(bundles):
    certificate = export.verify_bundle(bundles("functional_cnn").path, runtimes=[FULL, HALF], require=[FULL, HALF])
    rows = [row for row in certificate.rows if row.runtime in (FULL, HALF)]
    assert [(row.runtime, row.state, row.extra) for row in rows] == [(FULL, "pass", False), (HALF, "pass", False)]
    assert certificate.verdict == "pass"
    state = certificate.environment["confinement"]
    assert state["landlock"] > 0
    assert not state["network"]
    (figures,) = rows[1].endpoints.values()
    assert min(f["sqnr_db"] for f in figures["quantised"].values()) > 40


def wrong_on_the_gpu():
    """Return a model one of whose outputs is consumed, and a file of which a GPU computes wrongly."""
    inputs = [keras.Input((4, 4, 4), name=name) for name in ("x", "z")]
    total = keras.layers.Add(name="total")(inputs)
    return keras.Model(inputs, {"total": total, "sum": keras.ops.sum(total, axis=(1, 2, 3), keepdims=True)})


@pytest.mark.extended
def test_a_bundle_that_is_wrong_on_the_gpu_fails_where_the_gpu_is_required(tmp_path):
    extras = export.Checks(extras=(FULL, HALF))
    bundle = export.export_model(wrong_on_the_gpu(), tmp_path / "bundle", formats=("tflite",), checks=extras)
    rows = {row.runtime: row for row in bundle.certificate.rows}
    assert (bundle.certificate.verdict, rows[FULL].state) == ("pass", "fail"), "an extra blames nothing"
    assert rows[FULL].reason.endswith(
        "is wrong only where its result is an output and an input of another operator, SUM"
    )
    text = (bundle.path / "DEVICES.md").read_text()
    assert "- `tflite/float32.tflite` in half precision, `litert_gpu_half` (LiteRT GPU 2." in text
    assert "): fail: endpoint serving_default: " in text
    assert "nor an NPU. Not run: `browser_webgpu`." in text
    certificate = export.verify_bundle(bundle.path, runtimes=[FULL, HALF], require=[FULL, HALF])
    assert (certificate.verdict, len(certificate.problems())) == ("fail", 2)


def test_groups_and_what_is_not_installed(bundles, monkeypatch):
    assert members(["gpu", "litert"], ["tflite"]) == [FULL, HALF, "browser_webgpu", "litert"]
    assert members(["gpu"], ["hdf5"]) == ["gpu"]
    for name in (FULL, HALF):
        monkeypatch.setitem(RUNTIMES, name, dataclasses.replace(RUNTIMES[name], probe=lambda: None))
    certificate = export.verify_bundle(bundles("functional_cnn").path, runtimes=[FULL, HALF], require=["gpu"])
    assert certificate.verdict == "incomplete"
    assert certificate.problems()[0].endswith(f"{FULL} is not installed; apt-get install mesa-vulkan-drivers")


@pytest.mark.parametrize("graph", TO_REPAIR, ids=lambda graph: graph.__name__)
def test_what_is_wrong_is_rewritten_or_named(graph, tmp_path, monkeypatch):
    old, new = graphs.write(graph, tmp_path / "old.tflite"), tmp_path / "new.tflite"
    monkeypatch.setenv("CHROMIUM", "/nowhere/chromium")  # the browser repeats litert_gpu
    result = repair(old, new, samples=samples_of(graph))
    expected = WRONG.get(graph, (None, "SUM"))
    wrong = {name for name, text in zip((FULL, HALF), expected, strict=True) if text}
    assert {name for name, comparison in result.before.items() if comparison.exit_code} == wrong
    if graph in NOT_REPAIRED:
        assert (result.repairs, new.exists()) == ([], False)
        assert {text.partition(":")[0] for text in result.left} == wrong
        assert expected[1] in result.left[-1]
    elif wrong:
        assert (len(result.repairs), result.left) == (1, [])
        assert {name: comparison.verdict for name, comparison in result.after.items()} == RIGHT
    else:
        assert (result.repairs, result.left) == ([], [])


@pytest.mark.extended
def test_the_command_repairs_the_files_of_a_bundle(tmp_path, monkeypatch):
    monkeypatch.setenv("CHROMIUM", "/nowhere/chromium")
    export.export_model(wrong_on_the_gpu(), tmp_path / "bundle", formats=("tflite", "keras"))
    process = run("repair", tmp_path / "bundle", "-o", tmp_path / "new", "--json")
    assert process.returncode == 0, process.stderr
    (result,) = json.loads(process.stdout)
    assert (set(result["before"].values()), result["after"]) == ({"different"}, RIGHT)
    assert (tmp_path / "new" / "float32.tflite").is_file()
    with pytest.raises(ExportError, match="only TFLite files are repaired"):
        repair(tmp_path / "bundle" / "model.keras", tmp_path / "new.keras")


NOISY = """
import runpy
import numpy as np
module = runpy.run_path(RUNNER)
original, random = module["Model"].call, np.random.default_rng(0)
def call(self, endpoint, inputs):
    outputs = original(self, endpoint, inputs)
    return {k: v + random.normal(0, NOISE, v.shape).astype(v.dtype) for k, v in outputs.items()}
module["Model"].call = call
module["runner"].main(module["RUNTIME"])
"""


@pytest.mark.extended
def test_decisions_that_depend_on_the_runtime(tmp_path, bundles, monkeypatch):
    path = bundles("functional_cnn").path
    (tensor,) = Contract.from_json(json.loads((path / "manifest.json").read_text())["contract"]).endpoints[0].inputs
    data = {tensor.name: np.random.default_rng(0).uniform(0, 255, (200, *tensor.shape[1:])).astype(tensor.dtype)}
    found = flips(path, data, ("cpu", FULL))
    assert (found["reference"], found["flips"], found["threshold"], found["flips_above"]) == (
        "litert",
        {FULL: 0},
        0.0,
        0,
    )
    assert 90 <= found["checked"] <= 110
    runner = tmp_path / "noisy.py"
    runner.write_text(NOISY.replace("RUNNER", repr(RUNTIMES[FULL].file)).replace("NOISE", "0.05"))
    monkeypatch.setitem(RUNTIMES, FULL, dataclasses.replace(RUNTIMES[FULL], file=str(runner)))
    noisy = flips(path, data, ("cpu", FULL))
    assert noisy["flips"][FULL] == len(noisy["examples"]) > 2
    assert 0 < noisy["threshold"] < 0.5
    assert noisy["flips_above"] < noisy["flips"][FULL]
    for across, message in {("cpu",): "two runtimes or more", ("cpu", "gpus"): "unknown runtime 'gpus'"}.items():
        with pytest.raises(ExportError, match=message):
            flips(path, data, across)
    for name in (FULL, HALF, "browser_webgpu"):  # a group is those of it that are installed
        monkeypatch.setitem(RUNTIMES, name, dataclasses.replace(RUNTIMES[name], probe=lambda: None))
    with pytest.raises(ExportError, match="two runtimes or more that are installed"):
        flips(path, data, ("cpu", "gpu"))
    with pytest.raises(ExportError, match="returns scores of classes"):
        flips(path, {"other": data[tensor.name]}, ("cpu", FULL))
