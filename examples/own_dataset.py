"""Train on your own images: a folder with one sub-folder per class.

python examples/own_dataset.py --data-dir images/ --out runs/own
Without --data-dir the folder is written first, from the digits of scikit-learn: digits/0/0000.png and so on.
"""

import argparse
from pathlib import Path

from zoo import train


def write_digits(folder: Path) -> Path:
    """Write the 8x8 digits as PNG files, one sub-folder per class."""
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    for number, (image, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        path = folder / str(label) / f"{number:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((image * 15).astype("uint8")).save(path)
    return folder


parser = argparse.ArgumentParser()
parser.add_argument("--data-dir", type=Path)
parser.add_argument("--out", type=Path, default=Path("runs/own"))
options = parser.parse_args()

folder = options.data_dir or write_digits(options.out.with_name(options.out.name + "-images"))
summary = train.run(
    "mnist",  # any image classifier: images of any size and mode are resized to what the model takes
    settings={"data": "image_folder", "recipe.epochs": 5},
    data_dir=str(folder),
    out=str(options.out),
    export=False,  # omit to export and verify
)
print("test accuracy:", summary["metrics"]["accuracy"])
