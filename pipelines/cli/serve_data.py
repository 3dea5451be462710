"""python -m pipelines serve-data: a tf.data service for `python -m zoo.train --data-service`."""

from __future__ import annotations

import threading

import click

from zoobase import Console, common_options
from zoobase.importing import import_tensorflow


@click.command("serve-data")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address of this machine for those that train.")
@click.option("--port", default=0, type=click.IntRange(0, 65535), help="Port.  [default: any that is free]")
@click.option("--join", metavar="HOST:PORT", help="Start only a worker, of a service that runs.")
@common_options
def command(host: str, port: int, join: str | None, console: Console) -> None:
    """Serve the examples of data=shards: a dispatcher with one worker, or one more worker.

    TensorFlow listens on all addresses of this machine, without encryption, and reads any file that a client names:
    keep the ports within a network that you trust. Ends with Ctrl-C.
    """
    import_tensorflow()
    from pipelines import data_service

    address, servers = data_service.start(host, port, join)
    console.print(f"serving: python -m zoo.train MODEL --set data=shards --data-dir FOLDER --data-service {address}")
    console.print(f"more workers: python -m pipelines serve-data --join {address}")
    console.print("TensorFlow listens on all addresses of this machine: trust the network, or close the ports")
    threading.Event().wait()
    del servers
