"""Images/s of grain, which opens images with PIL and augments them with torchvision's transforms, in two workers.

Source: https://google-grain.readthedocs.io/en/latest/tutorials/dataset_basic_tutorial.html
"""

import json
import os
from pathlib import Path

import grain
import numpy as np
import torch
from PIL import Image

from benchmarks.peers.torchvision_feed import TRANSFORMS
from benchmarks.timing.feeding import BATCH, measure_feed


def read(file: Path) -> tuple[Image.Image, int]:
    """Return the image and its label."""
    return Image.open(file).convert("RGB"), int(file.parent.name.removeprefix("class"))


def augment(example: tuple[Image.Image, int], random: np.random.Generator) -> tuple[np.ndarray, int]:
    """Augment an image randomly, by the generator that grain passes for each element."""
    torch.manual_seed(int(random.integers(2**31)))
    return TRANSFORMS(example[0]).numpy(), example[1]


def main() -> dict[str, float]:
    """Feed all images repeatedly."""
    torch.set_num_threads(1)
    files = sorted((Path(os.environ["BENCHMARK_DATA"]) / "photographs").rglob("*.jpg"))
    data = grain.MapDataset.source(files).seed(0).shuffle().repeat().map(read).random_map(augment)
    data = data.batch(BATCH).to_iter_dataset().mp_prefetch(grain.MultiprocessingOptions(num_workers=2))
    return measure_feed(iter(data), -(-len(files) // BATCH))


if __name__ == "__main__":
    print(json.dumps(main()))
