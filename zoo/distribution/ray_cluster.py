"""A Ray cluster: one of this machine that ends with the command, or one that runs already."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import secrets
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from zoobase.console import quiet_stderr
from zoobase.errors import MissingError, ZooError
from zoobase.plugins import loaded_module
from zoobase.requirements import install_command

THIS_MACHINE = ("local", "auto")  # a cluster of this command, or the one that runs here
LONGEST = 40  # characters of a folder for sockets, whose paths have at most 107
STORE = 200_000_000  # bytes of shared memory; results are files
TOKEN = Path("~/.ray/auth_token")  # that of the clusters of `ray start --head`, which writes it
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # leave CUDA_VISIBLE_DEVICES as it is
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_worker_niceness": "0",  # the priority of the command, not 15 less
}


def check(address: str) -> None:
    """Raise MissingError if Ray is not installed, or nothing listens at HOST:PORT: Ray would try for minutes."""
    if loaded_module("ray") is None and importlib.util.find_spec("ray") is None:
        raise MissingError(f"this needs Ray: {install_command('ray')}")
    if address in THIS_MACHINE:
        return
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, ValueError) as error:
        raise _no_cluster(address) from error


@contextlib.contextmanager
def connected(address: str, workers: int) -> Iterator[None]:
    """Use a cluster in the block: HOST:PORT, "auto" for the one of this machine, or "local" for a new one."""
    # Ray listens on all interfaces of the machine, so that a new one asks for a token that only the user's processes
    # know.
    check(address)
    is_local = address == "local"
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if "ray" not in sys.modules and "RAY_AUTH_MODE" not in os.environ:  # Ray reads them when it is imported
        if is_local:
            os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32))
        elif "RAY_AUTH_TOKEN" in os.environ or TOKEN.expanduser().is_file():
            os.environ["RAY_AUTH_MODE"] = "token"
    with quiet_stderr():
        import ray
        import ray.data  # sets the levels of the log

    for name in ("ray.data", "ray.train"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    if ray.is_initialized():  # by the caller of a function of ours
        yield
        return
    with contextlib.ExitStack() as stack:
        options = {"log_to_driver": False, "logging_level": logging.CRITICAL}
        if is_local:
            parent = tempfile.gettempdir() if len(tempfile.gettempdir()) <= LONGEST else "/tmp"
            folder = stack.enter_context(
                tempfile.TemporaryDirectory(prefix="r-", dir=parent, ignore_cleanup_errors=True)
            )
            options |= {"num_cpus": workers, "object_store_memory": STORE, "include_dashboard": False}
            options["_temp_dir"] = folder
        try:
            with quiet_stderr():
                ray.init(address, **options)
        except ConnectionError as error:
            raise _no_cluster(address) from error
        stack.callback(ray.shutdown)
        yield


def _no_cluster(address: str) -> MissingError:
    where = "on this machine" if address == "auto" else f"at {address}"
    return MissingError(
        f"there is no Ray cluster {where}, or it asks for another token; `ray start --head` starts one, and prints "
        "HOST:PORT"
    )


@contextlib.contextmanager
def errors() -> Iterator[None]:
    """Turn an error of Ray, or of a worker, into a ZooError of one line."""
    import ray

    try:
        yield
    except ray.exceptions.RayError as error:
        cause = str(getattr(error, "cause", None) or error).strip().splitlines() or [type(error).__name__]
        raise ZooError(f"a worker failed: {cause[-1]} (run again with --debug for the traceback)") from error
