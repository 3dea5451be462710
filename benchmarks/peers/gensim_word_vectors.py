"""Words/s of gensim's word2vec: one epoch over the same texts, two worker threads.

Source: https://radimrehurek.com/gensim/models/word2vec.html, with the sizes of our model; its other defaults.
"""

import json
import os
import time
from pathlib import Path

from gensim.models import Word2Vec
from gensim.models.word2vec import LineSentence

SIZES = {"vector_size": 100, "window": 5, "negative": 5, "sample": 1e-4, "min_count": 5, "max_final_vocab": 20_000}


def main() -> dict[str, float]:
    """Train an epoch; return the words of it per second."""
    texts = list(LineSentence(Path(os.environ["BENCHMARK_DATA"]) / "all_texts.txt"))
    model = Word2Vec(sg=1, workers=2, seed=0, **SIZES)
    model.build_vocab(texts)
    start, cpu_start = time.perf_counter(), time.process_time()
    words, _ = model.train(texts, total_examples=model.corpus_count, epochs=1)
    cpu_seconds = time.process_time() - cpu_start
    return {"value": words / (time.perf_counter() - start), "CPU seconds a million words": 1e6 * cpu_seconds / words}


print(json.dumps(main()))
