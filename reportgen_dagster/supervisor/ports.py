"""TCP ports: finding a free one, and saying which setting names one that is taken."""

from __future__ import annotations

import socket

from reportgen_dagster.errors import ConflictError, Problem
from reportgen_dagster.settings import Settings
from reportgen_dagster.supervisor.services import LOOPBACK, code_server_port


def free_port() -> int:
    """Return a loopback port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def refuse_taken_ports(settings: Settings) -> None:
    """Check that the ports of the settings can be listened on.

    Raises:
        ConflictError: With one problem for each port that is taken or named twice.
    """
    wanted = [
        ("REPORTGEN_PORT", settings.host, settings.port),
        ("REPORTGEN_DAGSTER_PORT", LOOPBACK, settings.dagster_port),
    ]
    code_servers = [
        ("REPORTGEN_CODE_SERVER_PORT", LOOPBACK, code_server_port(settings, shard))
        for shard in range(settings.shards)
    ]
    problems = []
    seen: dict[int, str] = {}
    for name, host, port in (*wanted, *code_servers):
        if port in seen:
            problems.append(Problem(f"port {port} is named by {seen[port]} too", path=name))
        elif reason := _why_not(host, port):
            problems.append(Problem(f"port {port} on {host}: {reason}", path=name))
        seen.setdefault(port, name)
    if problems:
        raise ConflictError(
            problems=problems, hint="Set another port with the variable named, or end what uses it."
        )


def _why_not(host: str, port: int) -> str:
    """Return why a port cannot be listened on; empty if it can."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            return (error.strerror or str(error)).lower()
    return ""
