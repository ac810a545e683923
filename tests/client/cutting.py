"""A proxy that stands between a client and a service, and cuts connections as a bad network does."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

PIECE_BYTES = 16 * 1024


class CuttingProxy:
    """Passes bytes on in both directions.

    Attributes:
        url: Where it listens.
        cuts: After how many bytes from the service the next connections are cut, first ones first; later ones are not.
        connections: How many there have been.
    """

    def __init__(self, target: str) -> None:
        """Begin to listen, for a service at `target`."""
        address = urlsplit(target)
        self._target = (address.hostname, address.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.cuts: list[int] = []
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Listen no more."""
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                limit = self.cuts.pop(0) if self.cuts else None
                threading.Thread(target=self._pass_on, args=(client, limit), daemon=True).start()

    def _pass_on(self, client: socket.socket, limit: int | None) -> None:
        service = socket.create_connection(self._target)
        threading.Thread(target=_pump, args=(client, service, None), daemon=True).start()
        _pump(service, client, limit)


def _pump(source: socket.socket, sink: socket.socket, limit: int | None) -> None:
    """Pass on until the end or the limit; then end both."""
    left = limit
    with suppress(OSError):
        while left is None or left > 0:
            data = source.recv(PIECE_BYTES if left is None else min(PIECE_BYTES, left))
            if not data:
                break
            sink.sendall(data)
            left = None if left is None else left - len(data)
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()


@contextmanager
def cutting(target: str, *cuts: int) -> Iterator[CuttingProxy]:
    """Lend a proxy that cuts the first connections after so many bytes of answers."""
    proxy = CuttingProxy(target)
    proxy.cuts = list(cuts)
    try:
        yield proxy
    finally:
        proxy.close()
