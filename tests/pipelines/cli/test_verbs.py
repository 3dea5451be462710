"""python -m pipelines list, info and preview."""

import csv
import json
import re
import shlex

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import pipelines
from docs import pages
from pipelines.__main__ import verbs


def run(*words, code=0):
    result = CliRunner().invoke(verbs, [str(word) for word in words])
    if code == 0:
        assert result.exception is None, result.output
    return result


def test_list_names_every_dataset_with_its_summary():
    rows = json.loads(run("list", "--json").stdout)
    assert [row["name"] for row in rows] == pipelines.list_datasets()
    assert all(row["summary"] for row in rows)
    assert json.loads(run("datasets", "--json").stdout) == pipelines.list_datasets()
    assert run("datasets").stdout.split() == pipelines.list_datasets()


def test_info_shows_licence_source_features_counts_and_classes():
    out = run("info", "digits", "--split", "60/20/20").stdout
    for text in ("CC-BY-4.0", "scikit-learn", "image: uint8 (8, 8, 1)", "train: 1,078", "10: 0, 1, 2", "60/20/20"):
        assert text in out
    assert json.loads(run("info", "digits", "--json").stdout)["counts"]["train"] == 1257
    error = run("info", "digts", code=2).exception
    assert isinstance(error, pipelines.DataError)
    assert "unknown dataset 'digts'; did you mean digits" in str(error)


@pytest.mark.parametrize("name", ["table", "image_folder", "digits"])
def test_the_command_of_the_page_of_a_dataset_runs_and_so_does_the_next_one(name, tmp_path, monkeypatch):
    """With a file or folder in the place of its placeholder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wine list.csv").write_text("colour,price\n" + "red,2\nwhite,3\n" * 20)
    random = np.random.default_rng(0)
    for label in ("cat", "dog"):
        (tmp_path / "my photos" / label).mkdir(parents=True)
        for i in range(8):
            Image.fromarray(random.integers(0, 256, (8, 8, 3), np.uint8)).save(
                tmp_path / "my photos" / label / f"{i}.png"
            )
    own = {"FILE.csv": "wine list.csv", "FOLDER": "my photos"}
    page = (pages.DATASETS / f"{name}.md").read_text()
    words = shlex.split(re.search(r"^    python -m pipelines (info .+)$", page, re.MULTILINE)[1])
    out = run(*(own.get(word, word) for word in words)).stdout
    following = shlex.split(re.search(r"^next: python -m pipelines (preview .+)$", out, re.MULTILINE)[1])
    run(*following)


def test_preview_of_images_is_a_grid(tmp_path):
    out = tmp_path / "grid.png"
    run("preview", "digits", "-o", out, "--rows", 2, "--views", 3, "--size", 32)
    grid = np.asarray(Image.open(out))
    assert grid.shape == (2 * 36 - 4, 3 * 36 - 4, 3)
    assert (grid[32:36] == 255).all()  # the gap
    assert grid[:32, :32].std() > 10
    run("preview", "digits", "-o", out, "--rows", 2, "--views", 3, "--size", 32, "--augment", "rotation=20")
    assert Image.open(out).size == (4 * 36 - 4, 2 * 36 - 4)  # each image, and three views of it


def test_preview_of_paired_images_puts_them_side_by_side(tmp_path):
    out = tmp_path / "grid.png"
    run("preview", "grey_to_colour", "-o", out, "--rows", 1, "--views", 4, "--size", 32, "--cache-dir", tmp_path)
    assert Image.open(out).size == (4 * 36 - 4, 32)


def test_preview_of_a_table_is_printed_or_written_as_csv(tmp_path):
    out = run("preview", "breast_cancer", "--rows", 2).stdout
    assert "mean_radius" in out
    run("preview", "breast_cancer", "--rows", 2, "-o", tmp_path / "rows.csv")
    rows = list(csv.DictReader((tmp_path / "rows.csv").open()))
    assert len(rows) == 2
    assert len(rows[0]) == 31
    assert len(json.loads(run("preview", "breast_cancer", "--rows", 2, "--json").stdout)["rows"]) == 2


def test_preview_of_texts_shows_their_class(tmp_path):
    (tmp_path / "own.csv").write_text("text,label\n" + "".join(f"text number {i},{'ab'[i % 2]}\n" for i in range(100)))
    out = run("preview", "imdb_reviews", "--data-dir", tmp_path / "own.csv", "--rows", 1).stdout
    assert "text: text number" in out
    assert "label: " in out


def test_preview_of_a_name_that_is_nothing_suggests_a_dataset():
    error = run("preview", "digts", code=3).exception
    assert isinstance(error, pipelines.DataError)
    assert "no file or folder digts, and no dataset of this name; did you mean digits" in str(error)


@pytest.mark.parametrize("words", [["--size", "2000", "--rows", "100"]])
def test_a_grid_of_absurd_size_is_refused(words, tmp_path):
    error = run("preview", "digits", "-o", tmp_path / "grid.png", *words, code=2).exception
    assert isinstance(error, pipelines.DataError)
    assert "fewer --rows" in str(error)
    assert not (tmp_path / "grid.png").exists()
