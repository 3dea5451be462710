"""Write the words of the training texts of `all_texts`, a thousand a line, for candidates without our packages."""

import os
from pathlib import Path

import pipelines
from pipelines.text import words

LINE = 1000  # words

target = Path(os.environ["BENCHMARK_DATA"]) / "all_texts.txt"
if not target.is_file():
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(".part")
    with part.open("w", encoding="utf-8") as file:
        for row in pipelines.load("all_texts").train.as_numpy_iterator():
            text = words.split(row["text"].decode())
            file.writelines(" ".join(text[i : i + LINE]) + "\n" for i in range(0, len(text), LINE))
    part.rename(target)
