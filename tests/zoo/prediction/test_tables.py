"""The parts of a table: merged in order, kept after an interruption, refused with other settings."""

import csv
import os

import pytest
from pyarrow import parquet

from zoo.prediction.tables import Parts
from zoobase.errors import UsageError


def test_parts_are_merged_in_order_whatever_their_columns(tmp_path):
    parts = Parts(tmp_path / "out.parquet")
    with parts.opened({"top_k": 3}):
        parts.write(2, [{"input": "c", "score": 0.5, "word": "x"}], [])
        parts.write(0, [{"input": "a", "score": 1, "word": None}], [("=bad", "it's broken")])
        assert parts.missing(4) == [1, 3]
        parts.write(1, [], [("b", "no image")])
        parts.write(3, [{"input": os.fsdecode(b"d\xff"), "score": 2}], [])
        assert parts.merge(4) == (3, 2)
    assert parquet.read_table(parts.out).to_pylist() == [
        {"input": "a", "score": 1.0, "word": None},
        {"input": "c", "score": 0.5, "word": "x"},
        {"input": "d\\xff", "score": 2.0, "word": None},
    ]
    with open(tmp_path / "out.errors.csv", newline="") as file:
        assert list(csv.reader(file)) == [["input", "reason"], ["'=bad", "it's broken"], ["b", "no image"]]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.errors.csv", "out.parquet"]


def test_no_rows_no_table_and_no_problems_no_side_table(tmp_path):
    parts = Parts(tmp_path / "out.parquet")
    for rows, problems in (([{"input": "a"}], []), ([], [("a", "no image")])):
        for path in (parts.out, parts.errors):
            path.write_text("of an earlier prediction")
        with parts.opened({}):
            parts.write(0, rows, problems)
            parts.merge(1)
        assert (parts.out.exists(), parts.errors.exists()) == (bool(rows), bool(problems))


def test_other_settings_and_a_second_process_are_refused(tmp_path):
    parts = Parts(tmp_path / "out.parquet")
    with parts.opened({"top_k": 3, "runtime": "c_api"}):
        with pytest.raises(UsageError, match="another process writes"), Parts(parts.out).opened({}):
            pass
        parts.write(0, [], [])
    with pytest.raises(UsageError, match=r"other settings \(top k\)"), parts.opened({"top_k": 4, "runtime": "c_api"}):
        pass
    with parts.opened({"top_k": 3, "runtime": "c_api"}):
        assert parts.missing(2) == [1]
