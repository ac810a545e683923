"""A client of the service, for programs: `from reportgen_client import Client`. docs/client.md tells how it is used.

It needs nothing of the service's own code, and nothing but httpx2 beside the standard library.
"""

from reportgen_client.client import Client
from reportgen_client.errors import (
    DownloadError,
    ReportgenApiError,
    ReportgenClientError,
    ServiceUnreachableError,
)
from reportgen_client.resources import Item
from reportgen_client.runs import Run
from reportgen_client.sources import File
from reportgen_client.tokens import Tokens, TokensInMemory, TokenStore

__all__ = [
    "Client",
    "DownloadError",
    "File",
    "Item",
    "ReportgenApiError",
    "ReportgenClientError",
    "Run",
    "ServiceUnreachableError",
    "TokenStore",
    "Tokens",
    "TokensInMemory",
]
