"""One attempt: a forked process for one Dagster run, and the supervisor that watches it.

The supervisor renews the attempt's lease while the process lives, ends the process when the run was cancelled or given up, and
tells Dagster and the catalog how it ended. It loads no definitions.
"""

from __future__ import annotations

import ctypes
import logging
import os
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from types import FrameType
from typing import Literal

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus
from dagster._cli.api import _execute_run_command_body

from reportgen_dagster.defs import scope
from reportgen_dagster.defs.keys import RUN_ID_TAG
from reportgen_dagster.engine.sandbox import bound
from reportgen_dagster.errors import LimitError, UnavailableError
from reportgen_dagster.services import attempts
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.generation import run_limits
from reportgen_dagster.settings import Settings

PR_SET_PDEATHSIG = 1
# A process that nobody wants any more is asked to end at the second beat, and killed at the fifth.
BEATS_TO_END = 2
BEATS_TO_KILL = 5
OVERDUE_SECONDS = 60
REPORT_TRIES = 60  # after that Dagster's run monitoring ends the run
REPORT_PAUSE_SECONDS = 1

logger = logging.getLogger(__name__)


@cache
def _instance() -> DagsterInstance:
    """Dagster's instance; its storage opens a connection for each call, so a forked process shares none."""
    return DagsterInstance.get()


@cache
def _context() -> Context:
    return Context.open(Settings())


def run_in_fresh_process(dagster_run_id: str) -> None:
    """Fork, execute the run in the child, and keep its lease until the child ends.

    A second delivery of the same run ends at once without a trace: the first holds the lease.
    """
    run = _instance().get_run_by_id(dagster_run_id)
    if run is None or run.is_finished:
        return
    if run.status == DagsterRunStatus.CANCELING:
        _report_cancelled(run)
        return
    if not attempts.begin(_context(), dagster_run_id, f"{socket.gethostname()}:{os.getpid()}"):
        return
    process_id = _fork(run)
    exit_code = _watch(process_id, dagster_run_id)
    _report_end(dagster_run_id, exit_code)


def _fork(run: DagsterRun) -> int:
    process_id = os.fork()
    if process_id:
        return process_id
    exit_code = 1
    try:
        _become_attempt(run)
        exit_code = _execute_run_command_body(
            instance=_instance(),
            run_id=run.run_id,
            write_stream_fn=lambda _event: None,
            set_exit_code_on_failure=False,
        )
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(exit_code)


def _become_attempt(run: DagsterRun) -> None:
    """Make the forked process its own: signals, limits, what it dies with, which definitions it builds."""
    os.setsid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    bound(run_limits(Settings()))
    scope.narrow_to(run.asset_selection or frozenset())


def _watch(process_id: int, dagster_run_id: str) -> int:
    """Renew the lease until the process ends; return its exit code (negative: the signal that killed it).

    The engine minds the time limit itself. A process that is `OVERDUE_SECONDS` past it hangs: it is killed, its run failed.
    """
    unwanted = 0
    overdue_at = time.monotonic() + Settings().time_limit_seconds + OVERDUE_SECONDS
    descriptor = os.pidfd_open(process_id)
    with _forwarding_sigterm(process_id):
        try:
            while not select.select([descriptor], [], [], attempts.BEAT_SECONDS)[0]:
                if time.monotonic() > overdue_at:
                    _give_up(process_id, dagster_run_id)
                unwanted = 0 if _is_to_go_on(dagster_run_id) else unwanted + 1
                if unwanted >= BEATS_TO_END:
                    os.kill(process_id, signal.SIGTERM if unwanted < BEATS_TO_KILL else signal.SIGKILL)
        finally:
            os.close(descriptor)
    return os.waitstatus_to_exitcode(os.waitpid(process_id, 0)[1])


def _give_up(process_id: int, dagster_run_id: str) -> None:
    """Fail the run and kill its process; while the catalog is away the lease goes on, and the next beat tries again."""
    seconds = Settings().time_limit_seconds
    with suppress(UnavailableError):
        attempts.give_up(
            _context(),
            dagster_run_id,
            LimitError(f"The run took longer than its limit of {seconds} seconds."),
        )
        os.kill(process_id, signal.SIGKILL)


@contextmanager
def _forwarding_sigterm(process_id: int) -> Iterator[None]:
    """Celery ends a revoked task by SIGTERM to this process; it is meant for the forked one."""

    def forward(_signal: int, _frame: FrameType | None) -> None:
        os.kill(process_id, signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, forward)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _is_to_go_on(dagster_run_id: str) -> bool:
    """Renew the lease and look whether Dagster still wants the run. A server that is away ends nothing."""
    try:
        attempts.beat(_context(), dagster_run_id)
        run = _instance().get_run_by_id(dagster_run_id)
    except Exception:
        logger.warning("could not renew the lease of run %s", dagster_run_id, exc_info=True)
        return True
    return run is not None and not run.is_finished and run.status != DagsterRunStatus.CANCELING


def _report_end(dagster_run_id: str, exit_code: int) -> None:
    """Tell catalog and Dagster how the process ended, trying again while a server is away.

    Only a process that was killed counts as a lost attempt: an exception that left it came from a server that was away.
    """
    ending: Literal["lost", "interrupted", "done"] = (
        "lost" if exit_code < 0 else "interrupted" if exit_code else "done"
    )
    # Until it is told: a lease that merely expires would count as a lost attempt.
    while not _ended(dagster_run_id, ending):
        time.sleep(REPORT_PAUSE_SECONDS)
    for _ in range(REPORT_TRIES):
        try:
            _finish_in_dagster(dagster_run_id, exit_code)
        except Exception:
            logger.warning("could not tell Dagster of the end of run %s; trying again", dagster_run_id)
            time.sleep(REPORT_PAUSE_SECONDS)
        else:
            return


def _ended(dagster_run_id: str, ending: Literal["lost", "interrupted", "done"]) -> bool:
    try:
        attempts.end(_context(), dagster_run_id, ending)
    except UnavailableError:
        logger.warning("could not end the lease of run %s; trying again", dagster_run_id)
        return False
    return True


def _finish_in_dagster(dagster_run_id: str, exit_code: int) -> None:
    run = _instance().get_run_by_id(dagster_run_id)
    if run is None:
        return
    if run.status in (DagsterRunStatus.CANCELING, DagsterRunStatus.CANCELED):
        _report_cancelled(run)
    elif not run.is_finished:
        _instance().report_run_failed(run, f"The run's process ended unexpectedly ({_words(exit_code)}).")


def _report_cancelled(run: DagsterRun) -> None:
    attempts.cancel(_context(), run.run_id, run.tags.get(RUN_ID_TAG))
    if not run.is_finished:
        _instance().report_run_canceled(run)


def _words(exit_code: int) -> str:
    return f"killed by {signal.Signals(-exit_code).name}" if exit_code < 0 else f"exit code {exit_code}"
