"""Where a request comes from: the client's address, behind our own proxies too, for all that happens in the request.

A plain ASGI layer. `X-Forwarded-For` is anybody's to write: it is read only where one of our proxies sent the request, from its
end, up to the first address that is not one of ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from api_gateway.envelope import request_id_of
from reportgen_dagster.services.origin import Origin, coming_from

Networks = Sequence[IPv4Network | IPv6Network]


class OriginLayer:
    """The layer that finds it out."""

    def __init__(self, app: ASGIApp, *, proxies: Networks) -> None:
        """Wrap an app.

        Args:
            app: The app.
            proxies: The networks of our own proxies.
        """
        self._app = app
        self._proxies = proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with coming_from(Origin(client_address(scope, self._proxies), request_id_of(scope))):
            await self._app(scope, receive, send)


def client_address(scope: Scope, proxies: Networks) -> str:
    """Return the address of the client that a request comes from; `unknown` if it cannot be told, which counts as one."""
    client = scope.get("client")
    nearest = _address(client[0]) if client else None
    if nearest is None:
        return "unknown"
    told = Headers(scope=scope).getlist("x-forwarded-for")
    hops = [hop.strip() for line in told for hop in line.split(",")]
    while hops and any(nearest in network for network in proxies):
        further = _address(hops.pop())
        if further is None:
            break
        nearest = further
    return str(nearest)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(text)
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found
