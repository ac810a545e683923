"""How an op's failure is told: to the catalog (and so to the user), and to Dagster (and so to the operator)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from dagster import AssetExecutionContext, DagsterRunStatus, Failure, MetadataValue, OpExecutionContext
from dagster._core.errors import DagsterExecutionInterruptedError

from reportgen_dagster.defs import events
from reportgen_dagster.defs.scope import makes_several
from reportgen_dagster.engine.confined import ProcessLostError
from reportgen_dagster.errors import (
    ConflictError,
    ContractError,
    LimitError,
    ReportgenError,
    ServiceError,
    UnavailableError,
)
from reportgen_dagster.services import attempts, cancelling, generation
from reportgen_dagster.services.context import Context


class ReportCancelledError(Exception):
    """One of several reports of a Dagster run was cancelled by its owner; the others go on."""


@contextmanager
def telling_failures(
    context: OpExecutionContext | AssetExecutionContext,
    service: Context,
    claim: attempts.Claim,
    work: Path | None = None,
) -> Iterator[None]:
    """End the catalog's run as an exception demands, then fail the op with words instead of a stack trace.

    Bad rules and bad data fail the run for good. A server that is away gives the run back. A claim that is
    no longer ours ends quietly. Everything else is our fault: the log has the trace, the user has a sentence.

    Args:
        context: Dagster's.
        service: The installation.
        claim: The attempt's claim.
        work: Where rejects may lie that are to be kept.

    Raises:
        Failure: With the error's title, detail and problems as metadata.
    """
    try:
        yield
    except DagsterExecutionInterruptedError:
        raise
    except UnavailableError as error:
        with suppress(UnavailableError):
            attempts.release(service, claim)
        raise failure(error) from error
    except ConflictError as error:
        end_if_cancelled(context, service, claim.run_id)
        raise failure(error) from error
    except ReportgenError as error:
        reject_count = _fail(service, claim, error, work)
        if isinstance(error, ContractError) or error.facts:
            for check in events.broken_contracts(claim.owner_id, claim.report_name, error, reject_count):
                context.log_event(check)  # type: ignore[arg-type]  # takes check evaluations too; its hint lags behind
        raise failure(error) from error
    except ProcessLostError as error:
        context.log.error(str(error))  # noqa: TRY400 - a trace of ours tells nothing
        os.kill(os.getpid(), error.signal)  # an attempt is lost as a whole; another one is made of it
        raise
    except MemoryError as error:
        limit = LimitError(f"The run needed more memory than it may have ({service.settings.memory_limit}).")
        _fail(service, claim, limit, None)
        raise failure(limit) from error
    except Exception:
        fault = ServiceError(f"The run failed for a reason that is ours to find (run {claim.run_id}).")
        context.log.exception(f"{fault.title}: {fault.detail}")
        _fail(service, claim, fault, None)
        raise failure(fault) from None


def end_if_cancelled(
    context: OpExecutionContext | AssetExecutionContext, service: Context, run_id: str
) -> None:
    """End the op if the run that it works on was cancelled; its Dagster run then ends as canceled, not as failed.

    Raises:
        DagsterExecutionInterruptedError: If it was.
        ReportCancelledError: If it was, by its owner, and the Dagster run makes further reports.
    """
    if not cancelling.is_cancelled(service, run_id):
        return
    instance = context.instance
    run = instance.get_run_by_id(context.run_id)
    if run is not None and makes_several(run) and cancelling.is_cancelled_by_owner(service, run_id):
        raise ReportCancelledError("Its owner cancelled it.")
    if run is not None and not run.is_finished and run.status != DagsterRunStatus.CANCELING:
        instance.report_run_canceling(run, "The run was cancelled in the catalog.")
    raise DagsterExecutionInterruptedError("The run was cancelled.")


def _fail(service: Context, claim: attempts.Claim, error: ReportgenError, work: Path | None) -> int:
    """Write the failure and return how many rejects are kept; if the catalog is away, the lease's end starts the run anew."""
    with suppress(UnavailableError):
        return generation.fail(service, claim, error, work)
    return 0


def failure(error: ReportgenError) -> Failure:
    """Return what Dagster is told of an error of ours.

    The first line of an exception that Dagster shows is the name of its class and then its words. So this one's class is called
    as the error, and the line is the reason.
    """
    problems = "\n".join(f"- {problem}" for problem in error.problems)
    return _kind(error.title)(
        description=error.detail,
        metadata={
            "code": error.code,
            "fault": error.fault,
            "how to mend it": error.case_hint or "see the problems",
            "problems": MetadataValue.md(problems or "none"),
        },
        allow_retries=False,
    )


@cache
def _kind(title: str) -> type[Failure]:
    return type(
        title, (Failure,), {"__module__": "builtins"}
    )  # names of other modules are shown with their module
