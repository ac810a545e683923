"""The fixed job: an accepted run becomes a report, and Dagster sees what was made of what."""

import re

import pytest
from dagster import (
    AssetCheckKey,
    DagsterInstance,
    DagsterRunStatus,
    ExecuteInProcessResult,
    OpExecutionContext,
    job,
    op,
)
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import EmptyWorkspaceTarget
from dagster_graphql.test.utils import execute_dagster_graphql
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from reportgen_dagster import tracing
from reportgen_dagster.defs.failures import telling_failures
from reportgen_dagster.defs.jobs import generate_report, run_config
from reportgen_dagster.defs.keys import (
    CONTRACT_CHECK,
    REJECTS_CHECK,
    dataset_key,
    report_key,
    ruleset_key,
)
from reportgen_dagster.errors import ContractError, Problem
from reportgen_dagster.services import attempts, cancelling, generation, report_child, runs
from tests.definitions.conftest import EXAMPLE, Ann


def _execute(run_id: str, instance: DagsterInstance) -> ExecuteInProcessResult:
    return generate_report.execute_in_process(
        run_config=run_config(run_id), instance=instance, raise_on_error=False
    )


def _check(instance: DagsterInstance, ann: Ann, name: str) -> tuple[bool, str]:
    key = AssetCheckKey(report_key(ann.id, "default"), name)
    (record,) = instance.event_log_storage.get_asset_check_execution_history(key, limit=5)
    evaluation = record.event.dagster_event.asset_check_evaluation_data
    return evaluation.passed, evaluation.severity.name


def test_an_accepted_run_becomes_a_report(ann: Ann, instance: DagsterInstance) -> None:
    run_id = ann.accept()
    assert _execute(run_id, instance).success
    run = ann.run(run_id)
    assert (run.state, run.stage, run.progress) == ("succeeded", "done", 100)
    assert run.input_count == run.row_count + run.reject_count
    assert ann.report(run_id) == (EXAMPLE / "expected.csv").read_text()


def test_each_stage_of_a_run_is_a_span(ann: Ann, instance: DagsterInstance) -> None:
    exporter = InMemorySpanExporter()
    tracing.start("test", exporter)
    try:
        assert _execute(ann.accept(), instance).success
    finally:
        tracing.stop()
    assert [span.name for span in exporter.get_finished_spans()] == [
        "ingest",
        "validate",
        "transform",
        "publish",
    ]


def test_dagster_sees_counts_columns_lineage_and_a_preview(ann: Ann, instance: DagsterInstance) -> None:
    run_id = ann.accept()
    _execute(run_id, instance)
    event = instance.get_latest_materialization_event(report_key(ann.id, "default"))
    metadata = event.asset_materialization.metadata
    assert metadata["dagster/row_count"].value == ann.run(run_id).row_count
    columns = [column.name for column in metadata["dagster/column_schema"].schema.columns]
    assert columns == [f"outfield{number}" for number in range(1, 6)]
    assert "outfield1" in metadata["preview"].md_str
    assert metadata["size in bytes"].value == len(ann.report(run_id).encode())
    assert metadata["download"].value == f"/api/download-report/{run_id}/?format=csv"
    lineage = metadata["dagster/column_lineage"].lineage.deps_by_column
    sources = {(dep.asset_key.path[-1].split("_")[-2], dep.column_name) for dep in lineage["outfield4"]}
    assert {column for _, column in sources} >= {"field3", "field5", "refdata4"}


def test_links_lead_to_the_api_where_its_address_is_known(
    ann: Ann, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPORTGEN_PUBLIC_URL", "https://reports.example.com/")
    body = (EXAMPLE / "input.csv").read_text() + "too,few,cells\n"
    run_id = ann.accept(input=body.encode())
    _execute(run_id, instance)
    event = instance.get_latest_materialization_event(report_key(ann.id, "default"))
    links = [event.asset_materialization.metadata[name].value for name in ("download", "rejects")]
    assert links == [
        f"https://reports.example.com/api/download-report/{run_id}/?format=csv",
        f"https://reports.example.com/api/v1/runs/{run_id}/rejects",
    ]


def test_every_file_of_a_run_is_linked(ann: Ann, instance: DagsterInstance) -> None:
    run_id = ann.accept(formats=["xlsx", "csv", "parquet"])
    _execute(run_id, instance)
    event = instance.get_latest_materialization_event(report_key(ann.id, "default"))
    metadata = event.asset_materialization.metadata
    links = {name: metadata[name].value for name in metadata if name.startswith("download")}
    path = f"/api/download-report/{run_id}/?format="
    assert links == {
        "download": f"{path}xlsx",
        "download csv": f"{path}csv",
        "download parquet": f"{path}parquet",
    }
    file = runs.report_file(ann.context, ann.id, run_id, "xlsx")
    assert metadata["size in bytes"].value == file.size_bytes
    assert file.path.read_bytes().startswith(b"PK")


def test_a_run_of_the_same_takes_over_the_files_and_says_so(ann: Ann, instance: DagsterInstance) -> None:
    first = ann.accept()
    _execute(first, instance)
    second = ann.accept()
    result = _execute(second, instance)
    assert {event.step_key for event in result.all_events if event.is_step_success} == {"claim"}
    lines = [record.user_message for record in instance.all_logs(result.run_id)]
    assert any(
        line.startswith(f"publish: files, rules and options are those of run {first}") for line in lines
    )
    event = instance.get_latest_materialization_event(report_key(ann.id, "default"))
    metadata = event.asset_materialization.metadata
    assert event.run_id == result.run_id
    assert metadata["files of run"].value == first
    assert ann.report(second) == ann.report(first)


def test_the_event_log_tells_what_each_op_did_and_how_far_it_is(
    ann: Ann, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generation, "NOTE_SECONDS", 0.0)
    monkeypatch.setattr(report_child, "PROGRESS_INTERVAL_SECONDS", 0.0)
    header, *rows = (EXAMPLE / "input.csv").read_text().splitlines(keepends=True)
    count = len(rows) * (200_000 // len(rows))
    run_id = ann.accept(input=(header + "".join(rows) * (count // len(rows))).encode())
    result = _execute(run_id, instance)
    lines = [record.user_message for record in instance.all_logs(result.run_id)]
    told = [line for line in lines if line.startswith(("ingest: ", "validate: ", "transform: ", "publish: "))]
    assert re.fullmatch(r"ingest: opened input \(version 1 of .*\), reference \(version 1 of .*\)", told[0])
    assert "fits the files" in told[1]
    assert all(re.fullmatch(r"transform: [0-9]+ %, [0-9,]+ rows", line) for line in told[2:-2])
    assert told[2:-2]
    assert told[-2].startswith(f"transform: {count:,} rows in, ")
    assert told[-1] == f"publish: csv {len(ann.report(run_id).encode()):,} bytes, downloadable now"


FIRST_ERROR = """
query($run: ID!) { runOrError(runId: $run) { ... on Run { status eventConnection { events {
    __typename ... on ErrorEvent { error { message } } ... on LogMessageEvent { level message }
} } } } }
"""


def _first_error(instance: DagsterInstance, run_id: str) -> str:
    """The first line of what the Dagster UI shows of a failed run as an error."""
    with WorkspaceProcessContext(instance, EmptyWorkspaceTarget()) as workspace:
        answer = execute_dagster_graphql(workspace.create_request_context(), FIRST_ERROR, {"run": run_id})
    events = answer.data["runOrError"]["eventConnection"]["events"]
    shown = [
        event["error"]["message"] if event.get("error") else event["message"]
        for event in events
        if event.get("error") or event.get("level") == "ERROR"
    ]
    return str(shown[0].splitlines()[0])


def test_the_first_line_of_a_failure_is_the_reason(ann: Ann, stored: DagsterInstance) -> None:
    header, row, *_ = (EXAMPLE / "reference.csv").read_text().splitlines()
    run_id = ann.accept(reference=f"{header}\n{row}\n{row}\n".encode())
    error = _first_error(stored, _execute(run_id, stored).run_id)
    told = ann.run(run_id).error
    assert error == f"{told['title']}: {told['detail']}"


def test_the_first_line_of_a_failure_of_ours_is_no_trace(
    ann: Ann, stored: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(*_: object, **__: object) -> None:
        raise ValueError("an accident")

    monkeypatch.setattr(report_child, "make", stumble)
    run_id = ann.accept()
    error = _first_error(stored, _execute(run_id, stored).run_id)
    assert error.startswith(
        "Something went wrong on our side: The run failed for a reason that is ours to find"
    )


def test_datasets_and_rulesets_are_materialized_once_a_version(ann: Ann, instance: DagsterInstance) -> None:
    from reportgen_dagster.services import runs, uploads

    uploads.accept_files(ann.context, ann.id, ann.files())
    from tests.definitions.conftest import RULES

    uploads.accept_rules(ann.context, ann.id, RULES)
    for _ in range(2):
        run = runs.accept_run(ann.context, ann.id, files={}, rules=None)
        assert _execute(run.id, instance).success
    keys = [
        dataset_key(ann.id, "default-input"),
        dataset_key(ann.id, "default-reference"),
        ruleset_key(ann.id, "default"),
    ]
    counts = [len(instance.fetch_materializations(key, limit=5).records) for key in keys]
    assert counts == [1, 1, 1]
    assert len(instance.fetch_materializations(report_key(ann.id, "default"), limit=5).records) == 2


def test_the_output_contract_and_the_rejects_are_asset_checks(ann: Ann, instance: DagsterInstance) -> None:
    body = (EXAMPLE / "input.csv").read_text() + "too,few,cells\n"
    run_id = ann.accept(input=body.encode())
    _execute(run_id, instance)
    assert ann.run(run_id).reject_count == 1
    assert _check(instance, ann, CONTRACT_CHECK) == (True, "ERROR")
    assert _check(instance, ann, REJECTS_CHECK) == (False, "WARN")


def test_who_comes_second_ends_quietly(ann: Ann, instance: DagsterInstance) -> None:
    run_id = ann.accept()
    _execute(run_id, instance)
    etag = ann.run(run_id).finished_at
    second = _execute(run_id, instance)
    assert second.success
    assert [event.step_key for event in second.get_step_success_events()] == ["claim"]
    assert ann.run(run_id).finished_at == etag


def test_a_run_that_was_cancelled_before_it_was_claimed_ends_as_canceled(
    ann: Ann, instance: DagsterInstance
) -> None:
    run_id = ann.accept()
    cancelling.cancel_run(ann.context, ann.id, run_id)
    assert _status(_execute(run_id, instance), instance) == DagsterRunStatus.CANCELED
    assert ann.run(run_id).state == "cancelled"


def test_a_run_that_is_cancelled_on_its_way_ends_as_canceled(ann: Ann, instance: DagsterInstance) -> None:
    run_id = ann.accept()

    @op
    def work(context: OpExecutionContext) -> None:
        claim = attempts.claim(ann.context, run_id, context.run_id)
        with telling_failures(context, ann.context, claim):
            cancelling.cancel_run(ann.context, ann.id, run_id)
            attempts.enter_stage(ann.context, claim, "transform", 50)

    @job
    def cancelled_on_its_way() -> None:
        work()

    result = cancelled_on_its_way.execute_in_process(instance=instance, raise_on_error=False)
    assert _status(result, instance) == DagsterRunStatus.CANCELED
    assert "You cancelled" in ann.run(run_id).error["detail"]


def _status(result: ExecuteInProcessResult, instance: DagsterInstance) -> DagsterRunStatus:
    return instance.get_run_by_id(result.run_id).status


def test_data_that_allows_no_report_fails_with_the_reason_in_both_views(
    ann: Ann, instance: DagsterInstance
) -> None:
    header, row, *_ = (EXAMPLE / "reference.csv").read_text().splitlines()
    run_id = ann.accept(reference=f"{header}\n{row}\n{row}\n".encode())
    result = _execute(run_id, instance)
    assert not result.success
    run = ann.run(run_id)
    assert run.state == "failed"
    assert "refkey1" in run.error["detail"]
    failures = [event for event in result.all_events if event.is_step_failure]
    assert "refkey1" in failures[0].step_failure_data.user_failure_data.description


def test_a_run_that_the_catalog_does_not_know_fails_with_words(instance: DagsterInstance) -> None:
    result = _execute("0" * 32, instance)
    assert not result.success
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert "has no run" in failure.step_failure_data.user_failure_data.description


def test_a_broken_output_contract_is_a_failed_check(ann: Ann, instance: DagsterInstance) -> None:
    run_id = ann.accept()
    claim = attempts.claim(ann.context, run_id, "here")

    @job
    def broken() -> None:
        @op
        def breaks(context: OpExecutionContext) -> None:
            with telling_failures(context, ann.context, claim):
                raise ContractError(problems=[Problem("is text, not a number", path="outfield4")])

        breaks()

    assert not broken.execute_in_process(instance=instance, raise_on_error=False).success
    assert _check(instance, ann, CONTRACT_CHECK) == (False, "ERROR")
    assert ann.run(run_id).state == "failed"
