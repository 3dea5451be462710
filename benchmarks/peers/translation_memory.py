"""BLEU and chrF of a translation memory on verses: the target of the nearest training source by TF-IDF of its words.

    pip install '.[bleu]'
    python -m benchmarks.peers.translation_memory        # 10 seconds on one core, prints JSON; [validation|test]

The words and the scores are those of `python -m zoo.train attention --recipe verses`.
"""

import json
import sys

from sklearn.feature_extraction.text import TfidfVectorizer

import pipelines
from pipelines.text import words
from zoo.evaluation import sequence_metrics

BATCH = 256


def main(split: str = "test") -> None:
    """Look up each source of a split in the training split, and print the scores of the targets found."""
    data = pipelines.load("verses")
    rows = {
        name: [
            [" ".join(words.split(example[side])) for side in ("source", "target")]
            for example in data[name].as_numpy_iterator()
        ]
        for name in ("train", split)
    }
    sources, targets = zip(*rows["train"], strict=True)
    queries, references = zip(*rows[split], strict=True)
    # the best of 1 to 3 words and of plain or sublinear frequencies by BLEU on the validation split
    vectorizer = TfidfVectorizer(token_pattern=r"\S+", ngram_range=(1, 3), sublinear_tf=True)
    memory, wanted = vectorizer.fit_transform(sources), vectorizer.transform(queries)
    nearest = [
        int(index)
        for first in range(0, len(queries), BATCH)
        for index in (wanted[first : first + BATCH] @ memory.T).toarray().argmax(axis=1)
    ]
    scores = sequence_metrics.sentence_scores([targets[i] for i in nearest], references)
    print(json.dumps({"split": split, "examples": len(queries), **scores}))


if __name__ == "__main__":
    main(*sys.argv[1:])
