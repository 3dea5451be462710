"""Images/s of a torchvision folder with the transforms that our policy "photographs" has, in two workers.

Source: https://docs.pytorch.org/vision/stable/transforms.html and the page of torch.utils.data.
"""

import json
import os
import resource
import time

import torch
from torchvision import datasets
from torchvision.transforms import v2

SIZE, BATCH, PASSES = 224, 32, 4


def main() -> dict[str, float]:
    """Feed all pictures again and again; return images a second, and CPU time an image, after the first pass."""
    torch.set_num_threads(1)
    imported = time.process_time()
    steps = [v2.Resize(SIZE), v2.CenterCrop(SIZE), v2.RandomHorizontalFlip()]
    steps += [v2.RandomAffine(15, (0.1, 0.1), (0.85, 1.15), 5), v2.ColorJitter(0.1, 0.2), v2.PILToTensor()]
    folder = os.path.join(os.environ["BENCHMARK_DATA"], "photographs")
    data = datasets.ImageFolder(folder, v2.Compose(steps))
    loader = torch.utils.data.DataLoader(data, BATCH, shuffle=True, num_workers=2, persistent_workers=True)
    sum(1 for _ in loader)  # traces, fills the disk cache, starts workers
    began = time.perf_counter()
    count = sum(len(labels) for _ in range(PASSES) for _, labels in loader)
    rate = count / (time.perf_counter() - began)
    del loader  # its workers end, and are counted
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    seconds = sum(u.ru_utime + u.ru_stime for u in used) - imported
    return {"value": rate, "CPU ms an image": 1000 * seconds / (count + len(data))}


if __name__ == "__main__":
    print(json.dumps(main()))
