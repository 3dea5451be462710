"""Training on examples that a tf.data service reads and decodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoobase.errors import UsageError

if TYPE_CHECKING:
    from pipelines.dataset import Dataset
    from pipelines.feeding import Feed
    from zoo.core.plan import Plan


def check(plan: Plan, address: str) -> None:
    """Check what can be checked before the data is loaded.

    Raises:
        UsageError: The data is not read from shards as a whole.
        pipelines.DataError: There is no service at the address.
    """
    if plan.data["name"] != "shards" or plan.recipe.limit:
        raise UsageError(
            "--data-service is for data=shards without recipe.limit: write the data by python -m pipelines shard "
            f"{plan.data['name'] if plan.data['name'] != 'shards' else 'NAME'} -o FOLDER, then --set data=shards "
            "--data-dir FOLDER"
        )
    from pipelines import data_service

    data_service.check(address)


def feed(plan: Plan, dataset: Dataset, training: Feed, address: str) -> Feed:
    """Return the training feed with the same examples from the service.

    Raises:
        pipelines.DataError: The model does not take the examples one by one.
    """
    from pipelines import data_service

    return data_service.served(training, dataset.train, plan.data["data_dir"], address)
