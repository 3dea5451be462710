"""Logits of the original EfficientNet-Lite in PyTorch: efficientnet_lite.py VARIANT CHECKPOINT PIXELS.npy LOGITS.npy.

Source: PyPI efficientnet-lite-pytorch 0.1.0, whose images are scaled as github.com/tensorflow/tpu (efficientnet/lite)
does it; PIXELS are float32 (N, H, W, 3) in [0, 255].
"""

import sys

import numpy as np
import torch
from efficientnet_lite_pytorch import EfficientNet

variant, checkpoint, pixels, logits = sys.argv[1:]
model = EfficientNet.from_name(f"efficientnet-lite{variant}")
model.load_state_dict(torch.load(checkpoint, weights_only=True))
model.eval()
images = torch.from_numpy(((np.load(pixels) - 127) / 128).transpose(0, 3, 1, 2).copy())
with torch.no_grad():
    np.save(logits, np.concatenate([model(batch).numpy() for batch in images.split(10)]))
