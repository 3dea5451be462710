"""Pairs of tensors by name, by dtype and shape, by value."""

import numpy as np
import pytest

from export.artifacts.calling import ThirdPartyTensor
from export.artifacts.matching import Pair, by_value, match, plain
from zoobase.errors import CheckFailed, ExportError

RNG = np.random.default_rng(0)


def tensors(*names, dtype="float32", shape=(None, 3)):
    return [ThirdPartyTensor(name, dtype, shape) for name in names]


@pytest.mark.parametrize(
    ("name", "plain_name"),
    [("serving_default_image:0", "image"), ("Image", "image"), ("StatefulPartitionedCall:1",) * 2],
)
def test_plain_names(name, plain_name):
    assert plain(name) == plain(plain_name).removesuffix(":1")


def test_names_take_precedence():
    assert match(tensors("a", "b"), tensors("b", "serving_default_a:0")) == [
        [Pair("b", "b", "name"), Pair("a", "serving_default_a:0", "name")]
    ]


def test_dtype_and_shape_match_other_names():
    ones = tensors("x") + tensors("y", dtype="int32") + tensors("z", shape=(None, 4))
    others = tensors("q", dtype="int64") + tensors("r", shape=(1, 4)) + tensors("p", shape=(None, None))
    (pairs,) = match(ones[:2], others[:1] + others[2:])
    assert pairs == [Pair("x", "p", "dtype and shape"), Pair("y", "q", "dtype and shape")]
    assert len(match(ones[::2], others[1:])) == 1


def test_ambiguous_tensors_give_all_pairings():
    pairings = match(tensors("left", "right"), tensors("one", "two"))
    assert [[(p.reference, p.candidate, p.how) for p in pairs] for pairs in pairings] == [
        [("left", "one", "value"), ("right", "two", "value")],
        [("left", "two", "value"), ("right", "one", "value")],
    ]


def test_requested_pairs_take_precedence():
    (pairs,) = match(tensors("a", "b"), tensors("a", "b"), {"a": "b"})
    assert pairs == [Pair("a", "b", "asked for"), Pair("b", "a", "dtype and shape")]
    with pytest.raises(ExportError, match="cannot match a=c"):
        match(tensors("a"), tensors("b"), {"a": "c"})


def test_no_match():
    with pytest.raises(CheckFailed, match=r"no match for b float32 \(None, 3\)"):
        match(tensors("a", "b"), tensors("a"))
    with pytest.raises(CheckFailed, match="no match for a"):
        match(tensors("a"), tensors("b", shape=(None, 4)))


def cases(values):
    return [values, values[:2] * 2]


def test_values_overrule_names_only_where_they_are_clearly_closer():
    a, b = RNG.normal(size=(2, 5, 3)).astype("float32")
    named = [Pair("a", "a", "name"), Pair("b", "b", "name")]
    swapped = by_value(named, {"a": cases(a), "b": cases(b)}, {"a": cases(b), "b": cases(a)})
    assert swapped == [Pair("a", "b", "value"), Pair("b", "a", "value")]
    assert by_value(named, {"a": cases(a), "b": cases(b)}, {"a": cases(a + 0.1), "b": cases(b)}) == named
    both_wrong = RNG.normal(size=(2, 5, 3)).astype("float32")
    candidate = {"a": cases(both_wrong[0]), "b": cases(both_wrong[1])}
    assert by_value(named, {"a": cases(a), "b": cases(b)}, candidate) == named


def test_values_match_despite_quantisation():
    a, b = RNG.normal(size=(2, 5, 3)).astype("float32")
    named = [Pair("a", "x", "value"), Pair("b", "y", "value")]
    pairs = by_value(named, {"a": cases(a), "b": cases(b)}, {"x": cases(b + 0.01), "y": cases(a - 0.01)})
    assert {p.reference: p.candidate for p in pairs} == {"a": "y", "b": "x"}


def test_requested_pairs_are_not_changed_by_values():
    a, b = RNG.normal(size=(2, 5, 3)).astype("float32")
    requested = [Pair("a", "a", "asked for"), Pair("b", "b", "name")]
    assert by_value(requested, {"a": cases(a), "b": cases(b)}, {"a": cases(b), "b": cases(a)}) == requested
