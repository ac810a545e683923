"""Asking the gateway whether the whole service is ready.

What readiness means is the gateway's business (`/readyz`); here it is only asked.
"""

from __future__ import annotations

import http.client
import json

from reportgen_dagster.settings import Settings

_ANSWER_SECONDS = 10.0
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - compared, not listened on


def gateway_host(settings: Settings) -> str:
    """Return the address under which this machine reaches the gateway."""
    return _EVERYWHERE.get(settings.host, settings.host)


def gateway_url(settings: Settings) -> str:
    """Return the gateway's URL as this machine reaches it."""
    host = gateway_host(settings)
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"


def why_not_ready(settings: Settings) -> str:
    """Ask `/readyz`; return an empty text if all is ready, else what the gateway says is missing."""
    connection = http.client.HTTPConnection(gateway_host(settings), settings.port, timeout=_ANSWER_SECONDS)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException):
        return "the gateway does not answer"
    finally:
        connection.close()
    return "" if answer.status == http.client.OK else _reason(body)


def _reason(body: bytes) -> str:
    try:
        data = json.loads(body)
    except ValueError:
        return body.decode(errors="replace")[:200]
    return str(data.get("error") or data.get("detail") or data) if isinstance(data, dict) else str(data)
