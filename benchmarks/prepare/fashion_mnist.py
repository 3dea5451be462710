"""Write the training set of Fashion-MNIST as arrays, for candidates without TFDS."""

import os
from pathlib import Path

import numpy as np

import pipelines

target = Path(os.environ["BENCHMARK_DATA"]) / "fashion_mnist.npz"
if not target.is_file():
    arrays = {}
    dataset = pipelines.load("fashion_mnist")
    for split in ("train", "test"):
        rows = dataset[split].map(lambda row: (pipelines.images.decode_image(row["image"], 1), row["label"]))
        images, labels = next(iter(rows.batch(60_000).as_numpy_iterator()))
        arrays |= {f"{split}_images": images, f"{split}_labels": labels}
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(".part.npz")
    np.savez(part, **arrays)
    part.rename(target)
