"""`reportgen up`: everything on this machine, until Ctrl-C."""

from __future__ import annotations


def up_command() -> None:
    """Start the whole service on this machine: database, broker, Dagster, workers and the HTTP API.

    Servers that REPORTGEN_DATABASE_URL and REPORTGEN_BROKER_URL do not name are started here too.
    """
    from reportgen_dagster.settings import Settings
    from reportgen_dagster.supervisor.output import Output
    from reportgen_dagster.supervisor.up import run_up

    run_up(Settings(), Output())
