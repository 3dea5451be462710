"""python -m docs.tables: update the generated blocks of README.md, mkdocs.yml and the pages of docs/."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path

import click

import zoo
from docs import model_table, pages
from docs.course.lessons import LESSONS
from export.formats import QUANTIZATIONS, format_of
from pipelines import catalogue
from zoo.core import registry
from zoo.core.settings import TrainSettings

ROOT = Path(__file__).parent.parent


def blocks() -> Iterator[tuple[Path, str, str]]:
    """Yield every generated block: (file, name of the block, text between its marks)."""
    from benchmarks import report

    yield ROOT / "README.md", "models", worth_having()
    yield ROOT / "zoo" / "core" / "builders.pyi", "builders", builders()
    yield ROOT / "zoo" / "core" / "typed.pyi", "typed", typed()
    navigation = "".join(f"      - {name}: models/{name}.md\n" for name in zoo.list_models(listed=True))
    yield ROOT / "mkdocs.yml", "models", navigation
    navigation = "".join(f"      - {name}: datasets/{name}.md\n" for name in catalogue.entries())
    yield ROOT / "mkdocs.yml", "datasets", navigation
    lessons = "".join(f'      - "{lesson.title}": course/{lesson.name}.md\n' for lesson in LESSONS)
    others = "".join(f"          - {name}: models/{name}.md\n" for name in zoo.list_models(listed=False))
    lessons += f"      - Exercises and architectures:\n{others}"
    yield ROOT / "mkdocs.yml", "course", lessons
    yield from shown_files()
    yield ROOT / "docs" / "how-to" / "quantise.md", "quantizations", quantizations()
    results = json.loads((ROOT / "benchmarks" / "results.json").read_text(encoding="utf-8"))
    yield ROOT / "docs" / "how-to" / "check-inputs.md", "input-mistakes", input_mistakes()
    yield ROOT / "docs" / "index.md", "certificate", f"\n{pages.certificate('fashion_mnist')}\n\n"
    yield ROOT / "docs" / "benchmarks.md", "summary", report.summary(results)
    yield ROOT / "docs" / "benchmarks.md", "benchmarks", report.table(results)


WORTH_HAVING = {  # the models of the README, by what a reader wants
    "efficientnet_lite0": "names what is in a photograph: 1,000 classes of ImageNet",
    "faces": "finds faces and their eyes, nose and mouth",
    "detector": "finds and names garments, with boxes",
    "person_segmentation": "cuts a person out of a photograph",
    "edges": "the edges that people would draw",
    "unet": "colours in what is where: a class for each pixel",
    "minilm": "vectors of sentences: search and similarity of texts",
    "wordllama": "the same in a fraction of a millisecond, without attention",
    "sentiment": "whether a review is positive",
    "language": "the language of a text, among 176",
    "magika": "the type of a file, from its content",
    "crepe": "the pitch of a voice or an instrument",
    "silero_vad": "where somebody speaks, in a recording or a stream",
    "grapheme_to_phoneme": "how an English word is pronounced",
}


def worth_having() -> str:
    """Return the table of models of the README, with the figures of their cards."""
    lines = ["| model | what it does | test figure | weights |", "|---|---|---|---|"]
    for name, does in WORTH_HAVING.items():
        data = registry.get_spec(name).headline_data
        figure = f"{model_table.headline(name)} ({data})" if data else ""
        lines.append(f"| [`{name}`](docs/models/{name}.md) | {does} | {figure} | {model_table.shipped_weights(name)} |")
    return "\n".join(lines) + "\n"


def builders() -> str:
    """Return the imports of the builders, for type checkers and editors."""
    models = [e for e in registry.entries().values() if e.module.startswith("zoo.models.") and not e.variant_of]
    names = sorted((entry.module, entry.name) for entry in models)
    return "".join(f"from {module} import {name} as {name}\n" for module, name in names)


def typed() -> str:
    """Return the names of models and the settings of a training, for type checkers and editors."""
    models = [entry for entry in registry.entries().values() if entry.module.startswith("zoo.models.")]
    lines = ["ModelName = Literal[", *(f'    "{name}",' for name in sorted(entry.name for entry in models)), "]"]
    lines += ["", "class TrainOptions(TypedDict, total=False):"]
    for field in dataclasses.fields(TrainSettings):
        wider = field.type.replace("str | None", "str | PathLike[str] | None").replace(
            "tuple[str, ...]", "str | Sequence[str]"
        )
        lines += [] if field.name in ("name", "network") else [f"    {field.name}: {wider}"]
    return "\n".join([*lines, "", ""])


def input_mistakes() -> str:
    """Return what the command that explains inputs named in `benchmarks.inputs`, by stage."""
    facts = json.loads((ROOT / "benchmarks" / "inputs.json").read_text(encoding="utf-8"))
    verdicts = ("named", "inseparable", "wrong")
    lines = ["| stage | named | gives the same as another | wrong |", "|---|---:|---:|---:|"]
    others = {f"{kind}: whole case": facts[kind]["whole"] for kind in ("sounds", "texts")}
    for stage, counts in {"whole case": facts["whole"], **facts["stages"], **others}.items():
        lines.append(f"| {stage} | " + " | ".join(str(counts.get(verdict, 0)) for verdict in verdicts) + " |")
    seconds = facts["seconds"]
    lines += [
        "",
        f"{facts['cases']} cases; {seconds['median']:.1f} s a call (median; at most {seconds['largest']:.0f}).",
    ]
    return "\n" + "\n".join(lines) + "\n\n"


def quantizations() -> str:
    """Return the table of the quantised forms of every format."""
    head = (
        "`--quantize`",
        "file",
        "weights",
        "activations",
        "signal-to-noise, at least",
        "rows with the same top class",
    )
    rows = [head, ("---", "---", "---", "---", "---:", "---:")]
    for name, q in QUANTIZATIONS.items():
        file = f"`{(format := format_of(name)).name}/{name}{format.extension}`"
        budget = (f"{q.budget.sqnr_db:g} dB", f"{q.budget.top1:.0%}".replace("%", " %"))
        rows.append((f"`{name}`", file, q.weights, q.activations or "float", *budget))
    return "\n" + "".join(f"| {' | '.join(row)} |\n" for row in rows) + "\n"


def shown_files() -> Iterator[tuple[Path, str, str]]:
    """Yield the blocks that show a whole file: `<!-- examples/x.py: make tables -->`."""
    for page in sorted((ROOT / "docs").rglob("*.md")):
        for name in re.findall(r"^<!-- (\S+\.\w+): make tables -->$", page.read_text(encoding="utf-8"), re.MULTILINE):
            path = ROOT / name
            language = {".py": "python", ".json": "json", ".toml": "toml", ".conf": "nginx"}[path.suffix]
            yield page, name, f"\n```{language}\n{path.read_text(encoding='utf-8').rstrip()}\n```\n\n"


def current(path: Path, name: str) -> str:
    """Return the current text between the marks of a block."""
    return _pattern(name).search(path.read_text(encoding="utf-8"))[2]


def _pattern(name: str) -> re.Pattern[str]:
    name = re.escape(name)
    return re.compile(rf"((?:<!--|#) {name}:[^\n]*\n)(.*?)( *(?:<!--|#) /{name})", re.DOTALL)


def write() -> None:
    """Write the generated blocks."""
    for path, name, text in blocks():
        old = path.read_text(encoding="utf-8")
        path.write_text(_pattern(name).sub(lambda m, text=text: m[1] + text + m[3], old), encoding="utf-8")
        click.echo(f"written: {name} in {path}")


@click.command("tables")
def main() -> None:
    """Write the generated blocks."""
    write()


if __name__ == "__main__":
    main()
