"""Images/s of the same network in PyTorch's basic training loop, channels_last. Argument: the precision.

Source: https://pytorch.org/tutorials/beginner/basics/optimization_tutorial.html, and for channels_last and autocast
https://pytorch.org/tutorials/intermediate/memory_format_tutorial.html and the page of torch.amp.
"""

import json
import os
import sys
import time

import numpy as np
import torch
from torch import nn

WARM_UP, STEPS, BATCH = 20, 150, 128


def network() -> nn.Module:
    """Build our default architecture."""
    body, channels = [], 1
    for block, (filters, depth) in enumerate(((32, 1), (96, 2), (192, 2))):
        for _ in range(depth):
            body += [nn.Conv2d(channels, filters, 3, padding=1, bias=False), nn.BatchNorm2d(filters), nn.ReLU()]
            channels = filters
        body.append(nn.MaxPool2d(2) if block < 2 else nn.AdaptiveAvgPool2d(1))
    return nn.Sequential(*body, nn.Flatten(), nn.Dropout(0.2), nn.Linear(192, 10))


def main(precision: str) -> float:
    """Train some steps; return images a second."""
    arrays = np.load(os.path.join(os.environ["BENCHMARK_DATA"], "fashion_mnist.npz"))
    count = BATCH * (WARM_UP + STEPS)
    images = torch.from_numpy(arrays["train_images"][:count]).permute(0, 3, 1, 2).float() / 255
    data = torch.utils.data.TensorDataset(images, torch.from_numpy(arrays["train_labels"][:count]).long())
    loader = torch.utils.data.DataLoader(data, batch_size=BATCH, shuffle=True)
    model = network().to(memory_format=torch.channels_last)
    loss_fn, optimizer = nn.CrossEntropyLoss(), torch.optim.Adam(model.parameters())
    for step, (x, y) in enumerate(loader):
        if step == WARM_UP:
            began = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bfloat16"):
            loss = loss_fn(model(x.to(memory_format=torch.channels_last)), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return BATCH * STEPS / (time.perf_counter() - began)


print(json.dumps({"value": main(sys.argv[1])}))
