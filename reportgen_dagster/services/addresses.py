"""Which URLs and addresses webhooks may reach: public ones by HTTPS, and what WEBHOOK_HOSTS allows besides.

What belongs here: judging a URL as it is written, and an address that its host was found to have. What does not: looking hosts
up and connecting (webhooks.py).
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import SplitResult, urlsplit

from reportgen_dagster.settings import Settings

MAX_URL = 2000
_PRINTABLE = re.compile(r"[!-~]+")  # ASCII without blanks
# The last part of a name is no number: the system would take `2130706433`, `0x7f.1` and `0177.0.0.1` for addresses.
_NAME = re.compile(
    r"([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*(?!0x[0-9a-f]*$)(?![0-9]+$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
)
_GLOBAL_UNICAST = IPv6Network("2000::/3")  # beyond it lie mapped, translated, local and reserved addresses
# Public by their numbers, but the metadata and agents of a cloud answer there.
_OF_CLOUDS = frozenset({ip_address("168.63.129.16"), ip_address("100.100.100.200")})

Address = IPv4Address | IPv6Address


def url_problem(url: str, settings: Settings) -> str:
    """Return why a webhook's URL cannot be used, as far as it shows without looking its host up; empty if it can."""
    if len(url) > MAX_URL or not _PRINTABLE.fullmatch(url):
        return f"a URL has at most {MAX_URL:,} printable ASCII characters and no blanks"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        return f"no URL: {error}"
    address = as_address(host)
    if parts.scheme not in ("https", "http") or (address is None and not _NAME.fullmatch(host)) or port == 0:
        return "must be as https://host/path"
    if parts.username is not None or parts.password is not None or parts.fragment:
        return "must have no user, password or fragment; what is secret is given by the name of a secret"
    return _refused(parts, host, address, settings)


def _refused(parts: SplitResult, host: str, address: Address | None, settings: Settings) -> str:
    if parts.scheme == "http" and not may_be_plain(host, settings):
        return "must begin with https:// (http:// is for hosts that REPORTGEN_WEBHOOK_HOSTS names)"
    if address is not None and not may_reach(host, address, settings):
        return f"{address} is not public, and REPORTGEN_WEBHOOK_HOSTS does not allow it"
    return ""


def as_address(host: str) -> Address | None:
    """Return the address that a host is written as; None if it is a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def may_be_plain(host: str, settings: Settings) -> bool:
    """Tell whether a host, as a URL names it, may be spoken to without TLS."""
    address = as_address(host)
    return host.lower() in settings.webhook_names or (address is not None and _is_listed(address, settings))


def may_reach(host: str, address: Address, settings: Settings) -> bool:
    """Tell whether a webhook may connect to an address.

    Args:
        host: The host as the URL names it.
        address: What it was found to be.
        settings: What is allowed besides public addresses.
    """
    plain = _unmapped(address)
    return host.lower() in settings.webhook_names or _is_listed(plain, settings) or _is_public(plain)


def _unmapped(address: Address) -> Address:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _is_listed(address: Address, settings: Settings) -> bool:
    return any(address in network for network in settings.webhook_networks)


def _is_public(address: Address) -> bool:
    if address in _OF_CLOUDS or address.is_multicast or address.is_reserved or not address.is_global:
        return False
    if isinstance(address, IPv4Address):
        return True
    return address in _GLOBAL_UNICAST and address.sixtofour is None and address.teredo is None
