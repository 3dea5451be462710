"""The horses and zebras of the CycleGAN paper.

Reference: Zhu, Park, Isola, Efros 2017, arXiv:1703.10593.
Sources:   data_dir (a TFDS folder that contains cycle_gan, in any of its configurations: summer2winter_yosemite,
           vangogh2photo, ...; or folders as in unpaired), the prepared cache, TFDS download of horse2zebra.
Features:  {"a": JPEG bytes, "b": JPEG bytes}; unpaired, and the smaller set repeats.
Splits:    "official" is the publisher's, whose last tenth of train is for validation; percentages divide train.
Licence:   for research; of the photographers, by ImageNet and Flickr.
"""

import os
from pathlib import Path

from pipelines import splits
from pipelines.dataset import Dataset, Info
from pipelines.datasets import unpaired
from pipelines.images import paired
from pipelines.sources import tfds
from zoobase.files import cache_root

NAME, CONFIG = "cycle_gan", "horse2zebra"


def load(data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
    policy = splits.percentages(split)
    if data_dir is None:
        hint = f"--data-dir FOLDER {unpaired.LAYOUT}, or with a TFDS folder of {NAME}"
        ready = cache_root(cache_dir) / NAME / CONFIG
        source, builder = tfds.download(NAME, ready, hint, config=CONFIG)
    else:
        root = Path(data_dir).expanduser()
        configs = sorted(p.name for p in (root / NAME).glob("[a-z]*") if p.is_dir())
        if not configs:
            return unpaired.load(data_dir, cache_dir, split)
        source, builder = f"TFDS folder {root}", tfds.builder_class(NAME)(data_dir=root, config=configs[0])
    first, second = (policy[0], policy[0] + policy[1]) if policy else (90, 100)
    cuts = {"train": f"train{{}}[:{first}%]", "validation": f"train{{}}[{first}%:{second}%]"}
    cuts["test"] = f"train{{}}[{second}%:]" if policy else "test{}"
    parts = {
        s: paired.zip_unpaired(*(tfds.read(builder, cut.format(domain)).map(lambda e: e["image"]) for domain in "AB"))
        for s, cut in cuts.items()
    }
    counts = {s: int(part.cardinality()) for s, part in parts.items()}
    info = Info(
        name=NAME,
        source=f"{source} ({builder.builder_config.name})",
        licence="for research",
        homepage=builder.info.homepage,
        features=paired.FEATURES,
        counts=counts,
        statistics={"image_shape": paired.SHAPE},
        sha256={s: f"{builder.info.full_name} {n}" for s, n in counts.items()},
        split=split,
    )
    return Dataset(**parts, info=info)
