"""Running text: the user's .txt files, and splits of one long text."""

import os
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines import splits
from pipelines.dataset import OWN, Dataset, Info
from pipelines.sources import storage
from pipelines.sources.packages import Debian, Wheel
from pipelines.text import characters
from zoobase.errors import MISSING, USAGE, DataError

Texts = dict[str, list[str]]  # split -> texts


def read(path: Path) -> str:
    """Read the user's .txt file, or all of a folder in the order of their paths."""
    files = sorted(path.rglob("*.txt")) if path.is_dir() else [path]
    if not files or not path.exists():
        raise DataError(f"{path} is not a .txt file and not a folder of them; set --data-dir to one", MISSING)
    try:
        for file in files:
            storage.check_size(file, storage.LARGEST_TEXT)
        return "\n".join(file.read_text(encoding="utf-8-sig") for file in files)
    except UnicodeDecodeError as error:
        raise DataError(
            f"the text in {path} is not UTF-8 ({error.reason} at byte {error.start}); convert it"
        ) from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}", MISSING) from error


def read_own(name: str, data_dir: str | os.PathLike, policy: tuple[int, int, int]) -> tuple[str, Texts]:
    """Return a description of the source, and the user's text by split."""
    source = f"your own text in {data_dir}"
    texts = divide(read(Path(data_dir).expanduser()), policy)
    storage.log.info("%s: %s", name, source)
    return source, texts


def divide(text: str, policy: tuple[int, int, int]) -> Texts:
    """Divide a text by percentages of its characters, at the preceding line ends if there are any."""
    first, second = splits.bounds(policy, len(text))
    first = text.rfind("\n", 0, first) + 1 or first
    second = max(text.rfind("\n", first, second) + 1, first) if "\n" in text[first : second - 1] else second
    parts = text[:first], text[first:second], text[second:]
    if not all(parts):
        raise DataError(f"{len(text)} characters are too few to be divided {'/'.join(map(str, policy))}", USAGE)
    return dict(zip(("train", "validation", "test"), ([part] for part in parts), strict=True))


@dataclass(frozen=True)
class RunningText(ABC):
    """A dataset of running text, {"text": UTF-8 string}: where subclasses find it, or the user's own."""

    name: str
    licence: str
    homepage: str
    origin: Wheel | Debian  # the package that contains it

    OWN = (90, 5, 5)  # percentages of the user's text

    @abstractmethod
    def find(self, cache_dir: str | os.PathLike | None, policy: tuple[int, int, int] | None) -> tuple[str, Texts]:
        """Return the source and the texts by split: the official ones, or percentages of the official train."""

    def load(self, data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
        """See `pipelines.load`."""
        policy = splits.percentages(split)
        if data_dir is None:
            source, texts = self.find(cache_dir, policy)
            about = {"licence": self.licence, "homepage": self.homepage, "sha256": self.origin.sha256_of(source)}
        else:
            source, texts = read_own(self.name, data_dir, policy or self.OWN)
            about = {"licence": OWN, "homepage": ""}
        return dataset(texts, name=self.name, source=source, split=split, **about)


def dataset(texts: Texts, **facts: Any) -> Dataset:
    """Return {"text": UTF-8 string} examples, with the characters of the training texts as vocabulary."""
    info = Info(
        features={"text": "string, UTF-8"},
        counts={part: len(part_texts) for part, part_texts in texts.items()},
        vocabulary=characters.vocabulary(texts["train"]),
        statistics={f"{part}_characters": sum(map(len, part_texts)) for part, part_texts in texts.items()},
        **facts,
    )
    return Dataset.of_columns({part: {"text": of_part} for part, of_part in texts.items()}, info)
