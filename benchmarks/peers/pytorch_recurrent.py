"""Characters/s of training one recurrent layer of PyTorch: pytorch_recurrent.py gru|lstm.

Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTM.html; Adam, float32, batch first.
"""

import json
import sys
import time

import torch

BATCH, LENGTH, WIDTH, UNITS, WARM_UP, STEPS = 64, 128, 64, 256, 3, 12


def main(cell: str) -> float:
    """Train some steps; return characters per second."""
    layer = {"gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[cell](WIDTH, UNITS, batch_first=True)
    optimizer = torch.optim.Adam(layer.parameters())
    x = torch.randn(BATCH, LENGTH, WIDTH)
    for i in range(WARM_UP + STEPS):
        if i == WARM_UP:
            start = time.perf_counter()
        optimizer.zero_grad()
        layer(x)[0].square().mean().backward()
        optimizer.step()
    return BATCH * LENGTH * STEPS / (time.perf_counter() - start)


print(json.dumps({"value": main(sys.argv[1])}))
