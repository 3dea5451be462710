"""Training seconds of PyTorch's basic example to a test accuracy: pytorch_time_to_accuracy.py EPOCHS.

Source: https://github.com/pytorch/examples/blob/main/mnist/main.py, adapted to Fashion-MNIST (mean, standard
deviation) and run for EPOCHS (14 in the example). Network, batch size, Adadelta and its decay are those of the example.
"""

import json
import os
import sys

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn, optim
from torch.optim.lr_scheduler import StepLR

from benchmarks.timing.time_to_accuracy import AccuracyTimer

MEAN, DEVIATION = 0.2860, 0.3530


class Net(nn.Module):
    """The network of the example."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3, 1)
        self.conv2 = nn.Conv2d(32, 64, 3, 1)
        self.dropout1 = nn.Dropout(0.25)
        self.dropout2 = nn.Dropout(0.5)
        self.fc1 = nn.Linear(9216, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, x):
        x = F.relu(self.conv2(F.relu(self.conv1(x))))
        x = self.dropout1(F.max_pool2d(x, 2))
        x = self.dropout2(F.relu(self.fc1(torch.flatten(x, 1))))
        return F.log_softmax(self.fc2(x), dim=1)


def data(split: str) -> torch.utils.data.TensorDataset:
    """Return a split as normalised tensors."""
    arrays = np.load(os.path.join(os.environ["BENCHMARK_DATA"], "fashion_mnist.npz"))
    images = torch.from_numpy(arrays[f"{split}_images"]).permute(0, 3, 1, 2).float() / 255
    labels = torch.from_numpy(arrays[f"{split}_labels"]).long()
    return torch.utils.data.TensorDataset((images - MEAN) / DEVIATION, labels)


def train(model: nn.Module, loader: torch.utils.data.DataLoader, optimizer: optim.Optimizer) -> None:
    """Train an epoch."""
    model.train()
    for x, y in loader:
        optimizer.zero_grad()
        loss = F.nll_loss(model(x), y)
        loss.backward()
        optimizer.step()


def test(model: nn.Module, loader: torch.utils.data.DataLoader) -> float:
    """Return the accuracy."""
    model.eval()
    with torch.no_grad():
        correct = sum(int((model(x).argmax(1) == y).sum()) for x, y in loader)
    return correct / len(loader.dataset)


def main(epochs: str) -> dict:
    """Train; return the times."""
    torch.manual_seed(int(os.environ["BENCHMARK_TURN"]))
    loader = torch.utils.data.DataLoader(data("train"), batch_size=64, shuffle=True)
    test_loader = torch.utils.data.DataLoader(data("test"), batch_size=1000)
    timer = AccuracyTimer()
    model = Net()
    optimizer = optim.Adadelta(model.parameters(), lr=1.0)
    scheduler = StepLR(optimizer, step_size=1, gamma=0.7)
    for _ in range(int(epochs)):
        train(model, loader, optimizer)
        scheduler.step()
        timer.pause()
        if timer.record(test(model, test_loader)):
            break
    return timer.result()


print(json.dumps(main(sys.argv[1])))
