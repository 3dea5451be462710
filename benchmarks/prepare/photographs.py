"""Write real photographs (crops of scikit-image's and scikit-learn's) as 200 JPEGs of 1152x896 in four classes."""

import os
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from tests.photographs import photographs

COUNT, WIDTH, HEIGHT = 200, 1152, 896

target = Path(os.environ["BENCHMARK_DATA"]) / "photographs"
if not target.is_dir():
    part = target.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    random, images = np.random.default_rng(0), list(photographs().values())
    for i in range(COUNT):
        image = images[i % len(images)]
        width = int(random.integers(image.width * 2 // 3, image.width + 1))
        height = min(image.height, width * HEIGHT // WIDTH)
        left = int(random.integers(0, image.width - width + 1))
        crop = image.crop((left, 0, left + width, height)).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
        folder = part / f"class{i % 4}"
        folder.mkdir(parents=True, exist_ok=True)
        crop.save(folder / f"{i}.jpg", quality=90)
    part.rename(target)
