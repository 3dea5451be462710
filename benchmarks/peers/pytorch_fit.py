"""Images/s of our networks in PyTorch's basic training loop, channels_last: pytorch_fit.py NETWORK PRECISION [compile].

Source: https://pytorch.org/tutorials/beginner/basics/optimization_tutorial.html, and for channels_last and autocast
https://pytorch.org/tutorials/intermediate/memory_format_tutorial.html and the page of torch.amp; for
`torch.compile` https://docs.pytorch.org/tutorials/intermediate/torch_compile_tutorial.html.
"""

import json
import os
import sys
import time

import numpy as np
import torch
from torch import nn

WARM_UP, STEPS, BATCH = 20, 80, 128


def conv(channels: int, filters: int, size: int = 3, stride: int = 1) -> list[nn.Module]:
    """Return a convolution and its normalisation."""
    return [nn.Conv2d(channels, filters, size, stride, size // 2, bias=False), nn.BatchNorm2d(filters)]


def fashion_mnist() -> nn.Module:
    """Build our default architecture."""
    body, channels = [], 1
    for block, (filters, depth) in enumerate(((32, 1), (64, 2), (128, 2), (256, 2))):
        for _ in range(depth):
            body += [*conv(channels, filters), nn.ReLU()]
            channels = filters
        body.append(nn.MaxPool2d(2) if block < 3 else nn.AdaptiveAvgPool2d(1))
    return nn.Sequential(*body, nn.Flatten(), nn.Dropout(0.2), nn.Linear(256, 10))


class Residual(nn.Module):
    """Two convolutions with a residual connection."""

    def __init__(self, channels, filters):
        super().__init__()
        stride = filters // channels
        self.body = nn.Sequential(*conv(channels, filters, stride=stride), nn.ReLU(), *conv(filters, filters))
        self.shortcut = nn.Sequential(*(conv(channels, filters, 1, stride) if stride > 1 else []))

    def forward(self, x):
        return nn.functional.relu(self.body(x) + self.shortcut(x))


def resnet20() -> nn.Module:
    """Build the 20 layers of He 2016."""
    body, channels = [*conv(1, 16), nn.ReLU()], 16
    for filters in (16, 32, 64):
        for _ in range(3):
            body.append(Residual(channels, filters))
            channels = filters
    return nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def main(network: str, precision: str, mode: str = "eager") -> float:
    """Train some steps; return images per second."""
    arrays = np.load(os.path.join(os.environ["BENCHMARK_DATA"], "fashion_mnist.npz"))
    count = BATCH * (WARM_UP + STEPS)
    images = torch.from_numpy(arrays["train_images"][:count]).permute(0, 3, 1, 2).float() / 255
    data = torch.utils.data.TensorDataset(images, torch.from_numpy(arrays["train_labels"][:count]).long())
    loader = torch.utils.data.DataLoader(data, batch_size=BATCH, shuffle=True)
    model = {"fashion_mnist": fashion_mnist, "resnet20": resnet20}[network]().to(memory_format=torch.channels_last)
    forward = torch.compile(model) if mode == "compile" else model
    loss_fn, optimizer = nn.CrossEntropyLoss(), torch.optim.Adam(model.parameters())
    for step, (x, y) in enumerate(loader):
        if step == WARM_UP:
            start = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bfloat16"):
            loss = loss_fn(forward(x.to(memory_format=torch.channels_last)), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return BATCH * STEPS / (time.perf_counter() - start)


if __name__ == "__main__":
    print(json.dumps({"value": main(*sys.argv[1:])}))
