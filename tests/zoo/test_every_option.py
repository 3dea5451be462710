"""Every option of every verb of `zoo` is obeyed or refused: the command line beats the file, which beats the recipe.

The options are those that the commands have: one that is added is tested here without another line.
"""

import contextlib
import dataclasses
import importlib
import json

import click
import numpy as np
import pytest

import zoo
from tests.plugins.tiers import first
from zoo import __main__ as verbs
from zoo.cli.options import SettingOption
from zoo.core.recipe import Recipe
from zoo.core.settings import TABLES, TrainSettings
from zoo.core.task import Prediction
from zoo.prediction import kept
from zoo.train import main as train
from zoobase import console as shell
from zoobase.errors import UsageError

KEYS = {f.name: f.metadata["key"] for f in dataclasses.fields(TrainSettings) if "key" in f.metadata}
TABLE_OF = {group: table for table, group in TABLES.items()}
COMMON = ("quiet", "as_json", "debug", "help")
VALUES = {  # two values of settings whose type does not say what is valid
    "recipe.augment": ("flip,shift", "flip"),
    "recipe.split": ("60/20/20", "50/25/25"),
    "recipe.data": ("digits", "mnist"),
    "recipe.candidates": ([{}], [{}, {}]),
    "recipe.model": ({"units": (8,)}, {"units": (4,)}),
    "recipe.task": ({"height": 8}, {"height": 16}),
    "recipe.dropout": (0.25, 0.5),
    "task.kind": ("variational", "denoising"),
}


def options_of(model):
    with click.Context(train) as context:
        train.parse_args(context, [model])
        return [option for option in train.get_params(context) if isinstance(option, SettingOption)]


def place(target):
    """Return the path in config.json of what an option sets; None if it is not stored there."""
    if target in KEYS:
        return KEYS[target].split(".")
    group, _, field = target.partition(".")
    return [TABLE_OF[group], field] if field else None


def two_values(target, default, choices=()):
    """Return two valid values of a setting that differ from each other and, where possible, from the default."""
    if target in VALUES:
        return VALUES[target]
    if choices:
        others = [choice for choice in choices if choice != default]
        return others[0], others[1] if len(others) > 1 else default
    if isinstance(default, bool):
        return not default, default
    if isinstance(default, int):
        return default + 1, default + 2
    if isinstance(default, float):
        return default / 2 or 0.25, default / 4 or 0.125
    if isinstance(default, list | tuple):
        return [*default, *default[-1:]], [*default, *default[-1:] * 2]
    return "first", "second"


def written(value):
    return value if isinstance(value, str) else json.dumps(value)


def printed(capsys, *words):
    train.main([*map(str, words), "--print-config"], standalone_mode=False)
    return json.loads(capsys.readouterr().out)


def at(config, path):
    for name in path:
        config = config.get(name) if config is not None else None
    return config


def file_with(tmp_path, model, path, value):
    content = value
    for name in reversed(path):
        content = {name: content}
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"model": model, **content}))
    return file


def cases():
    for model in zoo.list_models():
        for option in options_of(model):
            if place(option.target) is not None and (model == "mnist" or option.target.startswith("model.")):
                marks = () if model == "mnist" else pytest.mark.extended
                yield pytest.param(model, option, id=f"{model} {option.opts[0]}", marks=marks)
    for model in ("style_transfer", "table"):
        for option in options_of(model):
            if option.name.startswith("flag_"):
                yield pytest.param(model, option, id=f"{model} {option.opts[0]}")


@pytest.mark.parametrize(("model", "option"), cases())
def test_the_command_line_beats_the_file_which_beats_the_recipe(model, option, tmp_path, capsys):
    path, choices = place(option.target), getattr(option.type, "choices", ())
    if option.target == "recipe":
        model = "fashion_mnist"
        choices = zoo.get_spec(model).recipes
    default = at(printed(capsys, model), path)
    if option.target.startswith("model."):
        default = zoo.core.registry.get_entry(model).defaults[option.target.removeprefix("model.")]
    first, second = two_values(option.target, default, tuple(choices))
    file = file_with(tmp_path, model, path, first)
    assert at(printed(capsys, "--config", file), path) == first
    for words in ((model, "--config", file), ("--config", file), (f"--config={file}",)):
        assert at(printed(capsys, *words, option.opts[0], written(second)), path) == second


def settings_of(model):
    """Yield every setting of --set that a model has, with its default."""
    spec = zoo.get_spec(model)
    for f in dataclasses.fields(Recipe):
        yield f"recipe.{f.name}", getattr(spec.recipe("default"), f.name), f.metadata["choices"]
    for f in dataclasses.fields(spec.task):
        yield f"task.{f.name}", getattr(spec.task, f.name), ()
    for name, default in zoo.core.registry.get_entry(model).defaults.items():
        if name not in zoo.core.registry.DATA_ARGUMENTS:
            choices = {o.name: o.choices for o in zoo.core.registry.get_entry(model).options}[name]
            yield f"model.{name}", default, choices


def same(value, expected):
    return json.loads(json.dumps(value)) == json.loads(json.dumps(expected))


@pytest.mark.parametrize("model", first(["mnist", "autoencoder", "flowers", "dcgan", "text_rnn"]))
def test_set_beats_the_file_which_beats_the_recipe_or_is_refused(model, tmp_path, capsys):
    obeyed = set()
    for key, default, choices in settings_of(model):
        first, second = two_values(key, default, choices)
        path = place(key)
        try:
            file = file_with(tmp_path, model, path, first)
            assert same(at(printed(capsys, "--config", file), path), first), key
            assert same(at(printed(capsys, "--config", file, "--set", f"{key}={written(second)}"), path), second), key
        except UsageError:  # a value that is not valid, or has no effect: tests of recipes and tasks say which
            continue
        obeyed.add(key)
    assert {"recipe.epochs", "recipe.ema", "recipe.limit", "recipe.minutes"} <= obeyed
    assert len(obeyed) > 20


@pytest.mark.parametrize(
    ("file", "words", "path", "value"),
    [
        ({"model_arguments": {"dropout": 0.3}}, ["recipe.dropout=0.1"], ["model_arguments", "dropout"], 0.1),
        ({"recipe": {"dropout": 0.3}}, ["model.dropout=0.1"], ["model_arguments", "dropout"], 0.1),
        ({"model_arguments": {"depths": [1, 1]}}, ['recipe.model={"depths": [2]}'], ["model_arguments", "depths"], [2]),
        ({"data": {"name": "digits"}}, ["recipe.data=mnist"], ["data", "name"], "mnist"),
        ({"recipe": {"data": "digits"}}, ["data=mnist"], ["data", "name"], "mnist"),
        ({"task": {"fit": "pad"}}, ['recipe.task={"fit": "crop"}'], ["task", "fit"], "crop"),
    ],
)
def test_a_setting_that_stands_for_another_beats_it(file, words, path, value, tmp_path, capsys):
    (tmp_path / "config.json").write_text(json.dumps({"model": "fashion_mnist", **file}))
    pairs = [word for pair in words for word in ("--set", pair)]
    assert at(printed(capsys, "--config", tmp_path / "config.json", *pairs), path) == value


def test_a_recipe_that_a_file_hides_is_refused(tmp_path, capsys):
    file = tmp_path / "config.json"
    file.write_text(json.dumps(printed(capsys, "fashion_mnist")))
    with pytest.raises(UsageError, match="sets every field of the recipe"):
        printed(capsys, "--config", file, "--recipe", "quick")
    file.write_text(json.dumps({"model": "fashion_mnist", "recipe": {"epochs": 3}}))
    config = printed(capsys, "--config", file, "--recipe", "quick")
    assert (config["recipe_name"], config["recipe"]["epochs"]) == ("quick", 3)


class Arrived(Exception):
    """Says that a command called what does its work, with these arguments."""


def called(*args, **kwargs):
    raise Arrived(args, kwargs)


ARGUMENTS = {  # what each verb needs besides options
    "train": ["mnist"],
    "tune": ["mnist"],
    "evaluate": ["RUN"],
    "predict": ["RUN", "INPUT"],
    "sample": ["RUN"],
    "stylize": ["CONTENT", "--style", "STYLE"],
    "compare": ["RUN", "RUN"],
    "runs": ["FOLDER"],
    "export": ["RUN"],
    "info": ["mnist"],
    "weights": [],
    "compress": ["mnist", "--out", "OUT"],
    "device": ["--data-dir", "FOLDER", "--out", "OUT"],
}
WITH = {  # options that an option needs to have an effect
    ("export", "max_drop"): ["--quantize", "int8"]
}
WRITERS = {
    ("predict", "out"): (None, "zoo.predict._write"),
    ("sample", "out"): (Prediction(image=np.zeros((1, 1, 3), np.uint8)), "zoo.evaluation.images.write"),
}
SAMPLES = {"quantize": "int8", "style_weights": "1,2,3,4,5", "settings": "data=digits", "limit": "7", "size": "64"}
REFUSED = [
    ("train", ["--no-export", "--quantize", "int8"]),
    ("train", ["--no-evaluate", "--quantize", "int8"]),
    ("train", ["--resume", "RUN", "--out", "OTHER"]),
    ("train", ["--epochs", "2", "--set", "recipe.epochs=3"]),
    ("train", ["--units", "[8]", "--set", "model.units=[9]"]),
    ("predict", ["-o", "-", "--json"]),
    ("export", ["--max-drop", "0.5"]),
    ("tune", ["--minimize", "val_loss", "--maximize", "val_accuracy"]),
]


@pytest.fixture
def recorded(monkeypatch, tmp_path):
    """What does the work of each verb says with which arguments it is called."""

    @contextlib.contextmanager
    def opened(source, runtime, is_kept, console, served=None):
        yield source, "kept" if is_kept else runtime

    for verb in ARGUMENTS:
        module = importlib.import_module(f"zoo.{verb}.__main__" if verb == "weights" else f"zoo.{verb}")
        monkeypatch.setattr(module, {"weights": "table", "train": "_run"}.get(verb, "run"), called)
    monkeypatch.setattr(zoo.train, "launch", called)
    monkeypatch.setattr(kept, "preferred", opened)
    monkeypatch.chdir(tmp_path)


def arrives(value, recorded):
    if isinstance(recorded, TrainSettings):
        recorded = recorded.given
    if isinstance(recorded, dict):
        return any(arrives(value, item) for item in recorded.values())
    if isinstance(recorded, list | tuple):
        return any(arrives(value, item) for item in recorded) or ",".join(map(_number, recorded)) == value
    return _number(recorded) == value


def _number(value):
    return f"{value:g}" if isinstance(value, float) else str(value)


def sample_of(option):
    if option.name in SAMPLES:
        return SAMPLES[option.name]
    if isinstance(option.type, click.Choice):
        return next(choice for choice in reversed(option.type.choices) if choice != option.default)
    if isinstance(option.type, click.types.FloatParamType | click.types.FloatRange):
        return "0.5"
    if isinstance(option.type, click.types.IntParamType | click.types.IntRange):
        low, high = getattr(option.type, "min", None) or 0, getattr(option.type, "max", None)
        return str(min(low + 3, high) if high else low + 3)
    return f"value-of-{option.name}"


def command_of(verb):
    return verbs.main_command.get_command(click.Context(verbs.main_command), verb)


def other_options():
    for verb in verbs.VERBS:
        for option in command_of(verb).params:
            tested = isinstance(option, SettingOption) and verb == "train" and place(option.target) is not None
            tested |= option.name in (*COMMON, "config", "print_config")
            if isinstance(option, click.Option) and not tested:
                yield pytest.param(verb, option, id=f"{verb} {option.opts[0]}")


@pytest.mark.parametrize(("verb", "option"), other_options())
def test_the_value_of_every_other_option_arrives(verb, option, recorded, monkeypatch):
    if (verb, option.name) in WRITERS:  # the file is written after the work
        result, writer = WRITERS[verb, option.name]
        monkeypatch.setattr(f"zoo.{verb}.run", lambda *args, **kwargs: result)
        monkeypatch.setattr(writer, called)
    words = [*ARGUMENTS[verb], *WITH.get((verb, option.name), [])]
    value = sample_of(option)
    words += [option.opts[0]] if option.is_flag else [option.opts[0], value]
    with pytest.raises(Arrived) as arrived:
        command_of(verb).main(words, standalone_mode=False)
    if option.is_flag:  # the same call without it differs
        with pytest.raises(Arrived) as without:
            command_of(verb).main(words[:-1], standalone_mode=False)
        assert _without_console(arrived.value) != _without_console(without.value)
    else:
        assert arrives(value.partition("=")[2] if option.name == "settings" else value, list(arrived.value.args))


def _without_console(arrived):
    args, kwargs = arrived.args
    return repr([a for a in args if not isinstance(a, shell.Console)]), repr({**kwargs, "console": None})


@pytest.mark.parametrize(("verb", "words"), REFUSED, ids=lambda value: " ".join(value))
def test_an_option_without_effect_is_refused(verb, words, recorded, request):
    if verb == "tune":
        request.getfixturevalue("monkeypatch").undo()
    with pytest.raises((UsageError, click.UsageError)):
        command_of(verb).main([*ARGUMENTS[verb], *words], standalone_mode=False)


@pytest.mark.parametrize("verb", ARGUMENTS)
def test_the_options_of_every_verb_arrive(verb, recorded, capsys):
    """--quiet and --json reach the console, and --debug the end of the process."""
    for words, traceback in (([], False), (["--debug"], True)):
        with pytest.raises(SystemExit):
            shell.run(command_of(verb), [*ARGUMENTS[verb], *words])
        assert ("Traceback" in capsys.readouterr().err) is traceback


def test_quiet_and_json_make_the_console(recorded, monkeypatch):
    consoles = []
    monkeypatch.setattr(shell, "_show_log", consoles.append)
    for verb in ARGUMENTS:
        for words in ([], ["--quiet"], ["--json"]):
            with pytest.raises(Arrived):
                command_of(verb).main([*words, *ARGUMENTS[verb]], standalone_mode=False)
    assert [(c.quiet, c.json) for c in consoles] == [(False, False), (True, False), (False, True)] * len(ARGUMENTS)


GROUP = {"--task": "classification", "--pretrained": None, "--match": "*mnist*"}


@pytest.mark.parametrize("option", GROUP)
def test_options_of_the_list_of_models(option, capsys):
    lists = []
    for more in ([], [option, *filter(None, [GROUP[option]])]):
        verbs.main_command.main(more, standalone_mode=False)
        words_of_lines = [line.split()[:2] for line in capsys.readouterr().out.splitlines()]
        lists.append({word.strip("`") for line in words_of_lines for word in line} & set(zoo.list_models(listed=True)))
    assert set() < lists[1] < lists[0]


def test_a_pattern_finds_exercises_too(capsys):
    verbs.main_command.main(["--match", "mnist*"], standalone_mode=False)
    shown = capsys.readouterr().out
    assert {"mnist", "mnist_cnn"} <= {line.split()[0] for line in shown.splitlines()}
    assert "data of your own" not in shown


@pytest.mark.parametrize("words", [["--match", "m*"], ["--pretrained"], ["--json"], ["--quiet"]])
def test_options_of_the_list_before_a_verb_are_refused(words):
    with pytest.raises(click.UsageError, match="belongs to the list of models"):
        verbs.main_command.main([*words, "info", "mnist"], standalone_mode=False)
