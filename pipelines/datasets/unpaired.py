"""Your own unpaired images of two domains, as in Zhu 2017, arXiv:1703.10593.

Sources:   data_dir: trainA, trainB, testA, testB (and validA, validB) as the published sets have, or two sub-folders of
           any names, of which the first by name is A.
Features:  {"a": image bytes, "b": image bytes}; unpaired, and the smaller set repeats.
Splits:    "official" is the folder's own; missing splits are taken from train by the contents of the files (70/15/15).
Licence:   yours.
"""

import os

from pipelines import splits
from pipelines.dataset import Dataset
from pipelines.images import paired, stratified_split
from zoobase.errors import USAGE, DataError

NAME = "unpaired"
LAYOUT = "with trainA, trainB, testA and testB, or with two sub-folders"


def load(data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
    shares, grouping = splits.grouping(split, splits.FILES)
    policy = splits.percentages(shares)
    root = paired.root(NAME, data_dir, LAYOUT)
    layout = paired.find(root)
    if layout is None:
        raise DataError(f"{root} does not have two domains; --data-dir needs a folder {LAYOUT}", USAGE)
    paths = [p for domains in layout.files.values() for domain_files in domains.values() for p in domain_files.values()]
    images = paired.examine(NAME, paths, cache_dir)
    skipped = {stratified_split.display_path(root, p.path): p.problem for p in images.values() if p.problem}
    files = {
        s: {
            domain: [images[p] for p in domain_files.values() if not images[p].problem]
            for domain, domain_files in domains.items()
        }
        for s, domains in layout.files.items()
    }
    parts = paired.divide(root, files, policy, skipped, min_domains=2, grouping=grouping)
    examples = {
        s: paired.zip_unpaired(*(paired.files([p.path for name, p in part if name == domain]) for domain in "AB"))
        for s, part in parts.items()
    }
    return paired.own_dataset(NAME, root, parts, examples, skipped, split)
