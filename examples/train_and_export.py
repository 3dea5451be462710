"""Train a model of the zoo, export it and verify the bundle.

python examples/train_and_export.py --out runs/example
"""

import argparse

from export import verify_bundle
from zoo import train

parser = argparse.ArgumentParser()
parser.add_argument("--out", default="runs/example", help="the run folder; a killed run is resumed by the same command")
parser.add_argument("--data-dir", help="your own data; by default the dataset is downloaded")
parser.add_argument("--epochs", type=int, default=2)
options = parser.parse_args()

summary = train.run(
    "fashion_mnist",
    asked={"filters": [8, 16], "depths": [1, 1]},  # arguments of the builder, as in zoo.build
    settings={"recipe.epochs": options.epochs, "recipe.batch_size": 64},  # as --set on the command line
    data_dir=options.data_dir,
    out=options.out,
)
print("test accuracy:", summary["metrics"]["accuracy"])

bundle = summary["bundles"][0]["path"]
certificate = verify_bundle(bundle)  # checks the checksums and runs every artifact again in a fresh process
print(bundle, certificate.verdict)
