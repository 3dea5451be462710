"""Faces of the original MTCNN: mtcnn.py IMAGES.npy PATCHES.npz OUTPUTS.npz float32|float64.

Source: PyPI mtcnn 1.0.0, whose weights joblib reads. IMAGES are uint8 (N, H, W, 3), PATCHES what each network takes.
With float64 the networks compute in double precision: in float32 the probabilities of two windows may be the same
number near one, and which of them suppresses the other is chance.
"""

import sys

import keras
import numpy as np

images, patches, outputs, precision = sys.argv[1:]
keras.config.set_floatx(precision)
sys.path.pop(0)  # this folder, in which this file has the name of the package

from mtcnn import MTCNN  # noqa: E402

detector = MTCNN()
results = {}
for stage, (name, values) in zip(detector.stages, np.load(patches).items(), strict=True):
    for i, value in enumerate(stage.model(values)):
        results[f"{name}_{i}"] = np.asarray(value)
for i, image in enumerate(np.load(images)):
    results[f"image_{i}"] = detector.detect_faces(image, box_format="xyxy", output_type="numpy")
np.savez(outputs, **results)
