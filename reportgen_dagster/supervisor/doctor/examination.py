"""Which examinations there are, and that none of them ends the others."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping

from reportgen_dagster.errors import UnavailableError
from reportgen_dagster.settings import Settings
from reportgen_dagster.supervisor.doctor import configuration, machine, servers
from reportgen_dagster.supervisor.doctor.findings import Finding, problem
from reportgen_dagster.supervisor.home import running_settings

EXAMINATIONS: Mapping[str, Callable[[Settings], Iterator[Finding]]] = {
    "python": machine.python,
    "home": machine.home,
    "secrets": machine.secrets,
    "isolation": machine.kernel,
    "up": machine.up,
    "ports": machine.ports,
    "database": servers.database,
    "broker": servers.broker,
    "storage": servers.storage,
    "dagster": servers.dagster,
    "worker": servers.worker,
    "gateway": servers.gateway,
    "mail": servers.smtp,
    "settings": configuration.settings,
}


def examine(settings: Settings) -> list[Finding]:
    """Look at everything, also where the service does not run.

    Args:
        settings: What the environment says; servers that it leaves out are those of the running `up`.
    """
    try:
        found = running_settings(settings)
    except UnavailableError:
        found = settings
    return [finding for name in EXAMINATIONS for finding in look(name, found)]


def look(name: str, settings: Settings) -> list[Finding]:
    """Look at one thing; that it cannot be looked at is a finding, too."""
    try:
        return list(EXAMINATIONS[name](settings))
    except Exception as error:
        if sys.flags.dev_mode:
            raise
        words = f"it could not be looked at: {type(error).__name__}"
        return [problem(name, words, "`python -X dev -m reportgen_dagster.cli.main doctor` shows more.")]
