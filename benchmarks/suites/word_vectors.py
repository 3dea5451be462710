"""Speed of word2vec (skip-gram, five negative samples, window 5, 100 dimensions) on the texts of `all_texts`.

Words are counted as by gensim: positions whose word is in the vocabulary and was not removed by the subsampling of
frequent words. Each has the neighbours of a window of random size. CPU seconds are compared, too, because other work on
the machine prolongs them less.
"""

from benchmarks.benchmark import Benchmark, Candidate, Goal

OURS, GENSIM = "zoo, word2vec", "gensim, two workers"

BENCHMARK = Benchmark(
    title="Training word vectors: skip-gram with negative sampling, words in a vocabulary of 20,000",
    unit="words/s",
    higher_is_better=True,
    candidates=(
        Candidate(OURS, "ours/word_vectors.py"),
        Candidate(GENSIM, "peers/gensim_word_vectors.py", (), ("gensim>=4.4", "numpy")),
    ),
    goals=(Goal(OURS, GENSIM, 0.4), Goal(OURS, GENSIM, 0.4, of="CPU seconds a million words")),
    quick=False,
    prepare="prepare/words.py",
)
