"""Golden inputs: legal where they are compared, every value of a table among them, stored without pickle."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from export.contract import Contract, Endpoint, Tensor
from export.contract.sampling import EXTREMES, TEXTS
from export.parity import recurrent_steps
from export.parity.cases import GoldenCase, read_golden, write_golden
from export.parity.distance import max_row_error
from export.parity.golden import cases_for
from export.parity.noise_floor import Policy
from export.proof.table_search import capacity_of, choices_of, drawn_choices, packed_values
from export.protocol.arrays import Outputs, pack, unpack
from export.protocol.calls import feature_scales, in_batches, in_steps, perturb, run_endpoint
from zoobase.errors import ExportError

TENSORS = (
    Tensor("image", "uint8", (None, 8, 8, 3), "image", 0, 255),
    Tensor("any_size", "float32", (None, None, None, 1), "image", 0, 1),
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
def test_compared_cases_are_legal(tensor, batch):
    endpoint = Endpoint("e", (tensor,), (), batch=batch)
    for case in cases_for(endpoint):
        value = case.inputs[tensor.name]
        assert value.ndim == len(tensor.shape)
        assert value.dtype == (object if tensor.dtype == "string" else tensor.dtype)
        assert batch is None or len(value) % batch == 0
        if tensor.vocabulary:
            assert {v.decode() for v in value} <= set(tensor.vocabulary)
        if case.compared and tensor.dtype != "string":
            assert np.isfinite(value).all()
            assert tensor.low is None or value.min() >= tensor.low
            assert tensor.high is None or value.max() <= tensor.high


def test_extremes_include_the_ends_of_the_range():
    tokens = next(c for c in cases_for(Endpoint("e", (TENSORS[3],), ())) if c.rows).inputs["words"]
    assert (tokens.min(), tokens.max()) == (2, 5)
    case = next(c for c in cases_for(Endpoint("e", (TENSORS[4],), ())) if c.rows)
    assert case.rows == EXTREMES
    assert 0 < case.inputs["noise"][-1, 0] < 1e-38


def test_every_kind_of_file_and_text():
    cases = {c.name: c for c in cases_for(Endpoint("e", (TENSORS[9],), ()))}
    files = {name: case.inputs["file"][0] for name, case in cases.items() if case.may_raise}
    assert all(cases[name].compared and len(cases[name].inputs["file"]) == 1 for name in files)
    invalid = {name: files.pop(name) for name in ("truncated", "no_image", "empty_file")}
    images = {name: Image.open(io.BytesIO(data)) for name, data in files.items()}
    assert images["CMYK_JPEG"].mode == "CMYK"
    assert images["EXIF-rotated_JPEG"].getexif()[0x0112] == 6
    assert images["1x1_PNG"].size == (1, 1)
    for data in invalid.values():
        with pytest.raises(OSError):  # noqa: PT011
            Image.open(io.BytesIO(data)).load()
    texts = next(c for c in cases_for(Endpoint("e", (TENSORS[8],), ())) if c.name == "text_kinds")
    assert texts.rows == tuple(TEXTS)
    values = dict(zip(texts.rows, texts.inputs["text"], strict=True))
    assert values["empty"] == b""
    assert len(values["very long"]) > 10_000
    assert b"\0" in values["NUL"]
    wide = Endpoint("e", (Tensor("lines", "string", (2, 3), "text"),), (), batch=2)
    case = next(c for c in cases_for(wide) if c.name == "lines_kinds")
    assert case.inputs["lines"].shape == (2 * len(TEXTS), 3)
    assert len(case.rows) == 2 * len(TEXTS)
    assert set(case.inputs["lines"][2:4].reshape(-1)) == {b""}


def test_padding_only_and_long_tokens():
    cases = {c.name: c for c in cases_for(Endpoint("e", (TENSORS[2],), ()))}
    assert not cases["extremes"].inputs["tokens"][0].any()
    assert cases["steps_64"].inputs["tokens"].shape == (1, 64)
    assert cases["steps_64"].chain == {}


@pytest.mark.parametrize(("length", "wrong"), [(128, 0), (64, 0), (128, 3), (32, None)])
def test_steps_are_compared_with_a_forward_call_of_a_fixed_length(length, wrong):
    token, state = Tensor("token", "int32", (1,), "token", 0, 9), Tensor("h", "float32", (1, 1), "state")
    step = Endpoint("step", (token, state), (Tensor("y", "float32", (1, 1)), replace(state, name="next_h")), batch=1)
    tokens = Tensor("tokens", "int32", (None, length), "token", 0, 9)
    whole = Endpoint("whole", (tokens,), (Tensor("y", "float32", (None, length, 1)),))
    case = next((c for c in cases_for(whole) if c.name == recurrent_steps.NAME), None)
    assert (case is None) == (wrong is None)
    if case is not None:
        one = next(c for c in cases_for(step) if c.chain).inputs["token"]
        assert case.inputs["tokens"][0, :64].tolist() == one.tolist()
        sums = np.cumsum(case.inputs["tokens"][0]).astype(np.float32)[None, :, None]
        outputs = {
            "step": Outputs({(recurrent_steps.NAME, "main", "y"): sums[0, :64].copy()}),
            "whole": Outputs({(recurrent_steps.NAME, "main", "y"): sums}),
        }
        outputs["step"].get(recurrent_steps.NAME, "y")[40] += wrong
        assert bool(recurrent_steps.compare_steps(Contract((whole, step)), outputs, Policy())) == bool(wrong)


def test_steps_start_from_zero_state():
    token, state = Tensor("token", "int32", (1,), "token", 0, 9), Tensor("h", "float32", (1, 3), "state")
    outputs = (Tensor("y", "float32", (1, 2)), Tensor("next_h", "float32", (1, 3), "state"))
    case = next(c for c in cases_for(Endpoint("step", (token, state), outputs, batch=1)) if c.chain)
    assert case.chain == {"h": "next_h"}
    assert case.inputs["token"].shape == (64,)
    assert not case.inputs["h"].any()
    stateless = Endpoint("step", (token, state), outputs[:1], batch=1)
    assert not any(c.chain for c in cases_for(stateless))

    def add(inputs):
        total = inputs["h"] + inputs["token"][:, None]
        return {"y": total[:, :2], "next_h": total}

    outputs = in_steps(add, case.inputs, case.chain)
    np.testing.assert_array_equal(outputs["y"][:, 0], np.cumsum(case.inputs["token"]))


def test_cases_are_deterministic():
    endpoint = Endpoint("e", TENSORS, ())
    for a, b in zip(cases_for(endpoint), cases_for(endpoint), strict=True):
        assert a.name == b.name
        for name in a.inputs:
            np.testing.assert_array_equal(a.inputs[name], b.inputs[name])


def test_undefined_cases_are_not_compared():
    cases = {c.name: c for c in cases_for(Endpoint("e", (TENSORS[4],), ()))}
    assert not any(cases[name].compared for name in ("empty", "nan", "infinity"))
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
    strings = np.array([[b"a\0", b""], ["ü".encode(), b"\0\0"]], object)
    packed = pack({"x/words": strings, "x/numbers": np.arange(3)})
    np.savez(tmp_path / "a.npz", allow_pickle=False, **packed)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as stored:
        unpacked = unpack(stored)
    np.testing.assert_array_equal(unpacked["x/words"], strings)
    np.testing.assert_array_equal(unpacked["x/numbers"], np.arange(3))


def test_in_batches_concatenates_the_parts():
    sizes = []

    def function(inputs):
        sizes.append(len(inputs["x"]))
        return {"y": inputs["x"] * 2}

    np.testing.assert_array_equal(in_batches(function, {"x": np.arange(6)}, 2)["y"], np.arange(6) * 2)
    assert sizes == [2, 2, 2]
    for rows in (0, 5):
        with pytest.raises(ValueError, match="rows cannot be run 2 at a time"):
            in_batches(function, {"x": np.arange(rows)}, 2)


def test_real_inputs_are_perturbed_by_two_steps_at_the_scale_of_their_feature():
    x = np.array([[1.0, 1000.0], [0.0, 0.0]], np.float32)
    cases = [
        {"compared": True, "rows": [], "inputs": {"x": x, "ids": np.array([3, 4])}},
        {"compared": True, "rows": ["high"], "inputs": {"x": x * 1e6}},
        {"compared": False, "rows": [], "inputs": {"x": x * np.nan}},
    ]
    scales = feature_scales(cases)
    assert {name: scale.tolist() for name, scale in scales.items()} == {"x": [1, 1000]}
    perturbed = perturb(cases[0]["inputs"], scales)
    np.testing.assert_array_equal(perturbed["ids"], [3, 4])
    assert perturbed["x"].dtype == np.float32
    np.testing.assert_allclose(np.abs(perturbed["x"][1]), np.array([1, 1000]) * 2**-22, rtol=1e-6)
    assert np.max(np.abs(perturbed["x"][0] - x[0]) / x[0]) <= 2**-21


def test_inputs_of_several_sizes_share_one_scale():
    cases = [{"compared": True, "inputs": {"x": np.full((2, size), size, np.float32)}} for size in (3, 5)]
    assert feature_scales(cases)["x"].tolist() == [5]
    assert perturb({"x": np.zeros((1, 4), np.float32)}, feature_scales(cases))["x"].shape == (1, 4)


def test_noise_of_a_cancelling_sum_covers_other_orders_of_summation():
    """Raw pixels into a dense layer: the rounding error of float32 is larger than a tolerance of 1e-5."""
    rng = np.random.default_rng(0)
    x, w = rng.uniform(0, 255, (7, 192)).astype(np.float32), rng.normal(0, 0.1, 192).astype(np.float32)
    w -= w.mean()  # large terms, small sums
    cases = [{"name": "a", "compared": True, "rows": [], "inputs": {"x": x}}]
    functions = {"main": lambda inputs: {"y": (inputs["x"] @ w)[:, None]}}
    outputs = run_endpoint(functions, cases, None, measure_noise=True)
    assert outputs.errors == {}
    other = np.cumsum(x * w, axis=1, dtype=np.float32)[:, -1:]
    difference = max_row_error(outputs.get("a", "y"), other)
    floor = max_row_error(outputs.get("a", "y"), outputs.get("a", "y", "perturbed"))
    assert 0 < difference < Policy().multiple * floor < 1e-4
    assert not any("perturbed" in key for key in run_endpoint(functions, cases, None, measure_noise=False).arrays)


def test_rows_are_run_in_other_batches_and_perturbed_at_two_scales():
    calls = []

    def function(inputs):
        calls.append(inputs["x"].copy())
        return {"y": inputs["x"] + len(inputs["x"])}

    x = np.array([[1.0, 1000.0]], np.float32)
    cases = [{"name": "a", "compared": True, "rows": [], "inputs": {"x": x}}]
    outputs = run_endpoint({"main": function}, cases, None, measure_noise=True)
    variants = {variant for _, variant, _ in outputs.arrays}
    assert variants == {"main", "again", "batch_2n", "perturbed", "perturbed_own_scale"}
    assert outputs.get("a", "y", "batch_2n").shape == x.shape
    assert max_row_error(outputs.get("a", "y"), outputs.get("a", "y", "batch_2n")) > 9e-4
    np.testing.assert_array_equal(next(c for c in calls if len(c) == 2), np.concatenate([x, x]))
    own = perturb({"x": np.array([[1e-3, 0.0]], np.float32)}, {}, seed=1)["x"]
    assert 0 < abs(own[0, 0] - np.float32(1e-3)) < 1e-9
    assert own[0, 1] == 0


def test_a_chain_and_an_undefined_shape_are_read_again(tmp_path):
    token, state = Tensor("token", "int32", (1,), "token", 0, 3), Tensor("state", "float32", (1, 2), "state")
    outputs = (Tensor("logits", "float32", (1, 4), "logits"), Tensor("next_state", "float32", (1, 2), "state"))
    step = Endpoint("step", (token, state), outputs, batch=1)
    inputs = {"token": np.zeros(6, np.int32), "state": np.zeros((1, 2), np.float32)}
    steps = GoldenCase("steps_6", inputs, chain={"state": "next_state"})
    steps.outputs = {"logits": np.zeros((6, 4), np.float32), "next_state": np.zeros((6, 2), np.float32)}
    image = Tensor("image", "float32", (None, 4, 4, 1), "image", 0, 1)
    same = Endpoint("same", (image,), (image,))
    empty = GoldenCase("empty", {"image": np.zeros((0, 4, 4, 1), np.float32)}, compared=False)
    empty.outputs = {"image": np.zeros((0, 4, 4, 8), np.float32)}  # what oneDNN returns for no rows
    write_golden(tmp_path / "golden", {"step": [steps], "same": [empty]})
    cases = read_golden(tmp_path / "golden", Contract((step, same)))
    assert cases["step"][0].chain == {"state": "next_state"}
    assert cases["same"][0].outputs["image"].shape == (0, 4, 4, 8)
    empty.compared = True
    write_golden(tmp_path / "other", {"step": [steps], "same": [empty]})
    with pytest.raises(ExportError, match=r"image of case empty is float32 \(0, 4, 4, 8\)"):
        read_golden(tmp_path / "other", Contract((step, same)))


KINDS = tuple("abcde")
PACKED = {
    "ids": Tensor("ids", "int32", (None, 6), "token", 0, 49),
    "open length": Tensor("ids", "int64", (None, None), "token", 1, 49),
    "ids as numbers": Tensor("ids", "float32", (None, 2, 3), "token", 0, 20),
    "strings": Tensor("kind", "string", (None, 1), "category", vocabulary=KINDS),
    "integers": Tensor("kind", "int64", (None,), "category", vocabulary=(7, -3, 900)),
}


@pytest.mark.parametrize("tensor", PACKED.values(), ids=list(PACKED))
def test_every_choice_occurs(tensor):
    choices, width = choices_of(tensor), capacity_of(tensor)
    rows = -(-len(choices) // width)
    values = packed_values(tensor, np.resize(choices, (rows, width)))
    assert tensor.fits(values.shape)
    assert drawn_choices(tensor, values).tolist() == choices.tolist()


def test_columns_with_tables_of_their_own():
    tensor = Tensor("ids", "int32", (None, 3), "token", 0, (4, 99, 6))
    assert capacity_of(tensor) == 1
    values = packed_values(tensor, choices_of(tensor)[:, None])
    assert [len(np.unique(column)) for column in values.T] == [5, 100, 7]
    assert values.max(axis=0).tolist() == [4, 99, 6]


def test_texts_are_made_of_words():
    tensor = Tensor("line", "string", (None, 1), "text", vocabulary=("", "[UNK]", *KINDS))
    choices = choices_of(tensor)
    assert choices.tolist() == [2, 3, 4, 5, 6]
    assert set(packed_values(tensor, choices[None])[0, 0].decode().split()) == set(KINDS)


def test_numbers_have_no_choices():
    assert choices_of(Tensor("x", "float32", (None, 3))) is None
