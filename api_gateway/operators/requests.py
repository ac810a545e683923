"""What the door believes of a request: whose page caused it, and where somebody is to go after signing in.

Cookies, pages and answers do not belong here (router.py, pages.py).
"""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from fastapi import Request

UI_PATH = "/dagster"

_OWN_SITES = ("same-origin", "none")  # none: typed in, or a bookmark
_PATH_AND_QUERY = re.compile(r"/dagster(/[\w.~!$&'()*+,;=:@%/-]*)?(\?[\w.~!$&'()*+,;=:@%/?[\]-]*)?", re.ASCII)
_LONGEST = 2000


def is_of_our_pages(request: Request) -> bool:
    """Tell whether a request comes from this origin's pages, or from nobody's: typed in, or not from a browser.

    Browsers tell by `Origin` and `Sec-Fetch-Site`, which no page can set.
    """
    origin = request.headers.get("origin")
    if origin is not None and _host_of(origin) != request.headers.get("host"):
        return False
    return request.headers.get("sec-fetch-site", "none") in _OWN_SITES


def loads_a_page(request: Request) -> bool:
    """Tell whether the request that the proxy asks about wants a page for a person to see."""
    is_get = request.headers.get("x-forwarded-method") in ("GET", "HEAD")
    return is_get and "text/html" in request.headers.get("accept", "")


def way_back(told: str | None) -> str:
    """Return where in the Dagster UI somebody wanted to go; its first page for whatever is no path in it."""
    if told is None or len(told) > _LONGEST or not _PATH_AND_QUERY.fullmatch(told):
        return UI_PATH
    segments = unquote(told.partition("?")[0]).split("/")
    return UI_PATH if "" in segments[1:-1] or {".", ".."} & set(segments) else told


def _host_of(origin: str) -> str:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""
