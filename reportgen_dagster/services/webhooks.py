"""Webhooks: one signed POST, as Standard Webhooks has it, that reaches only what it may.

A host is looked up once, every address of it must be allowed, and the connection goes to exactly that address; no redirect is
followed, no proxy asked. What belongs here: HTTP. What does not: which addresses are allowed (addresses.py), the body
(messages.py), trying again (delivery.py).
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from http import HTTPStatus
from ipaddress import ip_address

import httpx2
from standardwebhooks.webhooks import Webhook

from reportgen_dagster.errors import DeliveryError, DeliveryRefusedError
from reportgen_dagster.identity import utc_now
from reportgen_dagster.services import secrets
from reportgen_dagster.services.addresses import Address, may_be_plain, may_reach
from reportgen_dagster.settings import Settings

TOTAL_SECONDS = 10
MAX_ANSWER_BYTES = 64 * 1024
_TOLD = 200  # characters of an answer
_HINT = "Webhooks reach public addresses by https:// only, and what REPORTGEN_WEBHOOK_HOSTS allows."


def send(settings: Settings, destination: Mapping[str, str], delivery_id: str, body: str) -> None:
    """Post a body to a URL.

    Args:
        settings: What is allowed, and where secrets are.
        destination: `url`, and the name of the `secret` that signs it.
        delivery_id: By which the receiver knows repetitions.
        body: JSON.

    Raises:
        DeliveryError: If there is no secret, the host may not be reached, does not answer, or does not answer with 2xx.
        DeliveryRefusedError: If it answers 410: it wants nothing any more.
    """
    now = utc_now()
    keys = secrets.read_keys(settings, destination["secret"])
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "reportgen",
        "Accept-Encoding": "identity",
        "webhook-id": delivery_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(Webhook(key).sign(delivery_id, now, body) for key in keys),
    }
    status, answer = asyncio.run(_post(settings, destination["url"], headers, body.encode()))
    if status == HTTPStatus.GONE:
        raise DeliveryRefusedError("The receiver wants no more of it (410 Gone).")
    if not 200 <= status < 300:
        told = f": {answer}" if answer else ""
        raise DeliveryError(f"The receiver answered {status}{told}.")


async def _post(settings: Settings, url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, str]:
    """Return the status and the beginning of the answer."""
    try:
        async with (
            asyncio.timeout(TOTAL_SECONDS),
            httpx2.AsyncClient(
                transport=_Guarded(settings), timeout=TOTAL_SECONDS, follow_redirects=False, trust_env=False
            ) as client,
            client.stream("POST", url, headers=headers, content=body) as answer,
        ):
            return answer.status_code, await _beginning(answer)
    except TimeoutError:
        raise DeliveryError(f"The receiver took more than {TOTAL_SECONDS} s.") from None
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
        raise DeliveryError(f"The receiver cannot be reached ({type(error).__name__}: {error}).") from None


async def _beginning(answer: httpx2.Response) -> str:
    """Read an answer up to a bound and return its first characters, as far as they can be shown."""
    read = b""
    async for chunk in answer.aiter_raw():
        read += chunk
        if len(read) >= MAX_ANSWER_BYTES:
            break
    text = " ".join(read.decode(errors="replace").split())
    return "".join(letter for letter in text[:_TOLD] if letter.isprintable())


class _Guarded(httpx2.AsyncBaseTransport):
    """Connects to allowed addresses only, and to the one that was judged: nobody looks the host up a second time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._inner = httpx2.AsyncHTTPTransport(verify=httpx2.create_ssl_context(), trust_env=False)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        url = request.url
        if url.scheme != "https" and not may_be_plain(url.host, self._settings):
            raise DeliveryError("The receiver's URL does not begin with https://.", hint=_HINT)
        addresses = await _addresses(url.host, url.port or (443 if url.scheme == "https" else 80))
        barred = [one for one in addresses if not may_reach(url.host, one, self._settings)]
        if barred:
            raise DeliveryError(f"The receiver's host is at {barred[0]}, which is not public.", hint=_HINT)
        # TLS and the Host header keep the name; the certificate is judged by it.
        request.extensions = {**request.extensions, "sni_hostname": url.host}
        request.url = url.copy_with(host=str(addresses[0]))
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()


async def _addresses(host: str, port: int) -> list[Address]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        raise DeliveryError("The receiver's host cannot be found.") from None
    return [ip_address(address[0]) for *_, address in found]
