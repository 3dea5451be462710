"""Real photographs as a folder of classes: crops of the pictures that scikit-image and scikit-learn carry."""

from pathlib import Path

import numpy as np
from PIL import Image

SCIKIT_IMAGE = [
    *("astronaut", "chelsea", "coffee", "rocket", "brick", "grass", "gravel", "hubble_deep_field", "ihc", "retina")
]
SCIKIT_LEARN = ("china", "flower")
REGIONS = {"train": (0.0, 0.6), "valid": (0.6, 0.8), "test": (0.8, 1.0)}  # of the width: no pixel is on two sides


def photographs() -> dict[str, Image.Image]:
    import sklearn.datasets
    from skimage import data

    (folder,) = data.__path__
    found = {name: next(Path(folder).glob(f"{name}.*")) for name in SCIKIT_IMAGE}
    found |= {name: Path(sklearn.datasets.__path__[0]) / "images" / f"{name}.jpg" for name in SCIKIT_LEARN}
    return {name: Image.open(path).convert("RGB") for name, path in found.items()}


def write(root: Path, count: int, classes: int = 12, seed: int = 0) -> Path:
    """Write train/, valid/ and test/ of `count` crops a class in all (70/15/15): JPEG of mixed sizes, some RGBA PNG."""
    random = np.random.default_rng(seed)
    shares = {"train": round(count * 0.7), "valid": round(count * 0.15), "test": round(count * 0.15)}
    for name, picture in list(photographs().items())[:classes]:
        for split, (low, high) in REGIONS.items():
            folder = root / split / name
            folder.mkdir(parents=True, exist_ok=True)
            left, right = int(low * picture.width), int(high * picture.width)
            for i in range(shares[split]):
                side = int(random.integers(48, min(right - left, picture.height)))
                x, y = random.integers(left, right - side + 1), random.integers(0, picture.height - side + 1)
                crop = picture.crop((x, y, x + side, y + side))
                crop = crop.resize([int(s) for s in random.integers(90, 500, 2)], Image.Resampling.BICUBIC)
                if i % 10 == 9:
                    crop.convert("RGBA").save(folder / f"{i}.png")
                else:
                    crop.save(folder / f"{i}.jpg", quality=int(random.integers(60, 96)))
    return root


def save(path: Path, image, **options) -> None:
    """Write an image, or an array, to a file of a folder that need not exist."""
    path.parent.mkdir(parents=True, exist_ok=True)
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path, **options)
