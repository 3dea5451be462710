"""Images/s of PyTorch in evaluation mode, batch 128, with the network of pytorch_fit.py: pytorch_predict.py.

Source: https://pytorch.org/tutorials/intermediate/memory_format_tutorial.html and the page of torch.inference_mode.
"""

import json
import os
import time

import numpy as np
import torch

from benchmarks.peers.pytorch_fit import BATCH, fashion_mnist

COUNT = 50 * BATCH


def main() -> float:
    """Predict twice, of which the second is timed; return images per second."""
    arrays = np.load(os.path.join(os.environ["BENCHMARK_DATA"], "fashion_mnist.npz"))
    images = torch.from_numpy(arrays["train_images"][:COUNT]).permute(0, 3, 1, 2).float() / 255
    model = fashion_mnist().to(memory_format=torch.channels_last).eval()
    with torch.inference_mode():
        for _ in range(2):
            start = time.perf_counter()
            for first in range(0, COUNT, BATCH):
                model(images[first : first + BATCH].to(memory_format=torch.channels_last)).numpy()
    return COUNT / (time.perf_counter() - start)


print(json.dumps({"value": main()}))
