"""The index names every lesson, and only what exists."""

from pathlib import Path

import zoo
from docs.course import index
from docs.course.lessons import LESSONS

COURSE = Path(index.__file__).parent


def test_models_of_the_index_exist():
    named = {model for row in index.COURSE for model in row.models} | {m for lesson in LESSONS for m in lesson.models}
    assert named <= set(zoo.list_models())


def test_every_lesson_has_a_module_a_page_and_a_row():
    modules = {path.stem for path in (COURSE / "lessons").glob("*/*.py")} - {"__init__", "stamps"}
    notebooks = {path.stem for path in (COURSE / "notebooks").glob("*.py")}
    pages = {path.stem for path in COURSE.glob("*.md")} - {"index", "glossary", "faq", "pytorch"}
    names = [lesson.name for lesson in LESSONS]
    assert len(names) == len(set(names))
    assert set(names) == modules == notebooks == pages == {row.page for row in index.COURSE if row.page}
    for lesson in LESSONS:
        assert (COURSE / "lessons" / lesson.part / f"{lesson.name}.py").is_file()


def test_the_order_is_one_to_read_in():
    """What a lesson needs stands before it."""
    before = set()
    for lesson in LESSONS:
        assert set(lesson.needs) <= before, lesson.name
        before.add(lesson.name)


def test_a_row_that_is_not_covered_says_why():
    for row in index.COURSE:
        assert row.page or row.reason, row.topic
        assert row.covered == "yes" or len(row.reason.split()) > 5, row.topic
        assert row.command or not row.page, row.topic


def test_the_index_is_current():
    assert (COURSE / "index.md").read_text() == index.text(), "run `python -m docs.course`"


def test_a_room_holds_a_dozen_files():
    for folder in (COURSE, COURSE / "lessons", *{path.parent for path in (COURSE / "lessons").glob("*/*.py")}):
        assert len(list(folder.glob("*.py"))) <= 14
