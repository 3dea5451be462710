"""Train a model of the zoo and export it: a run folder with metrics, figures and a bundle with its certificate.

python examples/train_and_export.py --out runs/example
"""

import argparse

from zoo import train

parser = argparse.ArgumentParser()
parser.add_argument("--out", default="runs/example", help="the run folder; the same command resumes an interrupted run")
parser.add_argument("--data-dir", help="your own data; by default the dataset is downloaded")
parser.add_argument("--epochs", type=int, default=2)
options = parser.parse_args()

summary = train.run(
    "fashion_mnist",
    model_arguments={"filters": [8, 16], "depths": [1, 1]},  # arguments of the builder, as in zoo.build
    settings={"recipe.epochs": options.epochs, "recipe.batch_size": 64},  # as --set on the command line
    data_dir=options.data_dir,
    out=options.out,
)
print("test accuracy:", summary["metrics"]["accuracy"])

for bundle in summary["bundles"]:
    print(bundle["path"], bundle["verdict"])
    for row in bundle["artifacts"]:
        print(f"  {row['artifact']:24} {row['runtime']:12} {row['state']}")
    print("next: python -m export verify", bundle["path"])
