"""Train on your own images: a folder with one sub-folder per class, or arrays in memory.

python examples/own_dataset.py --data-dir images/ --out runs/own
Without --data-dir the arrays are the digits of scikit-learn. From the command line, a folder is
python -m zoo.train mnist --set data=image_folder --data-dir images/
"""

import argparse

from sklearn.datasets import load_digits

import pipelines
from zoo import train

parser = argparse.ArgumentParser()
parser.add_argument("--data-dir")
parser.add_argument("--out", default="runs/own")
options = parser.parse_args()

if options.data_dir:
    data = pipelines.load("image_folder", options.data_dir)
else:
    digits = load_digits()  # images (1797, 8, 8) in [0, 16]
    data = pipelines.from_arrays((digits.images * 15).astype("uint8"), digits.target, split="70/15/15")
print(data.info.counts)

summary = train.run(
    "mnist",  # any image classifier: images of any size and mode are resized to what the model takes
    dataset=data,
    settings={"recipe.epochs": 5},
    out=options.out,
    export=False,  # omit to export and verify
)
print("test accuracy:", summary["metrics"]["accuracy"])
