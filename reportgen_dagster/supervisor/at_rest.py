"""Reaching an installation's database whether or not `reportgen up` runs: where it does not, the embedded server is started.

What belongs here: that one server, for as long as a command needs it. What does not: what the command does with it.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import SecretStr

from reportgen_dagster.errors import ServiceError, UnavailableError
from reportgen_dagster.settings import Settings
from reportgen_dagster.supervisor.home import Home, running_settings
from reportgen_dagster.supervisor.postgres import EmbeddedPostgres

PATIENCE_SECONDS = 60.0
_POLL_SECONDS = 0.05


@contextmanager
def reached(settings: Settings) -> Iterator[Settings]:
    """Give the settings with a database that answers: the one they name, that of a running `up`, else the home's own.

    Raises:
        UnavailableError: If none is named and the home has none.
        ServiceError: If the home's does not start.
    """
    try:
        running = running_settings(settings)
    except UnavailableError:
        if not EmbeddedPostgres(settings.home.absolute()).data.exists():
            raise
        with at_rest(settings) as started:
            yield started
    else:
        yield running


@contextmanager
def at_rest(settings: Settings) -> Iterator[Settings]:
    """Keep `up` from starting on the home meanwhile, and give the settings with a database; its server is made if need be.

    Raises:
        ConflictError: If `up` runs on the home.
        ServiceError: If the server does not start.
    """
    home = Home(settings.home)
    home.make()
    lock = home.lock()
    try:
        if settings.database_url is not None:
            yield settings
        else:
            with _embedded(settings) as url:
                yield settings.model_copy(update={"database_url": SecretStr(url)})
    finally:
        os.close(lock)


@contextmanager
def _embedded(settings: Settings) -> Iterator[str]:
    server = EmbeddedPostgres(settings.home.absolute())
    server.make()
    program = server.program(settings.environment())
    program.clear()
    account = program.account
    process = subprocess.Popen(  # noqa: S603 - a program of our own dependency, fixed arguments
        program.command,
        cwd=program.folder,
        env=dict(program.environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        user=None if account is None else account.user,
        group=None if account is None else account.group,
        extra_groups=None if account is None else (),
    )
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not server.is_ready(process.pid):
            if process.poll() is not None or time.monotonic() > deadline:
                raise ServiceError("the home's database does not start; `reportgen up` shows why")
            time.sleep(_POLL_SECONDS)
        yield server.url
    finally:
        process.send_signal(program.stop_signal)
        process.wait()
