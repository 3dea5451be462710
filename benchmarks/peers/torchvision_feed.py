"""Images/s of a torchvision ImageFolder with transforms that correspond to our policy "photographs", in two workers.

Source: https://docs.pytorch.org/vision/stable/transforms.html and the page of torch.utils.data.
"""

import json
import os
from itertools import chain, repeat

import torch
from torchvision import datasets
from torchvision.transforms import v2

from benchmarks.timing.feeding import BATCH, SIZE, measure_feed

TRANSFORMS = v2.Compose(
    [
        v2.Resize(SIZE),
        v2.CenterCrop(SIZE),
        v2.RandomHorizontalFlip(),
        v2.RandomAffine(15, (0.1, 0.1), (0.85, 1.15), 5),
        v2.ColorJitter(0.1, 0.2),
        v2.PILToTensor(),
    ]
)


def main() -> dict[str, float]:
    """Feed all images repeatedly."""
    torch.set_num_threads(1)
    data = datasets.ImageFolder(os.path.join(os.environ["BENCHMARK_DATA"], "photographs"), TRANSFORMS)
    loader = torch.utils.data.DataLoader(data, BATCH, shuffle=True, num_workers=2, persistent_workers=True)
    return measure_feed(chain.from_iterable(repeat(loader)), len(loader))


if __name__ == "__main__":
    print(json.dumps(main()))
