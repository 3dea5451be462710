"""Links of the documentation resolve, commands parse, snippets run, tables are current; the README is short."""

import ast
import configparser
import copy
import dataclasses
import functools
import inspect
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner
from matplotlib.figure import Figure

import pipelines.catalogue
import zoo
import zoo.models
from benchmarks import plots as benchmark_plots
from benchmarks import scaling
from docs import architecture, figures, model_table, pages, recipes, ship, site, tables
from docs.course import index, notebook
from docs.course.lessons import LESSONS
from docs.experiments import EXPERIMENTS, MODEL, PRECISION
from tests.commands import run
from zoo import weights
from zoo.cli.options import parse_settings
from zoo.core import registry
from zoo.core.plan import make_plan
from zoo.core.recipe import Recipe
from zoo.evaluation import plots
from zoobase.errors import ZooError

pytestmark = pytest.mark.extended  # of the repository, not of what the packages do

PAGE = (Path(recipes.__file__).parent / "recipes.md").read_text()
RESULTS = json.loads((recipes.IMAGES / "results.json").read_text())


def test_the_page_is_what_the_results_say():
    assert recipes.page(RESULTS) == PAGE, "run `python -m docs.recipes`"


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda e: e.name)
def test_each_command_trains_what_its_row_shows(experiment):
    assert f"recipes/{experiment.name}.png" in PAGE
    assert (recipes.IMAGES / f"{experiment.name}.png").stat().st_size > 10_000
    for label in experiment.variants:
        command = re.search(rf"^    # {re.escape(label)}\n    (python .*)$", PAGE, re.MULTILINE).group(1)
        assert f"    {experiment.command(label)}\n" in PAGE
        words = shlex.split(command)
        pairs = [words[i + 1] for i, word in enumerate(words) if word == "--set"]
        plan = make_plan(MODEL, settings=parse_settings(pairs), precision=PRECISION)
        assert words[3] == MODEL
        assert {"test_loss", "val_loss"} <= RESULTS[experiment.name]["rows"][label].keys()
        assert f"{plan.command()} --precision {PRECISION} --no-export" == command


def test_the_page_names_every_field_and_shows_those_of_the_course():
    fields = {f.name for f in dataclasses.fields(Recipe)}
    named = dict(re.findall(r"^\| `(\w+)` \|.* \| ([^|]+) \|$", PAGE, re.MULTILINE))
    assert named.keys() == fields
    course = {"restarts", "momentum", "schedule", "decay", "l1", "l2", "weight_decay", "dropout", "patience", "augment"}
    assert {f for f, shown in named.items() if shown == "not shown here"}.isdisjoint(course)


def test_links_within_the_page_lead_to_headings():
    anchors = {recipes._anchor(title) for title in re.findall(r"^## (.+)$", PAGE, re.MULTILINE)}
    assert set(re.findall(r"\(#([^)]+)\)", PAGE)) <= anchors


ROOT = Path(recipes.__file__).parent.parent
WRITTEN = sorted({*(ROOT / "docs").rglob("*.md")} - pages.committed().keys())
FILES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *WRITTEN]
GENERATED = {path.resolve(): text for path, text in pages.pages().items()}
MODELS_PATH = list(zoo.models.__path__)
FOLDERS = {"run", "tuned"}  # of the reader, in commands that write them first
PLACEHOLDERS = {"S": "0"}  # of options that take a number


@functools.cache
def text_of(path):
    """The text of a page, written or generated."""
    return GENERATED[path]() if path in GENERATED else path.read_text()


def without_code(text):
    return re.sub(r"```.*?```|`[^`\n]+`", "", text, flags=re.DOTALL)


@functools.cache
def anchors(path):
    """The anchors of the headings of a page, as Python-Markdown and GitHub make them."""
    titles = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text_of(path), flags=re.DOTALL), re.MULTILINE)
    return {recipes._anchor(title.replace("`", "")) for title in titles}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_and_images_resolve(path):
    """Also where the repository is shown: to files under version control."""
    folder = pages.MODELS if path.parent == pages.NOTES else path.parent  # notes become part of a model page
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(path.read_text())):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        found = Path(os.path.normpath(folder / file)) if file else path
        assert found.exists(), f"{path.name}: {target}"
        assert found.is_dir() or tracked(found), f"{path.name}: {target}"
        if anchor and found.suffix != ".md":
            assert 0 < int(anchor.removeprefix("L")) <= len(found.read_text().splitlines()), f"{path.name}: {target}"
        elif anchor:
            assert anchor in anchors(found), f"{path.name}: {target}"


@pytest.mark.parametrize("path", [*FILES, *sorted(GENERATED)], ids=lambda p: str(p.relative_to(ROOT)))
def test_figures_have_an_alternative_text_and_a_caption(path):
    assert figures.problems(text_of(path)) == []


def test_a_figure_without_an_alternative_text_or_caption_stops_the_site():
    good = figures.figure("x/loss_curves.png", "Training loss by epoch")
    figures.check(
        {"x.md": good + "\n\n`![png](x.png)`\n", "y.md": f"| {figures.figure('b.png', 'a b c d', cell=True)} |"}
    )
    for shown in ("", "png", "loss_curves", "model: curves", "fashion_mnist"):
        with pytest.raises(ZooError, match=r"x\.md: the alternative text of x/loss_curves\.png"):
            figures.check({"x.md": good.replace("![Training loss by epoch]", f"![{shown}]")})
    with pytest.raises(ZooError, match=r"x/loss_curves\.png has no caption"):
        figures.check({"x.md": good.split("\n")[0] + "\n\nThe text goes on."})
    with pytest.raises(ZooError, match=r"<img src='a\.png'> has no alternative text"):
        figures.check({"x.md": "<img src='a.png'>"})


@functools.cache
def tracked(path):
    done = subprocess.run(["git", "check-ignore", "-q", str(path)], cwd=ROOT, check=False)
    return done.returncode == 1


def test_the_reference_can_be_read_in_the_repository():
    text = pages.api_page("zoo")
    build = text.partition("## zoo.build\n")[2].partition("\n## ")[0]
    assert "zoo.build(\n    name: ModelName,\n" in build
    assert "    *,\n    include_top: bool = True,\n" in build
    assert "**Raises**\n\n- `UsageError`: " in build
    assert re.search(r"\*\*Example\*\*\n\n```python\n>>> ", build)
    assert ":::" not in text
    for name in pages.PACKAGES:
        assert f"docs/api/{name.replace('.', '_')}.md" in site.REFERENCE
    page = site.rewritten("[zoo](api/zoo.md)", site.DOCS / "index.md", {})
    assert page == "[zoo](reference/zoo.md)"


HISTORY = [{"epoch": e, "loss": 1 / e, "val_loss": 1 / e, "learning_rate": 1e-3} for e in (1, 2)]
TRUTH, SCORES = np.arange(30) % 3, np.random.default_rng(0).dirichlet(np.ones(3), 30)
IMAGES = np.random.default_rng(0).uniform(0, 255, (4, 8, 8, 1))
TIMES = np.array(["2026-11-29", "2026-11-30"], "datetime64[D]")
FIGURES = {
    "curves": lambda: plots.curves(HISTORY, "a model"),
    "one epoch": lambda: plots.curves(HISTORY[:1], "a model"),
    "compared": lambda: plots.compared({"a": HISTORY, "b": HISTORY}),
    "confusion_matrix": lambda: plots.confusion_matrix(np.eye(3), "abc"),
    "calibration": lambda: plots.calibration(SCORES.max(1), SCORES.argmax(1) == TRUTH),
    "roc": lambda: plots.roc(TRUTH, SCORES, "abc", 1),
    "precision_recall": lambda: plots.precision_recall(TRUTH, SCORES, "abc", 1),
    "over_time": lambda: plots.over_time(np.arange(2.0), np.ones(2), "count"),
    "over_time, dates": lambda: plots.over_time(np.arange(2.0), np.ones(2), "count", TIMES),
    "forecast": lambda: plots.forecast(np.ones(9), np.ones(4), np.ones(4), None, {"a": np.ones(4)}, "count", "hour"),
    "image_grid": lambda: plots.image_grid(IMAGES, None, "images"),
    "image_rows": lambda: plots.image_rows({"a": IMAGES}, "images"),
    "scatter": lambda: plots.scatter(SCORES[:, :2], TRUTH, "abc", "points"),
    "words": lambda: plots.words(SCORES[:3, :2], "abc", 1, "words"),
    "alignments": lambda: plots.alignments([(np.eye(2), "ab", "cd")], "attention"),
    "line": lambda: plots.line([1, 2], "x", "y", "a line"),
    "scaling": lambda: scaling.draw(json.loads(scaling.RESULTS.read_text())),
    **{
        name: functools.partial(benchmark_plots.draw, result)
        for name, result in json.loads((Path(benchmark_plots.__file__).parent / "results.json").read_text()).items()
    },
}


@pytest.mark.parametrize("name", FIGURES)
def test_axes_of_numbers_have_names(name):
    figures.check_axes(FIGURES[name](), name)


def test_every_function_that_draws_is_among_these_figures():
    functions = {
        name for name, value in inspect.getmembers(plots, inspect.isfunction) if value.__module__ == plots.__name__
    }
    assert {f for f in functions if not f.startswith("_")} - {"caption", "pixels", "save"} <= set(FIGURES)


def test_an_axis_without_a_name_is_an_error():
    figure = Figure()
    left, right = figure.subplots(1, 2, sharey=True)
    for axes in (left, right):
        axes.plot([1, 2], [3, 4])
        axes.set(xlabel="epoch")
    left.set(title="Loss")
    with pytest.raises(ZooError, match=r"^the figure loss has axes without a name: y of 'Loss'$"):
        figures.check_axes(figure, "loss")
    left.set(ylabel="loss")
    figures.check_axes(figure, "loss")
    left.barh(["a", "b"], [1, 2])
    right.set(xlabel="", xscale="log")
    assert figures.unnamed_axes(figure) == ["x of ''"]
    right.clear()
    right.imshow(np.eye(3))
    assert figures.unnamed_axes(figure) == []


def test_no_page_shows_a_line_of_a_tool():
    """GitHub shows `--8<--` and `:::` as they are."""
    for path in [*FILES, *pages.committed()]:
        lines = [line for line in path.read_text().splitlines() if re.match(r"\s*(--8<--|:::|\?\?\?|!!!) ?", line)]
        assert not lines, (path, lines)


@pytest.mark.extended
def test_pages_of_models_and_datasets_are_current():
    folders = (pages.MODELS, pages.DATASETS, pages.API)
    assert {path for folder in folders for path in folder.glob("*.md")} == set(pages.committed())
    for path in pages.committed():
        assert path.read_text() == text_of(path.resolve()), f"{path.name}: run `make tables`"


def test_the_page_of_a_dataset_says_what_it_is():
    for path in pages.DATASETS.glob("*.md"):
        if path.stem != "index":
            fields = re.findall(r"^- \*\*([\w ]+)\*\*: \S", path.read_text(), re.MULTILINE)
            assert {"Sources", "Features", "Splits", "Licence"} <= set(fields), path.name
            assert "sample" in path.read_text(), path.name


def test_arguments_of_a_model_are_a_list():
    text = (pages.MODELS / "autoencoder.md").read_text()
    assert "Args:" not in text
    assert "- `latent_dim` (`null`): Dimensions of the code;" in text
    assert "- `UsageError`: Height or width" in text


def test_links_of_the_site_lead_to_its_pages():
    code = {}
    text = (
        "[a](../../zoo/core/settings.py) [b](../../zoo/models/mnist.py#L5) [c](notebooks/text.py) [d](index.md) [e](x)"
    )
    page = ROOT / "docs" / "course" / "text.md"
    links = re.findall(r"\((.*?)\)", site.rewritten(text, page, code))
    anchor = "zoo-models-mnist-py-l5"
    assert links == [
        "../reference/settings.md",
        f"../reference/code.md#{anchor}",
        "notebooks/text.ipynb",
        "index.md",
        "x",
    ]
    assert code == {"zoo/models/mnist.py#L5": anchor}
    assert site.rewritten("```python\n[a](../../zoo/core/settings.py)\n```", page, {}).count("settings.py") == 1


def test_the_page_of_code_shows_definitions():
    path, line = notebook.location("zoo.modeling.perceptual_loss.gram_matrix")
    text = site.code_page({f"{path}#L{line}": "here"})
    assert "{#here}" in text
    assert text.count("def ") == 1
    assert "transpose_a=True" in text


def test_katex_is_pinned(monkeypatch, tmp_path):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))

    def pack(command, **_):
        (Path(command[4]) / "katex.tgz").write_bytes(b"something else")

    monkeypatch.setattr(subprocess, "run", pack)
    with pytest.raises(ZooError, match="not the pinned package"):
        site.katex()


def test_navigation_has_every_page_once():
    navigation = (ROOT / "mkdocs.yml").read_text().split("\nnav:\n")[1]
    listed = [ROOT / "docs" / name for name in re.findall(r"([\w/-]+\.md)", navigation)]
    expected = (
        {p for p in GENERATED if p.parent != pages.API}
        | {p for p in WRITTEN if p.parent != pages.NOTES}
        | {ROOT / "docs" / site.CODE}
    )
    assert len(listed) == len(set(listed))
    assert set(listed) == expected


def test_notes_belong_to_models():
    assert {p.stem for p in pages.NOTES.glob("*.md")} <= set(zoo.list_models())


def commands(text):
    """Command lines of a page: those in blocks and those in running text."""
    lines = re.findall(r"^(?:    )?((?:[A-Z_]+=\S+ )?python -m .+)$", text, re.MULTILINE)
    lines += re.findall(r"`((?:[A-Z_]+=\S+ )?python -m [^`]+)`", text)
    return [line for line in lines if "pytest" not in line]


def parse(command, words, name):
    verbs = [word for word in words if not word.startswith("-")]
    if isinstance(command, click.Group) and verbs:
        with click.Context(command, info_name=name) as context:
            verb = command.get_command(context, verbs[0])
        assert verb is not None, f"{name} has no command {verbs[0]}"
        return parse(verb, words[words.index(verbs[0]) + 1 :], f"{name} {verbs[0]}")
    command = copy.copy(command)  # a command that takes a model adds the options of the model to itself
    if "--help" in words:
        with pytest.raises(click.exceptions.Exit):
            command.make_context(name, list(words))
        return {}
    return command.make_context(name, list(words)).params


EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
NOTEBOOKS = sorted(notebook.FOLDER.glob("*.py"))
HELP = {folder / "commands.md" for folder in (pages.REFERENCE, pages.API)}  # the help of commands, with usage lines
PAGES = [*FILES, *EXAMPLES, *NOTEBOOKS, *sorted(set(GENERATED) - HELP)]


@pytest.mark.parametrize("path", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_commands_parse_and_resolve(path, monkeypatch, capsys):
    """Generated pages included; models, datasets and settings exist, and a training has its data."""
    for line in commands(text_of(path)):
        words = [PLACEHOLDERS.get(word, word) for word in shlex.split(line, comments=True)]
        while "=" in words[0]:
            name, _, value = words.pop(0).partition("=")
            assert name == "ZOO_MODELS_PATH"
            monkeypatch.setattr(zoo.models, "__path__", [*MODELS_PATH, str(ROOT / value)])
        module, arguments = words[2], words[3:]
        try:
            command = pages.command(module)
        except LookupError:  # a plain script
            continue
        mention = f"`{line}`" in text_of(path)  # a name in running text, without its arguments
        try:
            params = parse(command, arguments, module)
        except (click.exceptions.MissingParameter, click.exceptions.NoArgsIsHelpError):
            assert mention, line
            continue
        check_names(line, module, params)
        if module in ("zoo.train", "zoo.tune") and params.get("name") in registry.entries():
            check_settings(line, params)


def check_names(line, module, params):
    """What a command takes as a model is one, or stands for a file or folder of the reader."""
    name = params.get("name") if module.startswith("zoo") else None
    if isinstance(name, str) and module in ("zoo.train", "zoo.tune", "zoo.export"):
        own = name.isupper() or "/" in name or name in FOLDERS
        assert name in registry.entries() or own, line
    if module == "docs.course":
        assert set(params["names"]) <= {lesson.name for lesson in LESSONS} | {"[PAGE...]", "NAME"}, line


def printed():
    """Yield each command that a string of the packages gives as the next one; X is a value."""
    for path in sorted(p for package in ("zoo", "pipelines", "export") for p in (ROOT / package).rglob("*.py")):
        tree = ast.parse(path.read_text())
        parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                values = [part.value if isinstance(part, ast.Constant) else "X" for part in node.values]
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts:
                values = [node.value]
            else:
                continue
            for line in re.findall(r"(?i)\bnext: .*?(python -m .+)$|^ +(python -m .+)$", "".join(values), re.MULTILINE):
                yield next(filter(None, line))


def check_printed(line):
    """The verb and its options exist; values are not known here."""
    line = re.sub(r"[\[\]]", "", re.split(r"\s{3,}| where ", line)[0])
    words = [word for word in shlex.split(line, comments=True) if word != "X..."]
    if words[2] in ("zoo.X", "http.server"):
        return
    try:
        parse(pages.command(words[2]), words[3:], words[2])
    except (click.NoSuchOption, click.MissingParameter) as error:
        raise AssertionError(f"{line}: {error.format_message()}") from error
    except click.BadParameter:  # X is no file, number or name
        pass


def test_the_commands_that_commands_print_exist():
    lines = list(printed())
    assert len(lines) > 20
    for line in lines:
        check_printed(line)
    with pytest.raises(AssertionError, match="No such option"):
        check_printed("python -m pipelines preview X --date-dir X")
    with pytest.raises(AssertionError, match="no command previw"):
        check_printed("python -m pipelines previw X")


@pytest.mark.parametrize("name", zoo.list_models())
def test_the_next_command_of_a_model_has_its_data(name):
    from zoo.info import main

    out = CliRunner().invoke(main, [name]).stdout
    line = re.search(r"^next: (python -m .+)$", out, re.MULTILINE)[1]
    words = shlex.split(line)
    params = parse(pages.command(words[2]), words[3:], words[2])
    if words[2] == "zoo.train":
        check_settings(line, params)


def test_a_command_of_a_model_that_is_gone_is_noticed():
    command = pages.command("zoo.train")
    with pytest.raises(AssertionError, match="mnits"):
        check_names("python -m zoo.train mnits", "zoo.train", {"name": "mnits"})
    assert parse(command, ["mnist"], "zoo.train")["name"] == "mnist"


def test_a_training_without_its_data_is_noticed():
    params = parse(pages.command("zoo.train"), ["landmarks"], "zoo.train")
    with pytest.raises(AssertionError, match=r"zoo\.train landmarks"):
        check_settings("python -m zoo.train landmarks", params)
    check_settings("", parse(pages.command("zoo.train"), ["landmarks", "--data-dir", "X"], "zoo.train"))


def test_extras_exist():
    """`pip install '.[x]'` of every page names an extra."""
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    extras = set(parser["options.extras_require"])
    for path in PAGES:
        for names in re.findall(r"pip install '?\.\[([\w,]+)\]", text_of(path)):
            assert set(names.split(",")) <= extras, path


def check_settings(line, params):
    """`--recipe` and `--set` name what the model has, and data that only the user has is given."""
    spec = zoo.get_spec(params["name"])
    named = [pair.removeprefix("data=") for pair in params["settings"] if pair.startswith("data=")]
    data = named[0] if named else spec.data
    if data in pipelines.list_datasets() and pipelines.catalogue.get_entry(data).needs_data_dir:
        assert params.get("data_dir") or params.get("resume"), line
    recipe = spec.recipe(params["recipe"] or "default")
    for pair in params["settings"]:
        kind, _, field = pair.partition("=")[0].partition(".")
        if kind == "data":
            assert pair.partition("=")[2] in (*pipelines.list_datasets(), "NAME"), line
        elif kind != "model":
            owner = {"recipe": recipe, "task": spec.task}[kind]
            assert field in (*(f.name for f in dataclasses.fields(owner)), "FIELD"), line


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_python_blocks_are_python(path):
    for block in re.findall(r"```python\n(.*?)```", path.read_text(), re.DOTALL):
        compile(block, str(path), "exec")


def python(code, **environment):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    done = run("-c", code, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def block(page, number=0):
    return re.findall(r"```python\n(.*?)```", (ROOT / "docs" / page).read_text(), re.DOTALL)[number]


@pytest.mark.extended
def test_snippet_of_the_feed(tmp_path):
    assert python(block("concepts/feed.md"), ZOO_CACHE=str(tmp_path)) == "1257 10\n"


@pytest.mark.extended
def test_snippet_of_a_task(tmp_path):
    (tmp_path / "balanced.py").write_text(block("how-to/add-a-task.md"))
    code = "import zoo; print(zoo.build('balanced').count_params(), zoo.get_spec('balanced').task.title)"
    assert python(code, ZOO_MODELS_PATH=str(tmp_path)) == "101770 balanced image classification\n"


@pytest.mark.extended
def test_snippets_of_a_dataset(tmp_path):
    page = "how-to/add-a-dataset.md"
    (tmp_path / "circle.py").write_text(block(page, 3))
    code = f"import os; os.chdir({str(tmp_path)!r})\n" + block(page, 0) + block(page, 1)
    code += "print(table.info.num_classes, pipelines.load('circle').info.counts)"
    accuracy, counts = python(code, ZOO_DATASETS_PATH=str(tmp_path), ZOO_CACHE=str(tmp_path)).splitlines()
    assert float(accuracy) > 0.5
    assert counts == "2 {'train': 800, 'validation': 100, 'test': 100}"


def test_drawing_is_current():
    assert architecture.FILE.read_text() == architecture.draw(), "run `make tables`"


def test_the_documented_methods_of_a_task_exist():
    """A row of the page's table is `name(arguments)`, as in BaseTask."""
    from zoo.core.task import BaseTask

    rows = [line for line in (ROOT / "docs/how-to/add-a-task.md").read_text().splitlines() if line.startswith("| `")]
    documented = [call for row in rows for call in re.findall(r"`(\w+)\(([\w, ]*)\)`", row.split("|")[1])]
    assert len(documented) >= 7
    for name, arguments in documented:
        parameters = [name for name in inspect.signature(getattr(BaseTask, name)).parameters if name != "self"]
        assert arguments.split(", ") == parameters, name


README = (ROOT / "README.md").read_text()


def test_readme_is_at_most_8_kilobytes():
    assert len(README.encode()) <= 8 * 1024


def test_readme_names_every_how_to():
    named = set(re.findall(r"\(docs/how-to/([\w-]+\.md)\)", README))
    assert named == {path.name for path in (ROOT / "docs" / "how-to").glob("*.md")}


@pytest.mark.parametrize(("path", "name", "text"), tables.blocks(), ids=lambda value: getattr(value, "name", None))
def test_generated_tables_are_current(path, name, text):
    assert tables.current(path, name) == text, "run `make tables`"


def test_the_table_says_which_data_a_figure_was_measured_on():
    lines = model_table.markdown_table(zoo.list_models()).splitlines()
    rows = {row.split("`")[1]: row for row in lines if row.startswith("| [`")}
    assert "mnist_5k" in rows["mnist"]
    for name in zoo.list_models():
        _, _, _, figure, data, _, _ = rows[name].split("|")
        assert bool(figure.strip()) == bool(data.strip()) == bool(zoo.get_spec(name).card.expect), name


def test_exercises_are_listed_with_the_course_only():
    exercises = {name for name in zoo.list_models() if zoo.get_spec(name).card.of_course}
    others = set(zoo.list_models(listed=False)) - exercises
    assert {"admissions", "gan", "mnist"} <= exercises
    assert {"flowers", "forecast", "table"} <= others
    assert not any(zoo.get_spec(name).weights or zoo.get_spec(name).card.expect for name in others)
    for text in (README, pages.models_index(), tables.current(ROOT / "mkdocs.yml", "models")):
        named = set(re.findall(r"(?:models/|\()(\w+)\.md", text))
        assert "fashion_mnist" in named or text == README
        assert not named & (exercises | others)
    course = tables.current(ROOT / "mkdocs.yml", "course")
    assert exercises | others <= set(re.findall(r"models/(\w+)\.md", course))
    assert exercises <= set(re.findall(r"^\| \[`(\w+)`\]", index.text(), re.MULTILINE))


def test_a_figure_of_another_dataset_is_named():
    for name in zoo.list_models():
        card = zoo.get_spec(name).card
        if "--set data=" in card.command:
            dataset = card.command.split("--set data=")[1].split()[0]
            assert card.test_data.startswith(dataset), name


def flattened(value):
    """The numbers of a description."""
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [value] if isinstance(value, float) else [number for part in parts for number in flattened(part)]


@pytest.mark.parametrize("name", weights.shipped_models())
def test_figures_of_shipped_weights_are_those_of_their_description(name):
    """The card has them, from which tables are generated; a sentence that names the model has no number close to it."""
    record, card = weights.description(name), zoo.get_spec(name).card
    for metric, figure in card.expect.items():
        assert round(record["metrics"][metric], len(repr(figure).partition(".")[2])) == figure
    value = next(iter(card.expect.values()))
    repeats = [metrics for seed, metrics in record.get("seeds", {}).items() if seed != str(record["seed"])]
    known = flattened([repeats, *(record.get(key, {}) for key in ("metrics_of_the_run", *ship.EVALUATED))])
    own = pages.NOTES / f"{registry.get_entry(name).variant_of or name}.md"
    for path in FILES:
        for sentence in re.split(r"(?<=[.;]) |\n\n|\n\||\n- ", path.read_text()):
            if re.search(rf"\b{name}\b", sentence) or (path == own and "shipped" in sentence):
                for number in re.findall(r"(?<![\d.])\d+\.\d{3,}(?![\d.])", re.sub(r"\(\S+ to \S+\)", "", sentence)):
                    is_near = abs(float(number) - value) <= 1.5e-3 * abs(value)
                    same = any(f"{one:.{len(number.partition('.')[2])}f}" == number for one in known)
                    assert same or not is_near, f"{path.name}: {number}, not {value}: {sentence}"


def test_ci_runs_the_test_command_of_the_readme():
    assert "    make test" in README
    assert "make test" in (ROOT / ".ci" / "run").read_text().splitlines()


def test_cards_with_a_figure_name_its_command():
    for name in zoo.list_models():
        card = zoo.get_spec(name).card
        assert bool(card.expect) == bool(card.command) == bool(card.measured_on), name


def test_weights_are_in_the_wheel():
    """`pip install .` without --editable installs the weights that `zoo.build(weights="default")` loads."""
    # in a process of its own, because setuptools must be imported before distutils
    code = (
        "from setuptools import Distribution as D; d = D(); d.parse_config_files(); print(json.dumps(d.package_data))"
    )
    command = [sys.executable, "-c", f"import json; {code}"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    patterns = json.loads(printed)["zoo.weights"]
    found = {path.name for pattern in patterns for path in (ROOT / "zoo" / "weights").glob(pattern)}
    shipped = [w.source for name in zoo.list_models() for w in zoo.get_spec(name).weights.values() if w.fetch is None]
    assert shipped
    assert set(shipped) <= found
