"""Spearman correlation with MEN of gensim's word2vec, trained on the text of our `word2vec`.

    python -m benchmarks.prepare.words                       # with BENCHMARK_DATA, the folder of the text
    python -m benchmarks.peers.gensim_word_similarity        # with gensim; 6 minutes on one core, prints JSON

Sizes, epochs and the subsampling of frequent words are those of `python -m zoo.train word2vec`, skip-gram with
negative sampling, all else gensim's defaults.
"""

import json
import os
import time
from pathlib import Path

SIZES = {"vector_size": 100, "window": 5, "negative": 5, "sample": 1e-4, "min_count": 5, "max_final_vocab": 20_000}
EPOCHS = 4
RATINGS = Path("~/.cache/keras-proof-zoo/word_lists/english/men.tsv")  # written by an evaluation of word2vec


def main() -> None:
    """Train, and print the correlation and the share of pairs that are in the vocabulary."""
    from gensim.models import Word2Vec
    from gensim.models.word2vec import LineSentence

    start = time.perf_counter()
    texts = list(LineSentence(Path(os.environ["BENCHMARK_DATA"]) / "all_texts.txt"))
    model = Word2Vec(texts, sg=1, epochs=EPOCHS, workers=len(os.sched_getaffinity(0)), seed=0, **SIZES)
    _, spearman, unknown = model.wv.evaluate_word_pairs(RATINGS.expanduser())
    minutes = (time.perf_counter() - start) / 60
    print(json.dumps({"spearman_men": spearman.statistic, "known": 1 - unknown / 100, "minutes": minutes}))


if __name__ == "__main__":
    main()
