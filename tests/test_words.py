"""Pages, docstrings, comments and messages use the words of the field, not those of `WORDS`."""

import ast
import io
import re
import tokenize

import pytest

from docs import pages
from tests.test_docs import FILES, ROOT, text_of

pytestmark = pytest.mark.extended  # of the repository, not of what the packages do

WORDS = {  # not this (a pattern): but this
    r"pictures?": "image",
    r"critics?": "discriminator",
    r"judg(e|es|ed|ing)": "evaluate, compare",
    r"stands? beside": "baseline",
    r"contenders?": "candidate",
    r"mend(s|ed|ing)?": "fix",
    r"hostile": "edge case",
    r"strangers?|foreign (model|file|artifact)s?": "third-party",
    r"not to be had|nowhere to be found": "not available, not found",
    r"for ever": "deadlock, never ends",
    r"dear": "expensive",
    r"mirrored": "flipped",
    r"heaps? of": "unpaired set",
    r"halvings": "downsampling stages",
    r"bisecting": "bisect",
    r"stand-ins?": "stub",
    r"salts?": "stream id",
    r"(ask|asks|asking) (a|the) model": "run inference",
    r"phones open": "a file for mobile apps",
    r"taken? up a run|take up an unfinished run": "resume a run",
    r"latents' ways|ways between": "latent interpolation",
}
GROUPS = "|".join("(" + pattern.replace("(", "(?:") + ")" for pattern in WORDS)
PATTERN = re.compile(rf"(?<![\w/.-])(?:{GROUPS})(?![\w/-])", re.IGNORECASE)
SAMPLES = {
    "docs/datasets/state_of_the_union.md",
    "docs/datasets/shakespeare.md",
    "docs/datasets/verses.md",
}  # quotations
MODULES = sorted(path for name in ("zoo", "pipelines", "export", "zoobase") for path in (ROOT / name).rglob("*.py"))


def wrong_words(text):
    """Return each word of a text that is not used here, with the word that is."""
    return [f"{match[0]}: {list(WORDS.values())[match.lastindex - 1]}" for match in PATTERN.finditer(text)]


def prose(page):
    """A page without code, names of files, and the lines of samples of data."""
    page = re.sub(r"```.*?```|`[^`]*`|\]\([^)]*\)|^    .*$|<!--.*?-->", "", page, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r'"[^"\n]*"', "", page)


def sentences(path):
    """Comments, docstrings and messages of a module: strings with a space."""
    source = path.read_text(encoding="utf-8")
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.string
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.match(r"[^<]* [^<]*$", node.value):
            yield re.sub(r"`[^`]*`", "", node.value)


@pytest.mark.parametrize("path", [*FILES, *pages.committed()], ids=lambda p: str(p.relative_to(ROOT)))
def test_pages_use_the_words_of_the_field(path):
    if str(path.relative_to(ROOT)) not in SAMPLES:
        assert wrong_words(prose(text_of(path))) == []


def test_modules_use_the_words_of_the_field():
    wrong = {str(p.relative_to(ROOT)): w for p in MODULES if (w := [x for s in sentences(p) for x in wrong_words(s)])}
    assert wrong == {}


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("The critic judges it.", ["critic: discriminator", "judges: evaluate, compare"]),
        (
            "A picture stands beside it, for ever.",
            ["picture: image", "stands beside: baseline", "for ever: deadlock, never ends"],
        ),
        ("picture_folder and `pictures`", []),
        ("A discriminator, an image, the baseline.", []),
    ],
)
def test_a_word_that_is_not_used_here_is_noticed(text, word):
    assert wrong_words(prose(text)) == word
