"""Fixtures: the run of two workers that nobody disturbs."""

import json

import pytest

from tests.zoo.distribution import two_workers
from zoobase.ports import free_ports


@pytest.fixture(scope="session")
def undisturbed(shared):
    """Return the run of two workers that a TF_CONFIG names, as a cluster starts them; it is not changed."""
    return shared("two_workers", _run)


def _run(out):
    cluster = {"worker": [f"127.0.0.1:{port}" for port in free_ports(2)]}
    configs = [json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}}) for index in range(2)]
    processes = [two_workers.start(*two_workers.words(), "--out", out, TF_CONFIG=config) for config in configs]
    chief, other = (process.finish() for process in processes)
    assert "2 replicas" in chief
    assert other == ""  # only the first worker prints
    assert sorted(path.name for path in (out / "logs").iterdir()) == ["train", "validation", "worker-0", "worker-1"]
