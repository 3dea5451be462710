"""`zoo runs` lists and ranks run folders; `zoo compare` leaves out what is not finished."""

import shutil

import pytest
from click.testing import CliRunner

from tests.zoo.test_cli import cli
from zoo import compare, runs
from zoo.core.run_folder import RunFolder
from zoobase.errors import MissingError


@pytest.fixture
def folder(trained, tmp_path):
    """Two finished runs of one model, one of another task, one unfinished and one damaged."""
    for name, accuracy in (("good", 0.9), ("better", 0.95)):
        shutil.copytree(trained("fashion_mnist"), tmp_path / "runs" / "mnist" / name)
        run = RunFolder(tmp_path / "runs" / "mnist" / name)
        run.write("evaluation.json", run.read("evaluation.json") | {"metrics": {"accuracy": accuracy}})
        if not run.finished:
            run.finish({"run": str(run.path)})
    shutil.copytree(trained("table"), tmp_path / "runs" / "bikes")
    shutil.copytree(trained("fashion_mnist"), tmp_path / "runs" / "stopped")
    for name in ("summary.json", "evaluation.json", "history.csv"):
        (tmp_path / "runs" / "stopped" / name).unlink(missing_ok=True)
    (tmp_path / "runs" / "broken").mkdir()
    (tmp_path / "runs" / "broken" / "config.json").write_text("{")
    return tmp_path / "runs"


def test_the_best_run_of_a_dataset_is_first(folder):
    rows = {row["run"].removeprefix(f"{folder}/"): row for row in runs.run([folder])}
    names = list(rows)
    assert names.index("mnist/better") == names.index("mnist/good") - 1
    assert (rows["mnist/better"]["metric"], rows["mnist/better"]["value"]) == ("accuracy", 0.95)
    assert {name: row["state"] for name, row in rows.items()} | {"bikes": "", "mnist/good": ""} == {
        "broken": "damaged",
        "stopped": "unfinished",
        "mnist/better": "finished",
        "bikes": "",
        "mnist/good": "",
    }
    assert [row["model"] for row in runs.run([folder], model="table")] == ["table"]


def test_a_run_that_is_trained_now(folder):
    with RunFolder(folder / "stopped").locked():
        (row,) = [row for row in runs.run([folder]) if row["run"].endswith("stopped")]
    assert row["state"] == "training"


def test_the_command(folder):
    result = cli("zoo", "runs", folder)
    assert result.returncode == 0, result.stderr
    assert "finished" in result.stdout
    assert f"next: python -m zoo.train --resume {folder}/stopped" in result.stdout
    assert cli("zoo", "runs", folder / "none", code=3).returncode == 3


def test_unfinished_runs_are_left_out_of_a_comparison(folder, tmp_path):
    paths = [folder / "mnist" / "good", folder / "stopped", folder / "mnist" / "better"]
    comparison = compare.run(paths, out=tmp_path / "c.png")
    assert comparison["runs"] == [str(paths[0]), str(paths[2])]
    assert comparison["left_out"] == {str(paths[1]): "is unfinished, before its first epoch"}
    assert comparison["metrics"] == {"accuracy": [0.9, 0.95]}
    with pytest.raises(MissingError, match=r"fewer than two of the runs are finished: .*stopped is unfinished"):
        compare.run(paths[:2])


def test_two_tasks_are_not_a_page_of_none(folder, tmp_path):
    result = cli("zoo", "compare", folder / "mnist" / "good", folder / "bikes", "-o", tmp_path / "c.png")
    assert result.returncode == 0, result.stderr
    assert "None" not in result.stdout


def test_a_long_setting_is_cut(tmp_path):
    for name, size in (("a", 500), ("b", 600)):
        run = RunFolder.create("table", tmp_path / name)
        run.write("config.json", {"arguments": {"columns": [*range(size)]}})
        run.write("evaluation.json", {"metrics": {"accuracy": 0.9}})
        run.write_history([{"epoch": 1, "loss": 1.0, "val_loss": 1.0}])
    result = CliRunner().invoke(compare.main, [str(tmp_path / "a"), str(tmp_path / "b"), "-o", str(tmp_path / "c.png")])
    assert result.exception is None, result.exception
    assert "[0, 1, 2" in result.output
    assert "499" not in result.output
