"""python -m docs.site: write build/docs, from which the site is built.

The pages of docs/ link to source files, so that they can be read where the repository is shown. On the site these links
lead to pages: the reference, a page with the code that the lessons name, and notebooks as Jupyter notebooks.
Formulas are shown by KaTeX, which is downloaded once and becomes part of the site.
"""

import base64
import hashlib
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

import click

from docs import figures, pages
from docs.course import notebook
from zoobase.errors import ZooError
from zoobase.files import cache_root

ROOT = Path(__file__).parent.parent
DOCS, SITE = ROOT / "docs", ROOT / "build" / "docs"
SKIPPED = {"model_notes", "template", "api", "__pycache__"}  # folders that are no pages
SHOWN = {".md", ".png", ".svg", ".jpg", ".webp"}
CODE = "reference/code.md"
REFERENCE = {  # source file -> the page about it
    "benchmarks/RESULTS.md": "reference/benchmark_results.md",
    "zoo/__init__.py": "reference/zoo.md",
    "zoo/tasks/__init__.py": "reference/zoo_tasks.md",
    "export/__init__.py": "reference/export.md",
    "pipelines/__init__.py": "reference/pipelines.md",
    **{
        f"docs/api/{name}.md": f"reference/{name}.md"
        for name in ("zoo", "zoo_tasks", "export", "pipelines", "commands", "settings")
    },
    "zoo/core/settings.py": "reference/settings.md",
}
LINK = re.compile(r"(?<=\]\()([^)\s]+)(?=\))")
KATEX = "katex@0.16.22"
INTEGRITY = "XCHRdUw4lf3SKBaJe4EvgqIuWwkPSo9XoeO8GjQW94Bp7TWv9hNhzZjZ+OH9yf1UmLygb7DIT5GSFQiyt16zYg=="  # its sha512
ASSETS = r"package/dist/(katex\.min\.(?:js|css)|fonts/[\w-]+\.woff2|contrib/auto-render\.min\.js)"
START = """document$.subscribe(() => renderMathInElement(document.body, {
  delimiters: [{left: "\\\\(", right: "\\\\)", display: false}, {left: "\\\\[", right: "\\\\]", display: true}],
}))
"""
CHECK = """const katex = require(process.argv[1]);
for (const line of require("fs").readFileSync(0, "utf8").split("\\n")) {
  try { katex.renderToString(line, {throwOnError: true}) }
  catch (error) { console.error(error.message.slice(0, 200)); process.exitCode = 1 }
}
"""


def rewritten(text: str, page: Path, code: dict[str, str]) -> str:
    """Return a page of docs/ with links that lead to pages of the site.

    Args:
        text: The page.
        page: Its path.
        code: Filled with the code that links name: {link from the root: heading}.
    """

    def target(match: re.Match[str]) -> str:
        path, _, anchor = match[1].partition("#")
        if not path or "://" in path or path.startswith("mailto:"):
            return match[1]
        source = Path(os.path.normpath(page.parent / path))
        if source.suffix == ".py" and source.parent == notebook.FOLDER:
            return f"{path.removesuffix('.py')}.ipynb"
        name = str(source.relative_to(ROOT))
        if source.is_relative_to(DOCS) and source.suffix != ".py" and name not in REFERENCE:
            return match[1]
        other = REFERENCE.get(name, CODE)
        if other == CODE:
            anchor = code.setdefault(f"{name}#{anchor}", re.sub(r"\W+", "-", f"{name} {anchor}").strip("-").lower())
        up = os.path.relpath(DOCS / other, page.parent)
        return up + (f"#{anchor}" if anchor else "")

    parts = re.split(r"(```.*?```)", text, flags=re.DOTALL)
    return "".join(part if part.startswith("```") else LINK.sub(target, part) for part in parts)


def code_page(code: dict[str, str]) -> str:
    """Return the page with the code that other pages name."""
    parts = ["# Code", "Files and definitions that other pages link to."]
    for link, anchor in sorted(code.items()):
        name, _, line = link.partition("#L")
        path, text = ROOT / name, ""
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            if line:
                text = notebook.source(path, int(line))
        language = {".py": "python", ".md": "markdown", ".json": "json", ".toml": "toml"}.get(path.suffix, "text")
        title = f"{name.rstrip('#')}, line {line}" if line else name.rstrip("#")
        parts += [f"## {title} {{#{anchor}}}", f"````{language}\n{text.strip()}\n````" if text else "A folder."]
    return "\n\n".join(parts) + "\n"


def katex() -> Path:
    """Return the folder of KaTeX, which is downloaded once by npm.

    Raises:
        ZooError: It cannot be downloaded, or is not the pinned package.
    """
    folder = cache_root() / KATEX.replace("@", "-")
    if folder.is_dir():
        return folder
    with tempfile.TemporaryDirectory() as temporary:
        command = ["npm", "pack", KATEX, "--pack-destination", temporary, "--ignore-scripts"]
        try:
            subprocess.run(command, cwd=temporary, check=True, capture_output=True, timeout=300)
        except (OSError, subprocess.SubprocessError) as error:
            raise ZooError(
                f"{KATEX} cannot be downloaded by npm ({error}); formulas need it: try again online"
            ) from error
        (archive,) = Path(temporary).glob("*.tgz")
        content = archive.read_bytes()
        if base64.b64encode(hashlib.sha512(content).digest()).decode() != INTEGRITY:
            raise ZooError(f"{KATEX} is not the pinned package; look at INTEGRITY in docs/site.py")
        stage = Path(temporary) / "katex"
        with tarfile.open(archive) as tar:
            for member in tar.getmembers():
                if member.isfile() and (match := re.fullmatch(ASSETS, member.name)):
                    (stage / match[1]).parent.mkdir(parents=True, exist_ok=True)
                    (stage / match[1]).write_bytes(tar.extractfile(member).read())
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(stage, folder, dirs_exist_ok=True)
    return folder


def formulas(text: str) -> list[str]:
    """Return the formulas of a page."""
    prose = re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)
    found = re.findall(r"\$\$(.+?)\$\$", prose)
    return found + re.findall(r"(?<![\\$])\$(?=\S)([^$\n]+?)(?<=\S)\$(?!\$)", re.sub(r"\$\$.+?\$\$", "", prose))


def check_formulas(texts: list[str]) -> int:
    """Render the formulas of pages by KaTeX in Node, and return their number.

    Raises:
        ZooError: One is not valid.
    """
    lines = [formula for text in texts for formula in formulas(text)]
    command = ["node", "-e", CHECK, str(katex() / "katex.min.js")]
    done = subprocess.run(command, input="\n".join(lines), capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise ZooError(f"a formula of the documentation is not valid: {done.stderr.strip()[:300]}")
    return len(lines)


def with_colab(text: str, repository: str) -> str:
    """Return a page in which each link to a notebook of a lesson is followed by one that opens it in Colab."""
    return re.sub(
        r"\]\(((?:\S*/)?notebooks/(\w+)\.ipynb)\)",
        lambda match: f"]({match[1]}) ([open in Colab]({notebook.colab(match[2], repository)}))",
        text,
    )


@click.command("site")
@click.option(
    "--repository",
    envvar="GITHUB_REPOSITORY",
    default="",
    metavar="OWNER/NAME",
    help="The repository on GitHub whose branch gh-pages gets the site: notebooks then have links to Colab.",
)
def main(repository: str) -> None:
    """Write build/docs."""
    pages.write()
    shutil.rmtree(SITE, ignore_errors=True)
    texts, code = {}, {}
    for path in sorted(DOCS.rglob("*")):
        name = path.relative_to(DOCS)
        if SKIPPED & set(name.parts) or not path.is_file() or path.suffix not in SHOWN:
            continue
        if path.suffix == ".md":
            texts[name] = rewritten(path.read_text(encoding="utf-8"), path, code)
        else:
            (SITE / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, SITE / name)
    for path, text in pages.pages().items():
        if path.parent == pages.REFERENCE:
            texts[path.relative_to(DOCS)] = rewritten(text(), path, code)
    texts[Path(CODE)] = code_page(code)
    for path in notebook.FOLDER.glob("*.py"):
        texts[Path("course/notebooks") / f"{path.stem}.ipynb"] = notebook.ipynb(path.stem, repository)
    if repository:
        texts = {name: with_colab(text, repository) if name.suffix == ".md" else text for name, text in texts.items()}
    figures.check({str(name): text for name, text in texts.items() if name.suffix == ".md" and str(name) != CODE})
    for name, text in texts.items():
        (SITE / name).parent.mkdir(parents=True, exist_ok=True)
        (SITE / name).write_text(text, encoding="utf-8")
    count = check_formulas([text for name, text in texts.items() if name.suffix == ".md" and name.parts[0] == "course"])
    shutil.copytree(katex(), SITE / "katex")
    (SITE / "katex" / "start.js").write_text(START, encoding="utf-8")
    click.echo(f"written: {SITE}, {len(texts)} pages, {count} formulas")


if __name__ == "__main__":
    main()
