"""A real Caddy with the product's own deploy/Caddyfile, in front of a running service."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from reportgen_dagster.supervisor.ports import free_port

CADDYFILE = Path(__file__).parents[1] / "deploy" / "Caddyfile"
PATIENCE_SECONDS = 20


@dataclass(frozen=True)
class Edge:
    """The door of a service.

    Attributes:
        url: Its address.
        port: Its port.
        trust: What trusts Caddy's own authority.
        log: What Caddy writes.
    """

    url: str
    port: int
    trust: ssl.SSLContext
    log: Path


@contextmanager
def caddy(folder: Path, *, gateway: str, webserver: str) -> Iterator[Edge]:
    """Run Caddy before the gateway and the webserver with these addresses."""
    http, https = free_port(), free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "XDG_DATA_HOME": str(folder / "data"),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "HTTP_PORT": str(http),
        "HTTPS_PORT": str(https),
        "GATEWAY": urlsplit(gateway).netloc,
        "WEBSERVER": urlsplit(webserver).netloc,
    }
    log = folder / "caddy.log"
    with log.open("wb") as written:
        process = subprocess.Popen(
            ["caddy", "run", "--config", CADDYFILE, "--adapter", "caddyfile"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=written,
        )
    try:
        root = folder / "data" / "caddy" / "pki" / "authorities" / "local" / "root.crt"
        _wait(process, https, root, log)
        yield Edge(f"https://localhost:{https}", https, ssl.create_default_context(cafile=root), log)
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)


def _wait(process: subprocess.Popen[bytes], port: int, root: Path, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (root.exists() and _answers(port, root)):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


def _answers(port: int, root: Path) -> bool:
    try:
        context = ssl.create_default_context(cafile=root)
        with (
            socket.create_connection(("127.0.0.1", port), 5) as opened,
            context.wrap_socket(opened, server_hostname="localhost"),
        ):
            return True
    except OSError:  # of which what TLS complains about is one
        return False
