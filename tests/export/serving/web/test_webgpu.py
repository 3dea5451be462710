"""LiteRT.js' WebGPU kernels in headless Chromium, on its driver for processors: the graphs of users' reports."""

import dataclasses

import pytest

from export import verify_bundle
from export.artifacts.equivalence import compare
from export.runners import RUNTIMES
from tests.export import tiny_graphs as graphs
from tests.export.conftest import row_of
from tests.export.runners.test_litert_gpu import samples_of
from tests.plugins.tiers import only
from zoobase.errors import CheckFailed

pytestmark = [pytest.mark.extended, pytest.mark.usefixtures("browser", "litert")]
BROWSER = "browser_webgpu"
WRONG = {  # what is said of them; None of what is right
    graphs.of_any_batch: None,
    graphs.pad_of_rank_3: "the first operator that differs is PAD",
    graphs.output_that_is_consumed: "ADD (t2) is wrong only where its result is an output and an input of another",
    graphs.control: None,
    graphs.pad_of_rank_4: None,
    graphs.large_sum: None,
    graphs.constant_of_another_rank: "the first operator that differs is ADD",
    graphs.root_mean_square: None,
    graphs.arg_max_of_five: "the first operator that differs is ARG_MAX",
}


@pytest.mark.parametrize("graph", only(WRONG, list(WRONG)[:3], WRONG), ids=lambda graph: graph.__name__)
def test_a_graph_that_gpus_get_wrong_is_named_with_its_operator(graph, tmp_path):
    file = graphs.write(graph, tmp_path / "graph.tflite")
    result = compare(file, file, runtimes=("cpu", BROWSER), samples=samples_of(graph))
    assert result.verdict == ("different" if WRONG[graph] else "same")
    if WRONG[graph]:
        assert WRONG[graph] in result.findings[-1]


def test_operators_that_the_gpu_refuses_are_named(tmp_path):
    whole = graphs.write(graphs.broadcast, tmp_path / "whole.tflite")
    with pytest.raises(CheckFailed, match="the GPU refuses every operator: BROADCAST_TO: Operation is not supported"):
        compare(whole, whole, runtimes=("cpu", BROWSER))
    part = graphs.write(graphs.partly_refused, tmp_path / "part.tflite")
    result = compare(part, part, runtimes=("cpu", BROWSER))
    assert result.verdict == "same"
    text = "2 operators run on the processor, 1 on the GPU: DIV: No support of few identical inputs"
    assert result.notes[0].startswith(f"{BROWSER}: {text}")


FORGETFUL = """
import runpy
module = runpy.run_path(RUNNER)
original, calls = module["Browser"].call, []
def call(self, model, endpoint, inputs):
    answer = original(self, model, endpoint, inputs)
    calls.append(b"".join(value.tobytes() for value in inputs.values()))
    for output in answer["outputs"].values():
        output["data"] = "A" * 8 + output["data"][8:] if calls.count(calls[-1]) > 20 else output["data"]
    return answer
module["Browser"].call = call
module["runner"].main(module["WEBGPU"])
"""


def test_a_call_that_is_not_like_the_first_is_found(tmp_path, monkeypatch):
    """LiteRT #8065: LiteRT.js is right in the first call only."""
    file, runner = graphs.write(graphs.control, tmp_path / "graph.tflite"), tmp_path / "forgetful.py"
    runner.write_text(FORGETFUL.replace("RUNNER", repr(RUNTIMES[BROWSER].file)))
    monkeypatch.setitem(RUNTIMES, BROWSER, dataclasses.replace(RUNTIMES[BROWSER], file=str(runner)))
    result = compare(file, file, runtimes=("cpu", BROWSER))
    assert result.verdict == "not repeatable"
    assert "of the same inputs returns another t2 than the first" in result.findings[0]


def test_a_bundle_in_webgpu(bundles):
    certificate = verify_bundle(bundles("two_by_two").path, runtimes=[BROWSER], require=[BROWSER])
    row = row_of(certificate, runtime=BROWSER)
    assert (certificate.verdict, row.state, row.extra) == ("pass", "pass", False)
    assert set(row.versions) == {"chromium", "@litertjs/core", "@litertjs/wasm-utils"}
