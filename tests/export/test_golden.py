"""Golden inputs: legal where they are judged, and stored without pickle."""

from __future__ import annotations

import numpy as np
import pytest

from export.contract import Endpoint, Tensor
from export.errors import ExportError
from export.golden import EXTREMES, cases_for
from export.runners.protocol import in_batches, pack, unpack

TENSORS = (
    Tensor("image", "uint8", (None, 8, 8, 3), "image", 0, 255),
    Tensor("picture", "float32", (None, None, None, 1), "image", 0, 1),
    Tensor("tokens", "int32", (None, None), "token", 0, 9),
    Tensor("words", "int64", (None, 4), "token", 2, 5),
    Tensor("noise", "float32", (None, 3), "noise"),
    Tensor("state", "float32", (None, 3), "state"),
    Tensor("age", "float32", (None, 1), low=18, high=99),
    Tensor("kind", "string", (None,), "category", vocabulary=("a", "b")),
    Tensor("text", "string", (None,), "text"),
    Tensor("file", "string", (None,), "encoded_image"),
    Tensor("flag", "bool", (None, 2)),
)


@pytest.mark.parametrize("tensor", TENSORS, ids=lambda t: t.name)
@pytest.mark.parametrize("batch", [None, 1, 2])
def test_judged_cases_are_legal(tensor, batch):
    endpoint = Endpoint("e", (tensor,), (), batch=batch)
    for case in cases_for(endpoint):
        value = case.inputs[tensor.name]
        assert value.ndim == len(tensor.shape)
        assert value.dtype == (object if tensor.dtype == "string" else tensor.dtype)
        assert batch is None or len(value) % batch == 0
        if tensor.vocabulary:
            assert {v.decode() for v in value} <= set(tensor.vocabulary)
        if case.judged and tensor.dtype != "string":
            assert np.isfinite(value).all()
            assert tensor.low is None or value.min() >= tensor.low
            assert tensor.high is None or value.max() <= tensor.high


def test_extremes_reach_the_ends():
    tokens = next(c for c in cases_for(Endpoint("e", (TENSORS[3],), ())) if c.rows).inputs["words"]
    assert (tokens.min(), tokens.max()) == (2, 5)
    case = next(c for c in cases_for(Endpoint("e", (TENSORS[4],), ())) if c.rows)
    assert case.rows == EXTREMES
    assert 0 < case.inputs["noise"][-1, 0] < 1e-38


def test_cases_are_the_same_every_time():
    endpoint = Endpoint("e", TENSORS, ())
    for a, b in zip(cases_for(endpoint), cases_for(endpoint), strict=True):
        assert a.name == b.name
        for name in a.inputs:
            np.testing.assert_array_equal(a.inputs[name], b.inputs[name])


def test_undefined_cases_are_not_judged():
    cases = {c.name: c for c in cases_for(Endpoint("e", (TENSORS[4],), ()))}
    assert not any(cases[name].judged for name in ("empty", "nan", "infinity"))
    assert np.isnan(cases["nan"].inputs["noise"]).any()
    assert len(cases["empty"].inputs["noise"]) == 0
    assert "empty" not in {c.name for c in cases_for(Endpoint("e", (TENSORS[4],), (), batch=1))}


def test_samples_come_first_and_must_fit():
    endpoint = Endpoint("e", (TENSORS[4], TENSORS[5]), ())
    samples = {"noise": np.arange(30).reshape(10, 3)}
    case = cases_for(endpoint, samples)[0]
    assert (case.name, len(case.inputs["noise"]), len(case.inputs["state"])) == ("real", 8, 8)
    np.testing.assert_array_equal(case.inputs["noise"], samples["noise"][:8])
    with pytest.raises(ExportError, match=r"samples of input noise have shape \(10, 4\)"):
        cases_for(endpoint, {"noise": np.ones((10, 4))})


def test_strings_survive_with_nul_and_without_pickle(tmp_path):
    words = np.array([[b"a\0", b""], ["ü".encode(), b"\0\0"]], object)
    packed = pack({"x/words": words, "x/numbers": np.arange(3)})
    np.savez(tmp_path / "a.npz", allow_pickle=False, **packed)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as stored:
        back = unpack(stored)
    np.testing.assert_array_equal(back["x/words"], words)
    np.testing.assert_array_equal(back["x/numbers"], np.arange(3))


def test_in_batches_joins_what_it_split():
    seen = []

    def function(inputs):
        seen.append(len(inputs["x"]))
        return {"y": inputs["x"] * 2}

    np.testing.assert_array_equal(in_batches(function, {"x": np.arange(6)}, 2)["y"], np.arange(6) * 2)
    assert seen == [2, 2, 2]
    for rows in (0, 5):
        with pytest.raises(ValueError, match="rows cannot be run 2 at a time"):
            in_batches(function, {"x": np.arange(rows)}, 2)
