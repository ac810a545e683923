"""What a long-lived Dagster process (code server) keeps open: one service context."""

from __future__ import annotations

from functools import cache

from reportgen_dagster.services.context import Context
from reportgen_dagster.settings import Settings


@cache
def context_of_process() -> Context:
    """Return this process's context; opened at first use, closed when the process ends."""
    return Context.open(Settings())
