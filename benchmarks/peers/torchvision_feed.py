"""Images/s of a torchvision folder with the transforms that our policy "photographs" has, in two workers.

Source: https://docs.pytorch.org/vision/stable/transforms.html and the page of torch.utils.data.
"""

import json
import os
import time

import torch
from torchvision import datasets
from torchvision.transforms import v2

SIZE, BATCH, PASSES = 224, 32, 4


def main() -> float:
    """Feed all pictures again and again; return images a second after the first pass."""
    torch.set_num_threads(1)
    steps = [v2.Resize(SIZE), v2.CenterCrop(SIZE), v2.RandomHorizontalFlip()]
    steps += [v2.RandomAffine(15, (0.1, 0.1), (0.85, 1.15), 5), v2.ColorJitter(0.1, 0.2), v2.PILToTensor()]
    folder = os.path.join(os.environ["BENCHMARK_DATA"], "photographs")
    data = datasets.ImageFolder(folder, v2.Compose(steps))
    loader = torch.utils.data.DataLoader(data, BATCH, shuffle=True, num_workers=2, persistent_workers=True)
    sum(1 for _ in loader)  # traces, fills the disk cache, starts workers
    began = time.perf_counter()
    count = sum(len(labels) for _ in range(PASSES) for _, labels in loader)
    return count / (time.perf_counter() - began)


if __name__ == "__main__":
    print(json.dumps({"value": main()}))
