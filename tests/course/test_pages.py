"""Each page of the course is written in its smallest form; what it claims is checked by the code that writes it."""

import re
from pathlib import Path

import pytest
from PIL import Image

import docs.course
from docs.course.lessons import LESSONS, Lesson
from docs.course.page import Page
from tests.plugins.tiers import only
from zoobase.errors import ZooError

COURSE = Path(docs.course.__file__).parent
NAMES = [lesson.name for lesson in LESSONS]
LONG = {"autoencoders", "generative", "activations", "architectures", "saving", "deployment", "fitting"}


@pytest.mark.extended
@pytest.mark.parametrize("name", only(NAMES, {*NAMES} - LONG, LONG))
def test_page_in_its_smallest_form(name, written):
    page = written(name)
    text = (page.folder / f"{name}.md").read_text()
    assert page.claims
    assert page.images
    for sentence in page.claims:
        assert f"- {sentence}" in text
    for image in page.images:
        assert f"(figures/{image.name})" in text
        caption = text.partition(f"(figures/{image.name})")[2].split("\n")[2]
        assert re.fullmatch(r"\*.+\. Data: .+\. Seeds? .+\. Machine: .+\.\*", caption), image.name
        pixels = Image.open(image).convert("L")
        assert pixels.getextrema()[0] < pixels.getextrema()[1]
    _check_published(name, text)


def _check_published(name, new):
    """Headings, code, and figures of the published page are those of the code; measured values are not compared."""
    new, old = (re.sub(r"<!--.*?-->", "", text) for text in (new, (COURSE / f"{name}.md").read_text()))
    assert re.findall(r"^#+ .*$", new, re.MULTILINE) == re.findall(r"^#+ .*$", old, re.MULTILINE)
    blocks = r"```python\n.*?```|!\[[^]]*\]\([^)]*\)"
    assert re.findall(blocks, new, re.DOTALL) == re.findall(blocks, old, re.DOTALL), f"python -m docs.course {name}"
    for image in re.findall(r"\((figures/[^)]+)\)", old):
        assert (COURSE / image).stat().st_size < 150_000


def test_a_claim_that_does_not_hold_stops_the_page(tmp_path):
    page = Page(Lesson("x", "basics", "X", "x", ()), tmp_path, tmp_path)
    page.claim(True, "One is one.")
    with pytest.raises(ZooError, match=r"the page x is not written, .*: One is two\."):
        page.claim(False, "One is two.")
    assert page.claims == ["One is one."]


def test_figures_have_a_page():
    figures = {p.name for p in (COURSE / "figures").glob("*.png")}
    shown = {n for p in COURSE.glob("*.md") for n in re.findall(r"\(figures/([^)]+)\)", p.read_text())}
    assert figures == shown
    assert sum(p.stat().st_size for p in (COURSE / "figures").glob("*.png")) < 3_000_000


def test_the_small_form_is_not_published():
    from docs.course.__main__ import main
    from zoobase.errors import UsageError

    with pytest.raises(UsageError, match="give another folder"):
        main(["perceptron", "--small"], standalone_mode=False)
