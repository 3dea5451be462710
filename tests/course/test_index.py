"""The index names every model of the zoo, every lesson, and only what exists."""

from pathlib import Path

import docs.course.lessons
import zoo
from docs.course import index
from docs.course.lessons import LESSONS

COURSE = Path(index.__file__).parent


def test_every_model_is_in_the_index():
    named = {model for _, models, _, _ in index.COURSE for model in models}
    assert named == set(zoo.list_models())
    assert {model for lesson in LESSONS for model in lesson.models} <= named


def test_every_lesson_has_a_module_a_page_and_a_row():
    modules = {path.stem for path in Path(docs.course.lessons.__file__).parent.glob("*.py")} - {"__init__"}
    pages = {path.stem for path in COURSE.glob("*.md")} - {"index"}
    names = [lesson.name for lesson in LESSONS]
    assert len(names) == len(set(names))
    assert set(names) == modules == pages == {page for *_, page in index.COURSE}


def test_the_index_is_current():
    assert (COURSE / "index.md").read_text() == index.text(), "run `python -m docs.course`"


def test_a_room_holds_a_dozen_files():
    for folder in (COURSE, COURSE / "lessons"):
        assert len(list(folder.glob("*.py"))) <= 14
