"""Any dataset of labelled images or texts on the Hugging Face Hub, or in a folder that the library `datasets` reads.

Sources:   data_dir: NAME, OWNER/NAME or a folder; with a configuration as NAME:CONFIGURATION. Credentials are those of
           `hf auth login` and of the environment.
Features:  {"image": PNG bytes} or {"text": UTF-8 string}, and label int64: the first columns of that kind.
Splits:    its own; missing ones are taken from train, 80/10/10 or the given percentages.
Licence:   that of the dataset.
"""

import dataclasses
import os
from pathlib import Path

from pipelines import splits
from pipelines.adapters.huggingface import from_huggingface
from pipelines.dataset import Dataset
from zoobase.errors import MISSING, DataError
from zoobase.requirements import install_command

NAME = "huggingface"


def load(data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
    if data_dir is None:
        raise DataError("huggingface reads a dataset of the Hub: name it with --data-dir OWNER/NAME", MISSING)
    splits.percentages(split)
    try:
        import datasets
    except ImportError as error:
        hint = install_command("huggingface")
        raise DataError(f"datasets of the Hub need the library datasets ({error}); {hint}", MISSING) from error
    name, _, configuration = str(data_dir).partition(":")
    try:
        loaded = datasets.load_dataset(name, configuration or None)
    except Exception as error:  # the library and the Hub have errors of their own
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"the dataset {name} cannot be loaded ({type(error).__name__}: {reason})", MISSING) from error
    data = from_huggingface(loaded, split="80/10/10" if split == "official" else split)
    if Path(name).expanduser().exists():
        return data
    about = getattr(loaded[next(iter(loaded))], "info", None)
    info = dataclasses.replace(
        data.info,
        name=f"huggingface/{name.rpartition('/')[2]}",
        source=f"Hugging Face Hub: {data_dir}",
        licence=getattr(about, "license", "") or "as its page says",
        homepage=f"https://huggingface.co/datasets/{name}",
    )
    return dataclasses.replace(data, info=info)
