"""Free ports of this machine."""

import contextlib
import random
import socket


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 that no process uses, and that none gets for a connection (Linux: from 32768)."""
    ports: list[int] = []
    while len(ports) < count:
        port = random.SystemRandom().randrange(10_000, 32_768)  # not that of another seeded process
        with contextlib.suppress(OSError), socket.socket() as one:
            one.bind(("127.0.0.1", port))
            ports += [port] if port not in ports else []
    return ports
