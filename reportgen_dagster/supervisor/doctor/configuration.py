"""Looking at the settings for what is allowed, but hardly meant."""

from __future__ import annotations

import os
from collections.abc import Iterator
from ipaddress import ip_address

import psutil

from reportgen_dagster.settings import Settings
from reportgen_dagster.sizes import byte_count
from reportgen_dagster.supervisor.doctor.findings import Finding, fine, warning

BESIDE_BUFFERS_BYTES = 300 * 1000**2  # what a run takes beside DuckDB's buffers
_WIDE_PREFIX = 8


def settings(told: Settings) -> Iterator[Finding]:
    """Look at what the installation is told."""
    found = [*_reachable(told), *_resources(told), *_doors(told)]
    yield from found or [fine("settings", "nothing strange")]


def _reachable(told: Settings) -> Iterator[Finding]:
    if _is_private(told.host):
        return
    if not told.public_url.startswith("https://"):
        words = f"the gateway listens on {told.host}, and REPORTGEN_PUBLIC_URL names no https:// address"
        yield warning(
            "settings", words, "Put a proxy with TLS before it: passwords and tokens go in the clear."
        )
    if told.demo:
        cure = "Set REPORTGEN_DEMO=0."
        yield warning("settings", "others reach the gateway, and a first start makes a demo account", cure)


def _is_private(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _resources(told: Settings) -> Iterator[Finding]:
    needed = told.workers * (byte_count(told.memory_limit) + BESIDE_BUFFERS_BYTES)
    memory = psutil.virtual_memory().total
    if needed > memory:
        words = f"{told.workers} runs may take {needed / 1000**3:.1f} GB, the machine has {memory / 1000**3:.1f} GB"
        yield warning("settings", words, "Lower REPORTGEN_WORKERS or REPORTGEN_MEMORY_LIMIT.")
    cores = os.cpu_count() or 1
    if told.workers > 2 * cores:
        words = f"{told.workers} runs share {cores} cores"
        yield warning("settings", words, "Lower REPORTGEN_WORKERS.")


def _doors(told: Settings) -> Iterator[Finding]:
    wide = [str(one) for one in told.webhook_networks if one.prefixlen < _WIDE_PREFIX]
    if wide:
        words = f"webhooks may reach {', '.join(wide)}, which is half the world and all that is private"
        yield warning("settings", words, "Name single hosts or networks in REPORTGEN_WEBHOOK_HOSTS.")
    if told.smtp_url and told.smtp_security == "none" and not _is_private(told.smtp_server[0]):
        cure = "Set REPORTGEN_SMTP_SECURITY to starttls or tls."
        yield warning("settings", "e-mails go to another machine in the clear", cure)
