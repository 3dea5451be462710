"""A time series: your own table with a column of times, or the bicycle rentals of Washington, D.C., day by day.

Sources:   data_dir (a .csv, .tsv or .parquet file, as `table`), or the hours of `bike_sharing`, added up by day.
Features:  every column as a string, as `table`: time, target and perhaps columns that are known ahead are chosen by
           the task. Of the rentals: date, holiday, workingday, rentals.
Splits:    in the order of time, which the task knows: 60/20/20, or other percentages.
Licence:   yours; CC BY 4.0 of the rentals.
"""

import os

import numpy as np

from pipelines import tabular
from pipelines.dataset import Dataset
from pipelines.datasets import bike_sharing, table

NAME = "series"


def load(data_dir: str | os.PathLike | None, cache_dir: str | os.PathLike | None, split: str) -> Dataset:
    if data_dir is not None:
        return table.load(data_dir, cache_dir, split)
    hours = bike_sharing.load(None, cache_dir, "official")
    parts = [tabular.collect(hours[name]) for name in ("train", "validation", "test")]
    dates, rentals = (np.concatenate([part[name] for part in parts]) for name in ("date", bike_sharing.TARGET))
    days, first, places = np.unique(dates, return_index=True, return_inverse=True)
    sums = np.bincount(places, weights=rentals)
    cells = {"date": days}
    cells |= {name: np.concatenate([part[name] for part in parts])[first] for name in ("holiday", "workingday")}
    cells |= {"rentals": np.array([f"{value:.0f}" for value in sums], object)}
    about = {field: getattr(hours.info, field) for field in ("source", "licence", "sha256")}
    return table.of_cells(cells, split, name=NAME, **about)
