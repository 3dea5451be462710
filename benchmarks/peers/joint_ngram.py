"""Word and phoneme error rate of a joint n-gram model on cmudict: Phonetisaurus (Novak, Minematsu, Hirose 2016,
doi:10.1017/S1351324915000315) with its default settings.

    pip install phonetisaurus==0.3.0
    python -m benchmarks.peers.joint_ngram        # 5 minutes on one core, prints JSON
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import pipelines
from zoo.evaluation import sequence_metrics

COMMAND = Path(sys.executable).with_name("phonetisaurus")


def main() -> None:
    """Train on the training split, predict the test split, and print the error rates."""
    data = pipelines.load("cmudict")
    rows = {
        name: [(e["source"].decode(), e["target"].decode()) for e in data[name].as_numpy_iterator()]
        for name in ("train", "test")
    }
    words = list(dict.fromkeys(word for word, _ in rows["test"]))
    with tempfile.TemporaryDirectory() as folder:
        lexicon, model = Path(folder) / "train.dict", Path(folder) / "model.fst"
        lexicon.write_text("".join(f"{word} {phonemes}\n" for word, phonemes in rows["train"]), encoding="utf-8")
        subprocess.run([COMMAND, "train", "--model", model, lexicon], cwd=folder, check=True, stdout=sys.stderr)
        run = subprocess.run(
            [COMMAND, "predict", "--model", model, *words], cwd=folder, check=True, capture_output=True, text=True
        )
    answers = dict(line.split(" ", 1) for line in run.stdout.splitlines())
    sources, targets = zip(*rows["test"], strict=True)
    predictions = [answers.get(word, "") for word in sources]
    tokens = ([text.split() for text in texts] for texts in (predictions, targets))
    exact = np.nanmean(sequence_metrics.exact_matches(sources, predictions, targets))
    errors, lengths = sequence_metrics.token_errors(sources, *tokens)
    rates = {"word_error_rate": 1 - exact, "phoneme_error_rate": np.nansum(errors) / np.nansum(lengths)}
    print(json.dumps({"words": len(words)} | {name: float(rate) for name, rate in rates.items()}))


if __name__ == "__main__":
    main()
