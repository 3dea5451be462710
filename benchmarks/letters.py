"""Letters and words by people who are not in the training: python -m benchmarks.letters [DATASET] [--set KEY=VALUE].

Seven trainings of `keywords` with all candidates on `spoken_letters` or `spoken_words`, each evaluated on the
recordings of two of the fourteen speakers; two others validate. Prints the accuracy of each candidate over all speakers
and the difference to the network, with 95 % intervals of Student's t over the seven. With `--validation` the evaluation
is on the speakers that validate, who are not tested then: settings are compared by it.
"""

import dataclasses
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np

import pipelines
from pipelines import splits
from pipelines.dataset import Dataset
from pipelines.splits import GROUP

EPOCHS = 80
T = 2.447  # Student's t of 95 % with six degrees of freedom


def folds(dataset: Dataset, validation: bool = False) -> Iterator[Dataset]:
    """Yield the dataset with other speakers for validation and test each time; noise is a seventh of its seconds."""
    rows = [row for part in ("train", "validation", "test") for row in dataset[part].as_numpy_iterator()]
    speakers = sorted({row[GROUP] for row in rows if not row[GROUP].endswith(b".wav")})
    order = np.random.default_rng(0).permutation(len(speakers))
    fold = {speakers[i]: place // 2 for place, i in enumerate(order)}
    noise = iter(range(len(rows)))
    of_row = np.array([fold[row[GROUP]] if row[GROUP] in fold else next(noise) % 7 for row in rows])
    for number in range(7):
        masks = {"validation": of_row == (number + 1) % 7, "test": of_row == number}
        masks["train"] = ~(masks["validation"] | masks["test"])
        if validation:
            masks["test"] = masks["validation"]
        columns, groups = {}, {}
        for name, mask in masks.items():
            chosen = [row for row, is_in in zip(rows, mask, strict=True) if is_in]
            columns[name] = {key: np.stack([row[key] for row in chosen]) for key in ("samples", "label")}
            groups[name] = [row[GROUP].decode() for row in chosen]
        features = {key: value for key, value in dataset.info.features.items() if key != GROUP}
        counts = {name: int(mask.sum()) for name, mask in masks.items()}
        info = dataclasses.replace(dataset.info, features=features, counts=counts)
        yield splits.with_groups(Dataset.of_columns(columns, info), groups, "speaker")


@click.command("letters")
@click.argument("dataset", default="spoken_letters")
@click.option("--set", "pairs", metavar="KEY=VALUE", multiple=True, help="A setting, as of zoo.train.")
@click.option("--seed", default=0, show_default=True)
@click.option("--validation", is_flag=True, help="Evaluate on the speakers that validate.")
def main(dataset: str, pairs: tuple[str, ...], seed: int, validation: bool) -> None:
    """Train seven times, and print a line for each candidate."""
    from zoo import train
    from zoo.cli import options
    from zoo.core import environment

    environment.prepare()
    found: dict[str, list[float]] = {}
    selected = []
    for fold in folds(pipelines.load(dataset), validation):
        with tempfile.TemporaryDirectory() as folder:
            out, settings = Path(folder) / "run", {"recipe.epochs": EPOCHS} | options.parse_settings(pairs)
            given = {"precision": "float32", "export": False, "candidates": "all", "out": str(out), "seed": seed}
            summary = train.run("keywords", dataset=fold, settings=settings, **given)
            choice = json.loads((out / "candidates.json").read_text())
        titles = {one["name"]: one["title"] for one in choice["candidates"]}
        selected.append(choice["selected"])
        for title, metrics in summary["compared"].items():
            name = titles[choice["selected"]] if title == "this model" else title.removesuffix(", network")
            found.setdefault(name, []).append(metrics["accuracy"])
        print(json.dumps({name: round(values[-1], 4) for name, values in found.items()}), selected[-1], flush=True)
    network = next(values for name, values in found.items() if name.startswith("keywords"))
    for name, values in found.items():
        difference = np.subtract(network, values)
        row = {"accuracy": np.mean(values), "half_interval": T * np.std(values, ddof=1) / 7**0.5}
        row |= {"network_is_better_by": difference.mean(), "half": T * difference.std(ddof=1) / 7**0.5}
        print(json.dumps({"candidate": name} | {key: round(float(value), 4) for key, value in row.items()}))
    print("selected", selected)


if __name__ == "__main__":
    main()
