"""Space files: what is wrong is one sentence; the default space; parameters without effect are left out of a trial."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from zoo import tune
from zoo.core.plan import make_plan
from zoo.search import space
from zoo.search.definition import Search, define
from zoobase.errors import UsageError

SPACES = Path(__file__).parents[3] / "examples" / "spaces"


def search(model, text, tmp_path, **options):
    path = tmp_path / "space.toml"
    path.write_text(text)
    return define(model, options, path, None, None)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("recipe.learning_rate = {low = 1e-4, high", "not valid TOML"),
        ("recipe.epochs = 3", "has no range"),
        ("recipe.learning_rat = {low = 1e-4, high = 1e-2}", "did you mean learning_rate"),
        ("recipes.learning_rate = {low = 1e-4, high = 1e-2}", "did you mean recipe"),
        ("recipe.learning_rate = {low = 1e-4, hihg = 1e-2}", "did you mean high"),
        ("recipe.learning_rate = {low = 1e-4}", "needs the numbers low and high"),
        ("recipe.learning_rate = {low = 1e-2, high = 1e-4}", "low must be less than high"),
        ("recipe.learning_rate = {low = 0.0, high = 1e-4, log = true}", "is not valid"),
        ("recipe.learning_rate = {low = -1.0, high = 1e-4}", "must be a positive number"),
        ("recipe.dropout = {low = 0.0, high = 1.0}", r"must be in \[0, 1\)"),
        ("recipe.batch_size = {low = 16.0, high = 32.5}", "is not a whole number"),
        ("recipe.optimizer = {choices = ['adam', 'addam']}", "did you mean adam"),
        ("recipe.optimizer = {choices = ['adam']}", "at least two values"),
        ("recipe.optimizer = {choices = ['adam', 'sgd'], low = 1}", "without low and high"),
        ("model_arguments.unit = {choices = [[8], [16]]}", "did you mean units"),
        ("model_arguments.units = {choices = [8, 16]}", "is not a list"),
        ("task.heigth = {low = 8, high = 28}", "did you mean height"),
        ("task.height = {choices = ['low', 'high']}", "is not a whole number"),
        ("data.name = {choices = ['mnist', 'digits']}", "data cannot be searched"),
        ("recipe.limit = {low = 10, high = 100}", "recipe.limit cannot be searched"),
        ("recipe.restarts = 2\nrecipe.epochs = {low = 1, high = 2}", "trains several models"),
        ("recipe.l2 = {low = 0.0, high = 0.1}", "--maximize val_accuracy"),
        ("model = 'gan'\nrecipe.epochs = {low = 1, high = 2}", "is for the model gan, not for mnist"),
    ],
)
def test_a_wrong_space_is_one_sentence_and_leaves_nothing(text, sentence, tmp_path):
    (tmp_path / "space.toml").write_text(text)
    words = ["mnist", "--space", str(tmp_path / "space.toml"), "--out", str(tmp_path / "search")]
    # `recipe.l2` is compared by the loss, which it changes; by default the metric is the cross-entropy without it
    result = CliRunner().invoke(tune.main, [*words, *(["--minimize", "val_loss"] if "l2" in text else [])])
    assert isinstance(result.exception, UsageError), result.output
    with pytest.raises(UsageError, match=sentence):
        raise result.exception
    assert "\n" not in str(result.exception)
    assert not (tmp_path / "search").exists()


@pytest.mark.parametrize("file", sorted(SPACES.glob("*.toml")), ids=lambda file: file.stem)
def test_the_spaces_of_the_documented_searches_are_those_around_the_recipe(file):
    """The searches of docs/how-to/search.md had no `--space`: a changed recipe or default moves these files."""
    values, found = space.read(file, file.stem)
    around = space.default(make_plan(file.stem, settings=values["settings"]))
    assert found.keys() == around.keys()
    for (key, corner), (_, expected) in zip(space.corners(found), space.corners(around), strict=True):
        assert corner == pytest.approx(expected), key


def test_a_setting_of_the_command_line_replaces_a_range(tmp_path):
    text = "recipe.learning_rate = {low = 1e-4, high = 1e-1, log = true}\nrecipe.batch_size = {low = 8, high = 64}"
    found = search("mnist", text, tmp_path, settings={"recipe.batch_size": "16"})
    assert list(found.space) == ["recipe.learning_rate"]
    assert found.plan({"recipe.learning_rate": 0.02}).recipe.batch_size == 16


def test_a_search_is_read_as_it_was_written(tmp_path):
    text = (
        "precision = 'bfloat16'\nrecipe.epochs = {choices = [2, 5]}\n"
        "recipe.dropout = {low = 0, high = 0.5, step = 0.1}\n"
        "model_arguments.units = {choices = [[8], [16, 16]]}\nrecipe.warmup = 0.1\ntask.height = {low = 14, high = 28}"
    )
    found = search("mnist", text, tmp_path, recipe="default", seed=3)
    assert Search.from_json(json.loads(json.dumps(found.to_json()))) == found
    assert found.epochs == 5
    plan = found.plan({"model.units": "[16, 16]", "recipe.dropout": 0.2, "task.height": 20})
    assert plan.model_arguments == {"units": (16, 16), "dropout": 0.2}
    assert (plan.recipe.warmup, plan.task.height, plan.seed) == (0.1, 20, 3)
    words = "--seed 3 --set recipe.warmup=0.1"
    assert words in found.command({"model.units": "[16, 16]"})
    assert found.command({}).endswith("--precision bfloat16")


def test_parameters_without_effect_are_left_out(tmp_path):
    text = "recipe.optimizer = {choices = ['adam', 'adagrad']}\nrecipe.momentum = {low = 0.5, high = 0.99}"
    found = search("mnist", text, tmp_path)
    assert found.settings({"recipe.optimizer": "adagrad", "recipe.momentum": 0.7}) == {"recipe.optimizer": "adagrad"}
    assert found.plan({"recipe.optimizer": "adam", "recipe.momentum": 0.7}).recipe.momentum == 0.7


@pytest.mark.parametrize(
    ("model", "keys"),
    [
        ("mnist", {"recipe.learning_rate", "recipe.batch_size", "recipe.weight_decay", "model.dropout"}),
        ("text_rnn", {"recipe.learning_rate", "recipe.batch_size", "recipe.weight_decay", "model.dropout"}),
        ("dcgan", {"recipe.learning_rate", "recipe.batch_size"}),
    ],
)
def test_the_space_without_a_file_is_around_the_recipe(model, keys):
    found = define(model, {}, None, None, None)
    assert set(found.space) == keys
    rate = found.plan().recipe.learning_rate
    assert found.space["recipe.learning_rate"].low == pytest.approx(rate / 10)
    assert found.space["recipe.batch_size"].choices[1] == found.plan().recipe.batch_size


def test_the_baseline_on_the_test_split_is_off():
    assert define("flowers", {}, None, None, None).plan().task.baseline is False


def test_two_metrics_exclude_each_other():
    with pytest.raises(UsageError, match="exclude each other"):
        define("mnist", {}, None, "val_loss", "val_accuracy")
