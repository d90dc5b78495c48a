"""Ports of this machine, for servers of tests."""

import socket


def closed_port() -> int:
    """A port on which nothing listens: for a server to come, or to find nobody there."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
