"""Each lesson has the same parts, its links lead where they say, and the solutions of its exercises run."""

import ast
import json
import re
from pathlib import Path

import pytest

import docs.course
from docs import site
from docs.course import compose, index, notebook
from docs.course.lessons import LESSONS

pytestmark = pytest.mark.extended  # of the repository, not of what the packages do

COURSE = Path(docs.course.__file__).parent
NAMES = [lesson.name for lesson in LESSONS]


def page(name):
    return (COURSE / f"{name}.md").read_text()


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.name)
def test_a_lesson_has_all_parts(lesson):
    text = page(lesson.name)
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert tuple(headings) == compose.PARTS
    parts = dict(zip(headings, re.split(r"^## .+$", text, flags=re.MULTILINE)[1:], strict=True))
    assert 40 <= len(parts["The idea"].split()) <= 300  # a paragraph, and perhaps a table
    assert parts["Formulas"].count("$$") >= 4
    assert parts["Formulas"].count("$$") % 2 == 0
    assert "Code: [" in parts["Formulas"]
    assert "(figures/" in parts["Experiment"] or "(../recipes/" in parts["Experiment"]
    assert "### What was checked" in parts["Experiment"]
    assert [int(n) for n in re.findall(r"^### (\d)\. ", parts["Exercises"], re.MULTILINE)] == [1, 2, 3]
    assert parts["Exercises"].count("<summary>Solution</summary>") == 3
    assert re.search(r"^- \[.*\]\(https://", parts["Read next"], re.MULTILINE)
    assert [m for m in lesson.models if f"(../models/{m}.md)" not in parts["Models that use it"]] == []
    assert f"(notebooks/{lesson.name}.py)" in text


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.name)
def test_a_page_is_its_notebook_and_what_was_measured(lesson):
    """A line that moves in the code, and a text that changes in the notebook, change the page."""
    text = page(lesson.name)
    assert compose.page(lesson, compose.measured(text)) == text, "run `python -m docs.course --text`"


def test_formulas_of_the_course_are_there():
    """The list of issue 46."""
    formulas = {
        "perceptron": (r"\prod", r"\ln P", r"\sigma"),
        "backpropagation": (r"(\hat y - y)\,\sigma'(z), \qquad \Delta w_j = -\eta", r"\odot f'", r"\eta"),
        "classification": (r"\frac{e^{z_k}}", r"\ln p_c", "p_k - y_k"),
        "fitting": (r"|w_j|", "w_j^2", r"\beta v_{t-1}", r"\mathrm{Bernoulli}"),
        "convolutions": (r"\frac{W - F + 2P}{S}", "(F^2 C + 1)"),
        "autoencoders": ("G^l_{ij}", r"L_{\mathrm{style}}", r"L_{\mathrm{content}}"),
        "recurrent": ("f_t = ", "c_t = f_t", "z_t = ", r"\prod_{t=T}^{k+1}"),
        "text": (r"u_{n_i}", r"P_{\mathrm{drop}}", r"\tanh(W s + U h_j)", r"s^\top W h_j"),
        "generative": (r"\min_G \max_D", "(D(x) - 1)^2", r"L_{\mathrm{cycle}}"),
    }
    for name, parts in formulas.items():
        text = page(name)
        assert [part for part in parts if part not in text] == [], name


def test_formulas_are_balanced():
    """A brace that is not closed shows as raw text."""
    for name in NAMES:
        prose = re.sub(r"```.*?```|`[^`\n]*`", "", page(name), flags=re.DOTALL)
        for formula in re.findall(r"\$\$(.+?)\$\$", prose):
            for opening, closing in ("{}", "()", "[]"):
                assert formula.count(opening) == formula.count(closing), (name, formula)
            assert len(re.findall(r"\\left(?!arrow)", formula)) == len(re.findall(r"\\right(?!arrow)", formula)), (
                name,
                formula,
            )
        inline = prose.replace("$$", "")
        assert inline.count("$") % 2 == 0, name


def unexplained(cells):
    """Return the solutions that are not followed by two to five sentences which say why."""
    return [
        cell.text
        for cell, after in zip(cells, [*cells[1:], None], strict=True)
        if cell.kind == "solution"
        and not (after and after.kind == "why" and 2 <= len(re.findall(r"[.?](?=\s|$)", after.text)) <= 5)
    ]


@pytest.mark.parametrize("name", NAMES)
def test_solutions_are_explained(name):
    cells = notebook.read(name)
    assert unexplained(cells) == []
    for i, cell in enumerate(cells):
        if cell.kind == "why":
            assert len(unexplained([*cells[:i], *cells[i + 1 :]])) == 1
            assert cell.text in page(name).partition("## Exercises")[2]


@pytest.mark.extended
@pytest.mark.parametrize("name", NAMES)
def test_solutions_run(name, tmp_path, monkeypatch):
    """In this process: TensorFlow is imported once for all."""
    cells = notebook.read(name)
    solutions = [cell for cell in cells if cell.kind == "solution"]
    assert len(solutions) == 3
    for cell in (*solutions, *(cell for cell in cells if cell.kind == "code")):
        assert any(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(cell.text))), cell.text
    monkeypatch.chdir(tmp_path)
    exec(compile(notebook.script(name), f"{name}.py", "exec"), {"__name__": "__main__"})


def test_every_lesson_has_a_starter_cell():
    assert [name for name in NAMES if not starters(name)] == []


def starters(name):
    """Numbers of the cells that a student begins with."""
    return [i for i, cell in enumerate(notebook.read(name)) if cell.kind == "starter"]


@pytest.mark.parametrize(("name", "position"), [(name, i) for name in NAMES for i in starters(name)])
def test_a_starter_cell_fails_with_a_sentence_until_the_answer_is_right(name, position):
    """Its check holds with the names of the solution below it."""
    cells = notebook.read(name)
    starter, solution = cells[position : position + 2]
    assert solution.kind == "solution"
    namespace = {}
    for cell in cells[:position]:
        if cell.kind in ("code", "solution"):
            exec(cell.text, namespace)
    with pytest.raises(AssertionError, match=r"^not yet: .+"):
        exec(starter.text, namespace)
    exec(solution.text, namespace)
    exec(starter.text.split(notebook.CHECK)[1], namespace)


def test_starter_cells_are_in_the_notebook_and_solutions_are_folded():
    cells = json.loads(notebook.ipynb("perceptron"))["cells"]
    starter = next(i for i, cell in enumerate(cells) if "# check\n" in cell["source"])
    assert cells[starter]["metadata"] == {}
    assert cells[starter + 1]["metadata"] == notebook.HIDDEN


def test_a_site_of_a_repository_opens_notebooks_in_colab():
    text = site.with_colab("[a](notebooks/text.ipynb), [b](../text.md)", "someone/zoo")
    address = "https://colab.research.google.com/github/someone/zoo/blob/gh-pages/course/notebooks/text.ipynb"
    assert text == f"[a](notebooks/text.ipynb) ([open in Colab]({address})), [b](../text.md)"
    cells = json.loads(notebook.ipynb("text", "someone/zoo"))["cells"]
    assert cells[0]["cell_type"] == "markdown"
    assert "git clone --quiet --depth 1 https://github.com/someone/zoo" in cells[1]["source"][0]
    assert "colab" not in notebook.ipynb("text")


def test_a_wrong_solution_is_noticed():
    cells = [cell for cell in notebook.read("perceptron") if cell.kind != "markdown"]
    code = "\n".join(cell.text for cell in cells[:2]).replace("b = np.array([1.0, 1.0]), -1.5", "b = np.ones(2), -0.5")
    with pytest.raises(AssertionError):
        exec(code, {})


def test_links_lead_to_the_line_of_the_definition():
    """The link's text names an object; its line begins the definition of that object."""
    links = [link for name in NAMES for link in re.findall(r"\[`([\w.]+)`\]\(\.\./\.\./([^)#]+)#L(\d+)\)", page(name))]
    assert len(links) > 50
    for name, path, line in links:
        text = (notebook.ROOT / path).read_text().splitlines()[int(line) - 1]
        assert re.match(rf"\s*(?:def|class) {name.rpartition('.')[2]}\b|{name.rpartition('.')[2]}\b.* = ", text), (
            name,
            text,
        )


def test_a_name_that_is_gone_is_an_error():
    with pytest.raises(LookupError, match="does not define gramm_matrix"):
        notebook.linked("Code: `zoo.modeling.perceptual_loss.gramm_matrix`")


def test_notebooks_become_jupyter_notebooks():
    for name in NAMES:
        written = json.loads(notebook.ipynb(name))
        assert (written["nbformat"], written["nbformat_minor"]) == (4, 5)
        assert len({cell["id"] for cell in written["cells"]}) == len(written["cells"]) > 8
        assert {cell["cell_type"] for cell in written["cells"]} == {"markdown", "code"}
        assert "".join(written["cells"][0]["source"]).startswith("# ")


def test_the_course_is_named_where_people_look():
    for path in ("README.md", "docs/index.md"):
        assert "course/index.md" in (notebook.ROOT / path).read_text(), path
    for name in ("glossary", "faq", "pytorch"):
        assert f"({name}.md)" in index.text(), name
