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
from typing import Literal, Self

from dagster import DagsterEventType, DagsterInstance, DagsterRun, DagsterRunStatus
from dagster._cli.api import _execute_run_command_body

from reportgen_dagster import logs, tracing
from reportgen_dagster.defs import scope
from reportgen_dagster.defs.keys import RUN_ID_TAG
from reportgen_dagster.engine.sandbox import bound
from reportgen_dagster.errors import LimitError, UnavailableError
from reportgen_dagster.services import attempts
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.generation import run_limits
from reportgen_dagster.settings import Settings

PR_SET_PDEATHSIG = 1
# A run that was cancelled is over in two seconds: its process is asked to end at the first look, and killed at the third.
LOOK_SECONDS = 0.5
LOOKS_TO_KILL = 3
# A process that Dagster does not want any more is asked to end at the second beat, and killed at the fifth.
BEATS_TO_END = 2
BEATS_TO_KILL = 5
OVERDUE_SECONDS = 60
# Where everything has one machine, who waits for an answer goes before a report; alone it is as fast.
NICENESS = 10
REPORT_TRIES = 60  # after that Dagster's run monitoring ends the run
REPORT_PAUSE_SECONDS = 1

logger = logging.getLogger(__name__)


class _Sigterm:
    """What SIGTERM to this process does: Celery ends a revoked task by it, and means the forked process.

    Passed on once, since a second one would disturb the process while it cleans up. Without a process it is dropped: the next
    look at the catalog tells the same.
    """

    def __init__(self) -> None:
        self.process_id: int | None = None
        self._is_passed_on = False

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGTERM, self._receive)
        return self

    def __exit__(self, *_error: object) -> None:
        signal.signal(signal.SIGTERM, self._before)

    def pass_on_once(self) -> None:
        """Ask the forked process to end, if that is not done."""
        if self.process_id is not None and not self._is_passed_on:
            self._is_passed_on = True
            os.kill(self.process_id, signal.SIGTERM)

    def _receive(self, _signal: int, _frame: FrameType | None) -> None:
        self.pass_on_once()


@cache
def _instance() -> DagsterInstance:
    """Dagster's instance; a forked process has its own connections (pooling.py)."""
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
    with logs.lines_about(attempt=dagster_run_id), _Sigterm() as sigterm:
        process_id = _fork(run)
        sigterm.process_id = process_id
        exit_code = _watch(process_id, run, sigterm)
        sigterm.process_id = None
        _report_end(dagster_run_id, exit_code)


def _fork(run: DagsterRun) -> int:
    process_id = os.fork()
    if process_id:
        return process_id
    exit_code = 1
    try:
        _become_attempt(run)
        with _traced(run):
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


@contextmanager
def _traced(run: DagsterRun) -> Iterator[None]:
    """Send the spans of the attempt's stages, if somebody collects them."""
    tracing.start_if_wanted("worker", wanted=_context().settings.traces_are_wanted)
    try:
        with tracing.span("attempt", run_id=run.tags.get(RUN_ID_TAG, ""), attempt=run.run_id):
            yield
    finally:
        tracing.stop()


def _become_attempt(run: DagsterRun) -> None:
    """Make the forked process its own: signals, limits, what it dies with, which definitions it builds."""
    os.setsid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    bound(run_limits(_context().settings))
    os.nice(NICENESS)
    checked = {check.asset_key for check in run.asset_check_selection or ()}
    scope.narrow_to((run.asset_selection or frozenset()) | checked)


def _watch(process_id: int, run: DagsterRun, sigterm: _Sigterm) -> int:
    """Renew the lease until the process ends; return its exit code (negative: the signal that killed it).

    The engine minds the time limit of each report itself. A process that is `OVERDUE_SECONDS` past what all its reports may take
    hangs: it is killed, its run failed.
    """
    cancelled = unwanted = 0
    beaten_at = time.monotonic()
    reports = max(1, len(run.asset_selection or ()))
    overdue_at = beaten_at + reports * _context().settings.time_limit_seconds + OVERDUE_SECONDS
    descriptor = os.pidfd_open(process_id)
    try:
        while not select.select([descriptor], [], [], LOOK_SECONDS)[0]:
            if _is_cancelled(run):
                cancelled += 1
                _tell_of_cancellation(run)
                sigterm.pass_on_once()
                if cancelled >= LOOKS_TO_KILL:
                    os.kill(process_id, signal.SIGKILL)
            if time.monotonic() < beaten_at + attempts.BEAT_SECONDS:
                continue
            beaten_at = time.monotonic()
            if beaten_at > overdue_at:
                _give_up(process_id, run.run_id)
            unwanted = 0 if _is_to_go_on(run.run_id) else unwanted + 1
            if unwanted >= BEATS_TO_END:
                os.kill(process_id, signal.SIGTERM if unwanted < BEATS_TO_KILL else signal.SIGKILL)
    finally:
        os.close(descriptor)
    return os.waitstatus_to_exitcode(os.waitpid(process_id, 0)[1])


def _is_cancelled(run: DagsterRun) -> bool:
    """Look whether the run was cancelled in the catalog. A re-execution is tagged with the run of before, which may have been.

    Of several reports one that its owner cancelled ends alone, by itself; an operator's word ends them all.
    """
    launched_for = run.tags.get(RUN_ID_TAG) if run.parent_run_id is None else None
    several = scope.makes_several(run)
    try:
        return attempts.is_cancelled(_context(), run.run_id, launched_for, by_operator=several)
    except UnavailableError:
        return False


def _tell_of_cancellation(run: DagsterRun) -> None:
    """Let Dagster take the end of the process for a cancellation, where it does not know of it yet."""
    try:
        known = _instance().get_run_by_id(run.run_id)
        if known is not None and not known.is_finished and known.status != DagsterRunStatus.CANCELING:
            _instance().report_run_canceling(known, "The run was cancelled in the catalog.")
    except Exception:
        logger.warning("could not tell Dagster that run %s is cancelled", run.run_id, exc_info=True)


def _give_up(process_id: int, dagster_run_id: str) -> None:
    """Fail the run and kill its process; while the catalog is away the lease goes on, and the next beat tries again."""
    seconds = _context().settings.time_limit_seconds
    with suppress(UnavailableError):
        attempts.give_up(
            _context(),
            dagster_run_id,
            LimitError(f"The run took longer than its limit of {seconds} seconds."),
        )
        os.kill(process_id, signal.SIGKILL)


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
    if run.status == DagsterRunStatus.SUCCESS:
        return
    if _was_cancelled(run):
        _report_cancelled(run)
    elif not run.is_finished:
        _instance().report_run_failed(run, f"The run's process ended unexpectedly ({_words(exit_code)}).")


def _was_cancelled(run: DagsterRun) -> bool:
    """Tell whether the run was cancelled. Dagster takes a process that is interrupted while it starts for a failure."""
    return (
        run.status in (DagsterRunStatus.CANCELING, DagsterRunStatus.CANCELED)
        or _is_cancelled(run)
        or bool(_instance().get_records_for_run(run.run_id, of_type=DagsterEventType.RUN_CANCELING).records)
    )


def _report_cancelled(run: DagsterRun) -> None:
    attempts.cancel(_context(), run.run_id, run.tags.get(RUN_ID_TAG))
    if run.status != DagsterRunStatus.CANCELED:
        _instance().report_run_canceled(run)


def _words(exit_code: int) -> str:
    return f"killed by {signal.Signals(-exit_code).name}" if exit_code < 0 else f"exit code {exit_code}"
