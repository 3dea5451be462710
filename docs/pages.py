"""python -m docs.pages: write docs/models and docs/datasets, a page for each.

A model's is from its spec, its card and docs/model_notes/NAME.md, a dataset's from the docstring of its file.

These pages are under version control, because other pages link to them. Those of docs/reference are
not: the public names of `zoo`, `export` and `pipelines` for mkdocstrings, the help of every command, the datasets
and the settings of a training. `python -m docs.site` writes them for the site.
"""

import dataclasses
import functools
import importlib
import inspect
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

import zoo
from docs import api, model_figures
from docs.course.lessons import LESSONS
from docs.figures import figure
from docs.model_figures import FACTS
from docs.model_figures import HERE as MODEL_FIGURES
from pipelines import catalogue
from zoo.core import registry
from zoo.core.recipe import Recipe, default_of
from zoo.core.settings import TrainSettings

HERE = Path(__file__).parent
MODELS, DATASETS, NOTES = HERE / "models", HERE / "datasets", HERE / "model_notes"
REFERENCE = HERE / "reference"  # written for the site only
API = HERE / "api"  # the same for readers of the repository
PACKAGES = ("zoo", "zoo.tasks", "export", "pipelines")
HIGHER_IS_BETTER = ("accuracy", "exact", "mean_iou", "psnr_db", "spearman_men")
COMMANDS = ("zoo", "export", "pipelines")


def model_page(name: str) -> str:
    """Return the page of a model."""
    from docs.model_table import shipped_weights
    from zoo.info import run

    card = run(name)
    builder = getattr(zoo, name)
    docstring = inspect.getdoc(builder) or card["summary"]
    summary, _, details = docstring.partition("\n")
    facts = {
        "task": card["task"],
        "default dataset": f"[`{card['data']}`](../datasets/{card['data']}.md)",
        "parameters": f"{card['parameters']:,}",
        "weights": shipped_weights(name),
        "licence": card["licence"],
        "reference": card["paper"],
        "lessons": ", ".join(
            f"[{lesson.title}](../course/{lesson.name}.md)" for lesson in LESSONS if name in lesson.models
        )
        or "none",
    }
    parts = [f"# {name}", summary]
    prose, arguments, raised = _sections(details)
    parts += [prose.replace("->", "→")] if prose else []
    parts += ["\n".join(["| | |", "|---|---|", *(f"| {key} | {value} |" for key, value in facts.items())])]
    parts += ["## Figures", *_figures(card)]
    parts += _shown(name)
    reason = getattr(zoo.get_spec(name).task, "not_trained", "")
    parts += ["## Train", *([f"{reason}."] if reason else [f"    {card['command']}", _recipes(card["recipes"])])]
    parts += ["## Builder arguments", _arguments(card["arguments"], arguments)]
    parts += ["Raises:", "\n".join(f"- `{error}`: {when}" for error, when in raised.items())] if raised else []
    parts += ["## Variants", _variants(card["variants"])] if card["variants"] else []
    parts += ["## Build", _build(name, card["weights"])]
    parts += [f"> **Note:** {card['notes']}"] if card["notes"] else []
    notes = NOTES / f"{name}.md"
    parts += [notes.read_text(encoding="utf-8").strip()] if notes.is_file() else []
    return "\n\n".join(parts) + "\n"


def _variants(summaries: Mapping[str, str]) -> str:
    """Return the models of the same builder with other arguments: what differs, weights, metrics."""
    from docs.model_table import shipped_weights

    lines = []
    for name, summary in summaries.items():
        expect = zoo.get_spec(name).card.expect if registry.get_entry(name).weights else {}
        facts = [f"weights: {shipped_weights(name)}", *(f"{metric} {value:g}" for metric, value in expect.items())]
        figures = [_figure(name, path.stem) for path in sorted((MODEL_FIGURES / name).glob("*.png"))]
        lines.append("\n\n".join([f"- `{name}`: {summary} ({', '.join(facts)})", *figures]))
    return "\n".join(lines)


def _figures(card: Mapping[str, Any]) -> Iterator[str]:
    if not card["expect"]:
        yield "No metric has been measured for this model on its default data."
        return
    rows = [f"| `{metric}` | {value:g} |" for metric, value in card["expect"].items()]
    yield "\n".join([f"| metric on {card['test_data']} | |", "|---|---:|", *rows])
    yield f"Measured by `{card['command']}` on {card['measured_on']}."
    if card["quoted"]:
        yield f"Quoted: {card['quoted']}."
    if card["published"]:
        yield f"Published: {card['published']}."


def _shown(name: str) -> Iterator[str]:
    """Yield what `python -m docs.model_figures` has written for a model: figures, answers, certificate."""
    folder = MODEL_FIGURES / name
    if not (folder / FACTS).is_file():
        return
    facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    for shown in facts["figures"]:
        yield _figure(name, shown)
    for answer in facts["answers"]:
        yield f"    {answer['command']}\n\n" + "\n".join(f"    {line}" for line in answer["text"].splitlines())
    yield "## Certificate"
    yield certificate(name)
    yield f"The bundle of `python -m zoo.export {name}`; [what a certificate says](../concepts/certificate.md)."


def _figure(name: str, shown: str) -> str:
    """Return a figure that `python -m docs.model_figures` has written, with what it shows and what it was made from."""
    return figure(
        f"../model_figures/{name}/{shown}.png",
        model_figures.SHOWN[shown].format(name=name),
        f"Shipped weights; `python -m docs.model_figures {name}`.",
    )


def certificate(name: str) -> str:
    """Return the rows of the certificate of a model with trained weights, as `docs.model_figures` has written them."""
    facts = json.loads((MODEL_FIGURES / name / FACTS).read_text(encoding="utf-8"))
    rows = [
        f"| `{row['artifact']}` | {row['runtime']} | {row['max_error']:.1e} | {row['bytes'] / 1e6:.2f} |"
        for row in facts["rows"]
    ]
    return "\n".join(["| artifact | runtime | largest difference | MB |", "|---|---|---:|---:|", *rows])


def _recipes(recipes: Mapping[str, Mapping[str, Any]]) -> str:
    blocks = []
    for recipe, fields in recipes.items():
        settings = ", ".join(f"`{key}={json.dumps(value)}`" for key, value in fields.items())
        blocks.append(f"- Recipe `{recipe}`: {settings}.")
    return "\n".join([*blocks, "", "Every field is described in [recipes](../recipes.md#every-field)."])


def _sections(details: str) -> tuple[str, dict[str, str], dict[str, str]]:
    """Return the prose of a docstring, and {name: description} of its sections `Args` and `Raises`."""
    prose, *rest = re.split(r"^(Args|Raises|Returns|Example):\n", details.strip() + "\n", flags=re.MULTILINE)
    sections = dict(zip(rest[::2], rest[1::2], strict=True))
    found = {}
    for title in ("Args", "Raises"):
        entries = re.findall(r"^    (\w+): (.*(?:\n      .*)*)", sections.get(title, ""), re.MULTILINE)
        found[title] = {name: " ".join(text.split()) for name, text in entries}
    return prose.strip(), found["Args"], found["Raises"]


def _arguments(arguments: Mapping[str, Any], described: Mapping[str, str]) -> str:
    """Return the arguments as a list: a table would break their names."""
    lines = []
    for name, value in arguments.items():
        choices = isinstance(value, list) and all(isinstance(choice, str) for choice in value)
        default = f"one of {', '.join(f'`{choice}`' for choice in value)}" if choices else f"`{json.dumps(value)}`"
        lines.append(f"- `{name}` ({default if len(default) < 200 else 'see the source'}): {described.get(name, '')}")
    return "\n".join(line.removesuffix(": ") for line in lines)


def _build(name: str, weights: list[str]) -> str:
    argument = f', weights="{weights[0]}"' if weights else ""
    return f'```python\nimport zoo\n\nmodel = zoo.build("{name}"{argument})\n```'


def models_index() -> str:
    """Return the page that lists the models."""
    from docs.model_table import markdown_table

    table = markdown_table(zoo.list_models(listed=True))
    return (
        "# Models\n\n*Measured on* names the data on "
        f"whose test split the figure was measured; it is empty where nothing was measured. The [models of the course]"
        f"(../course/index.md#models-of-the-course) are listed there.\n\n{table}\n"
        '## Trained weights\n\n`weights="default"`: the figure of the shipped file on the test split, which `make '
        "proof` measures again, beside the best of the baselines, which the same command fits, or one that the model's "
        "page names. Settings were chosen on validation. *No gain*: the 95 % interval of the paired difference has 0 "
        "in it.\n\n" + weights_table() + "\n\n## Weights of others\n\nDownloaded from packages by their sha256, "
        "read without running anything of them, and converted to Keras once. The outputs are compared with those of "
        "the makers' own programs on real inputs (`python -m pytest -m proof tests/zoo/weights`): the largest "
        "difference is a share of the largest output, or of a probability of 1.\n\n" + packages_table()
    )


def packages_table() -> str:
    """Return the table of weights in packages, with what the proofs measured."""
    from zoo.weights import packaged

    lines = ["| model | package | licence | MB | largest difference |", "|---|---|---|---:|---:|"]
    for name, facts in sorted(packaged.facts().items()):
        if "difference" in facts:
            package = facts["package"] if "package" in facts else f"{facts['npm'][0]} (npm)"
            figures = f"{facts['size'] / 1e6:.1f} | {facts['difference']:.1e}"
            model = f"[`{name}`]({name}.md)" if name in zoo.list_models() else f"`{name}`"
            lines.append(f"| {model} | {package} | {facts['licence']} | {figures} |")
    return "\n".join(lines) + "\n"


def weights_table() -> str:
    """Return the table of shipped weights, from the records of the runs that made them."""
    from zoo import weights
    from zoo.core import weight_files
    from zoo.evaluation.generative_metrics import REAL_HALVES

    lines = [
        "| model | metric | test, 95 % interval | other seeds | baseline | | than it | published | minutes | MB |",
        "|---|---|---:|---|---|---:|---|---|---:|---:|",
    ]
    for name in (n for n in weights.shipped_models() if registry.get_entry(n).listed):
        spec = zoo.get_spec(name)
        record, metric = weights.description(name), next(iter(spec.card.expect))
        value, baselines = spec.card.expect[metric], dict(list(record.get("compared", {}).items())[1:])
        scores = {k: v[metric] for k, v in baselines.items() if metric in v and k != REAL_HALVES}
        scores |= spec.card.baselines
        sign = 1 if metric in HIGHER_IS_BETTER else -1
        best = max(scores, key=lambda k, scores=scores, sign=sign: sign * scores[k], default="")
        seeds = [m[metric] for seed, m in record.get("seeds", {}).items() if seed != str(record["seed"])]
        others = [*(f"{s:.4g}" for s in seeds), *filter(None, [spec.card.quoted])]
        ends = record.get("intervals", {}).get(metric)
        test = f"{value:g} ({ends[0]:.4g} to {ends[1]:.4g})" if ends else f"{value:g}"
        page = registry.get_entry(name).variant_of or name
        cells = [f"[`{name}`]({page}.md)", f"`{metric}`", test, ", ".join(others), best]
        verdict = record.get("gains", {}).get(best, {}).get("verdict", "")
        cells += [
            f"{scores[best]:.4g}" if best else "",
            verdict,
            spec.card.published,
            f"{record['train_seconds'] / 60:.1f}" if "train_seconds" in record else "",
        ]
        size = (weight_files.SHIPPED / spec.weights["default"].source).stat().st_size
        lines.append(f"| {' | '.join([*cells, f'{size / 1e6:.2f}'])} |")
    return "\n".join(lines) + "\n"


def reference_page(package: str, shown: Callable[[str, Any, int], str] | None = None) -> str:
    """Return the page of the public names of a package; `shown` writes an entry, by default for the site's plug-in."""
    shown = shown or _entry
    module = importlib.import_module(package)
    names = [n for n in module.__all__ if not n.startswith("_")]
    parts = [f"# {package}", (inspect.getdoc(module) or "").split("\n")[0]]
    for name in sorted(names, key=lambda n: (n[0].isupper(), n)):
        value = getattr(module, name)
        if inspect.ismodule(value):
            parts.append(f"## {package}.{name}\n\n{(inspect.getdoc(value) or '').splitlines()[0]}")
            parts += [shown(f"{package}.{name}.{n}", v, 3) for n, v in _members(value)]
        else:
            parts.append(shown(f"{package}.{name}", value, 2))
    return "\n\n".join(parts) + "\n"


def api_page(package: str) -> str:
    """Return the page of the public names of a package for readers of the repository."""
    return reference_page(package, api.entry)


def _members(module: Any) -> Iterator[tuple[str, Any]]:
    """Yield the public functions and classes of a module, without those that it imports from other packages."""
    for name in getattr(module, "__all__", None) or sorted(vars(module)):
        value = getattr(module, name)
        own = getattr(value, "__module__", "").startswith(module.__name__)
        if not name.startswith("_") and own and (inspect.isfunction(value) or inspect.isclass(value)):
            yield name, value


def _entry(name: str, value: Any, level: int) -> str:
    path = f"{value.__module__}.{value.__qualname__}"
    return f'::: {path}\n    options:\n      heading: "{name}"\n      heading_level: {level}'


def commands_page() -> str:
    """Return the help of every command."""
    parts = ["# Command line", "Exit codes: 0 success, 1 a check failed, 2 wrong usage, 3 a requirement is missing."]
    for package in COMMANDS:
        group = command(package)
        parts += [f"## python -m {package}", (group.help or "").split("\n")[0]]
        with click.Context(group, info_name=f"python -m {package}") as context:
            for name in group.list_commands(context):
                subcommand = group.get_command(context, name)
                line = f"python -m {package}.{name}" if package == "zoo" else f"python -m {package} {name}"
                help = subcommand.get_help(click.Context(subcommand, info_name=line, terminal_width=80))
                parts += [f"### {line}", f"```text\n{help}\n```"]
    return "\n\n".join(parts) + "\n"


def command(module: str) -> click.Command:
    """Return the click command that `python -m MODULE` runs."""
    entry = importlib.import_module(module)
    if hasattr(entry, "__path__"):
        entry = importlib.import_module(f"{module}.__main__")
    commands = [v for n in ("main_command", "verbs", "main") if isinstance(v := getattr(entry, n, None), click.Command)]
    if not commands:
        raise LookupError(f"python -m {module} is not a click command")
    return commands[0]


def pages() -> dict[Path, Callable[[], str]]:
    """Return every generated page: {file: function that returns its text}."""
    return {
        MODELS / "index.md": models_index,
        **{MODELS / f"{name}.md": functools.partial(model_page, name) for name in zoo.list_models()},
        DATASETS / "index.md": datasets_index,
        **{DATASETS / f"{name}.md": functools.partial(dataset_page, name) for name in catalogue.entries()},
        **{REFERENCE / f"{p.replace('.', '_')}.md": functools.partial(reference_page, p) for p in PACKAGES},
        **{API / f"{p.replace('.', '_')}.md": functools.partial(api_page, p) for p in PACKAGES},
        API / "commands.md": commands_page,
        API / "settings.md": settings_page,
        REFERENCE / "commands.md": commands_page,
        REFERENCE / "settings.md": settings_page,
        REFERENCE / "benchmark_results.md": results_page,
    }


def settings_page() -> str:
    """Return the tables of the settings of a training, from their declarations."""
    keywords = ["| keyword of `zoo.train.run` | option | key of `--config` | default | |", "|---|---|---|---|---|"]
    options = {option.target: option.opts[0] for option in command("zoo.train").params if hasattr(option, "target")}
    for declared in dataclasses.fields(TrainSettings):
        key = "`recipe`, `task`, `model_arguments`, `data.name`" if declared.name == "settings" else ""
        key = f"`{declared.metadata['key']}`" if "key" in declared.metadata else key
        option = f"`{options[declared.name]}`" if declared.name in options else ""
        keywords.append(f"| `{declared.name}` | {option} | {key} | {_default(declared)} | {_described(declared)} |")
    fields = ["| setting | option | default | |", "|---|---|---|---|"]
    for declared in dataclasses.fields(Recipe):
        target = f"recipe.{declared.name}"
        option = f"`{options[target]}`" if target in options else ""
        fields.append(f"| `{target}` | {option} | {_default(declared)} | {_described(declared)} |")
    return "\n\n".join(
        [
            "# Settings of a training",
            "The command line takes precedence over the file of `--config`, and that over the recipe of the model. An "
            "option that has no effect is refused.",
            "\n".join(keywords),
            "## `settings`, and `--set`",
            "`data` is the name of a [dataset](../datasets/index.md), `model.X` an argument of the model's "
            "builder, `task.X` a "
            "field of its [task](zoo_tasks.md), and `recipe.X` one of these; what some of them do is "
            "[measured](../recipes.md).",
            "\n".join(fields) + "\n",
        ]
    )


def _default(declared: dataclasses.Field) -> str:
    default = default_of(declared)
    return "" if default in (None, {}, ()) else f"`{json.dumps(default)}`"


def _described(declared: dataclasses.Field) -> str:
    metadata = declared.metadata
    choices = f" One of {', '.join(f'`{choice}`' for choice in metadata['choices'])}." if metadata["choices"] else ""
    check = f" Valid: {metadata['check'][1]}." if metadata["check"] else ""
    return (metadata["help"] + choices + check).replace("|", "\\|")


def dataset_page(name: str) -> str:
    """Return the page of a dataset, from the docstring of its file and what `python -m docs.dataset_figures` wrote."""
    entry = catalogue.get_entry(name)
    summary, _, rest = entry.docstring.partition("\n\n")
    fields = re.findall(r"^(\w[\w ]*): +(.*(?:\n +.*)*)", rest, re.MULTILINE)
    prose = re.sub(r"^\w[\w ]*: +.*(?:\n +.*)*", "", rest, flags=re.MULTILINE).strip()
    parts = [f"# {name}", " ".join(summary.split()), *([prose] if prose else [])]
    parts += ["\n".join(f"- **{key}**: {' '.join(text.split())}" for key, text in fields)]
    facts = HERE / "dataset_figures" / f"{name}.json"
    if facts.is_file():
        sample = json.loads(facts.read_text(encoding="utf-8"))
        counts = ", ".join(f"{count:,} for {split}" for split, count in sample["counts"].items())
        parts += ["## Size and sample", f"{counts}. Source of the sample: {sample['source']}."]
        if sample.get("class_names"):
            parts += [f"Classes: {', '.join(sample['class_names'])}."]
        if (HERE / "dataset_figures" / f"{name}.png").is_file():
            path = f"../dataset_figures/{name}.png"
            parts += [figure(path, f"The first training examples of {name}, from left to right")]
        parts += ["\n".join(f"- {text}" for text in sample["texts"])] if sample.get("texts") else []
    elif entry.needs_data_dir:
        parts += ["There is no sample: the data is your own."]
    else:
        parts += [
            "There is no sample: your machine fetches the data, which may not be copied here, or no package carries it."
        ]
    option = f" --data-dir {_own(fields)}" if entry.needs_data_dir else ""
    parts += ["## Use", f"    python -m pipelines info {name}{option}"]
    models = [model for model in zoo.list_models() if zoo.get_spec(model).data == name]
    parts += ["Models: " + (", ".join(f"[{m}](../models/{m}.md)" for m in models) or "none by default") + "."]
    return "\n\n".join(parts) + "\n"


def _own(fields: list[tuple[str, str]]) -> str:
    """Return what stands for the user's own data in a command, by the sources of a dataset."""
    sources = dict(fields)["Sources"]
    return "FILE.csv" if "(a .csv" in sources else "OWNER/NAME" if "OWNER/NAME" in sources else "FOLDER"


def datasets_index() -> str:
    """Return the list of the pages of datasets."""
    lines = "\n".join(f"- [`{name}`]({name}.md): {entry.summary}" for name, entry in catalogue.entries().items())
    return f"# Datasets\n\nThe names that `pipelines.load(NAME)` and `--set data=NAME` take.\n\n{lines}\n"


def results_page() -> str:
    """Return benchmarks/RESULTS.md with the links of the site."""
    text = (HERE.parent / "benchmarks" / "RESULTS.md").read_text(encoding="utf-8")
    return text.replace("# Benchmarks", "# Benchmark results", 1).replace("../docs/benchmarks/", "../benchmarks/")


def committed() -> dict[Path, Callable[[], str]]:
    """Return the generated pages that are under version control."""
    return {path: text for path, text in pages().items() if path.parent != REFERENCE}


def write() -> None:
    """Write docs/models, docs/datasets and docs/api."""
    wanted = committed()
    for folder in (MODELS, DATASETS, API):
        folder.mkdir(exist_ok=True)
        for path in set(folder.glob("*.md")) - wanted.keys():
            path.unlink()
    for path, text in wanted.items():
        path.write_text(text(), encoding="utf-8")


@click.command("pages")
def main() -> None:
    """Write docs/models, docs/datasets and docs/api."""
    write()
    click.echo(f"written: {MODELS}, {DATASETS} and {API}")


if __name__ == "__main__":
    main()
