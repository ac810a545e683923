"""The ops of the fixed job: claim, ingest, validate, transform, publish.

Ops hand on a plan, never rows. Each is a few lines over `services.generation`; what they share is how a failure is told.
"""

from collections.abc import Iterator

from dagster import Config, In, OpExecutionContext, Out, Output, op

from reportgen_dagster.defs import events
from reportgen_dagster.defs.failures import end_if_cancelled, telling_failures
from reportgen_dagster.defs.origin import accepted_run_id
from reportgen_dagster.defs.service import Service
from reportgen_dagster.services import attempts, generation, publications
from reportgen_dagster.services.generation import Ingested, Planned, Produced


class ClaimConfig(Config):
    """What a run is told: which accepted run of the catalog it carries out."""

    run_id: str


def _service(context: OpExecutionContext) -> Service:
    service: Service = context.resources.service
    return service


@op(out=Out(is_required=False), required_resource_keys={"service"})
def claim(context: OpExecutionContext, config: ClaimConfig) -> Iterator[Output[attempts.Claim]]:
    """Take the accepted run; whoever comes second ends here, quietly, and so does a run whose files are there already."""
    catalog = _service(context).context
    run_id = accepted_run_id(context, catalog, config.run_id)
    claimed = attempts.claim(catalog, run_id, context.run_id)
    if claimed is None:
        end_if_cancelled(context, catalog, run_id)
        context.log.info(f"run {run_id} is claimed or finished already; nothing to do")
        return
    is_again = context.run.parent_run_id is not None  # whoever re-executes a run wants it to be made
    with telling_failures(context, catalog, claimed):
        is_made = not is_again and generation.publish_again(catalog, claimed, context.log.info)
    if is_made:
        _tell(context, run_id)
    else:
        yield Output(claimed)


@op(ins={"claimed": In()}, required_resource_keys={"service"})
def ingest(context: OpExecutionContext, claimed: attempts.Claim) -> Ingested:
    """Judge headers, encodings and the kinds of the columns; no row moves yet."""
    service = _service(context)
    with telling_failures(context, service.context, claimed):
        ingested = generation.ingest(service.context, claimed, service.work, context.log.info)
        service.cleanup.callback(ingested.close)
        return ingested


@op(required_resource_keys={"service"})
def validate(context: OpExecutionContext, ingested: Ingested) -> Planned:
    """Settle lookup keys, compile the rules to one query and check it against the output contract."""
    service = _service(context)
    with telling_failures(context, service.context, ingested.claim):
        return generation.validate(service.context, ingested, context.log.info)


@op(required_resource_keys={"service"})
def transform(context: OpExecutionContext, planned: Planned) -> Produced:
    """Run the one pass that counts, diverts and writes."""
    service = _service(context)
    with telling_failures(context, service.context, planned.claim, service.work):
        return generation.transform(service.context, planned, service.work, context.log.info)


@op(required_resource_keys={"service"})
def publish(context: OpExecutionContext, produced: Produced) -> None:
    """Commit the result if the claim still holds, then tell Dagster of it."""
    service = _service(context)
    with telling_failures(context, service.context, produced.claim):
        published = generation.publish(service.context, produced, context.log.info)
    if not published:
        end_if_cancelled(context, service.context, produced.claim.run_id)
        context.log.warning("the run was taken over by another attempt; this result is dropped")
        return
    _tell(context, produced.claim.run_id)


def _tell(context: OpExecutionContext, run_id: str) -> None:
    """Tell Dagster of a published report."""
    service = _service(context)
    for event in events.of_run(service.context, run_id, context.instance):
        context.log_event(event)  # type: ignore[arg-type]  # takes check evaluations too; its hint lags behind
    publications.mark_reported(service.context, run_id)
