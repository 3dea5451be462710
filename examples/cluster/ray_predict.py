"""Predictions for many images, by Ray Data.

    python ray_predict.py BUNDLE OUT 'photos/**/*.jpg' WORKERS

OUT is a folder of Parquet files. An image without a prediction has the reason in the column `error`. Ray connects
to the cluster that RAY_ADDRESS names, else it starts one on this machine.
"""

import sys
from typing import Any

import ray

from zoo.prediction.each import predict_each
from zoo.prediction.inputs import names_of


class Predict:
    """The SavedModel of a bundle in the loader of TF Serving, in a process of its own."""

    def __init__(self, bundle: str) -> None:
        import zoo

        self.model = zoo.load(bundle, "c_api")

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        """Return a row for each image."""
        rows = []
        for name, result in predict_each(self.model, list(batch["item"]), top_k=1):
            failed = isinstance(result, Exception)
            rows.append({"input": name, "error": str(result)} if failed else {**result.rows[0], "error": ""})
        return {key: [row.get(key) for row in rows] for key in dict.fromkeys(key for row in rows for key in row)}


if __name__ == "__main__":
    bundle, out, pattern, workers = sys.argv[1:]
    names = ray.data.from_items(names_of([pattern], are_images=True))
    pool = ray.data.ActorPoolStrategy(size=int(workers))
    names.map_batches(Predict, fn_constructor_args=(bundle,), batch_size=256, compute=pool).write_parquet(out)
