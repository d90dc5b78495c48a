"""What tests that wait for others share: how long, and ports on which nobody listens."""

import secrets
import socket
import time
from collections.abc import Callable

PATIENCE = 180.0  # seconds: another process is started, or answers, while other tests have the processors
PORTS = range(10_000, 32_000)  # a system takes those of its clients from above these


def wait_for(what: Callable[[], object], description: str, seconds: float = PATIENCE, every: float = 0.03) -> None:
    """Until it is so; a test that waits in vain fails with the description."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, f"after {seconds} s still not so: {description}"
        time.sleep(every)


def closed_port() -> int:
    """A port on which nothing listens: for a server to come, or to find nobody there.

    One that the system itself gave could be given to any client before the server listens on it.
    """
    while True:
        port = secrets.choice(PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:  # somebody does
                continue
            return port
