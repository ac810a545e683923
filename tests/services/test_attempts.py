from __future__ import annotations

import threading

import pytest

from reportgen_dagster.errors import (
    AccountingError,
    ConflictError,
    ContractError,
    DuplicateKeyError,
    LimitError,
    ServiceError,
)
from reportgen_dagster.identity import new_id
from reportgen_dagster.services import attempts, publications, reaper, runs
from reportgen_dagster.services.attempts import NewArtifact
from reportgen_dagster.storage.store import Stored
from tests.services.conftest import INPUT, OUTCOME, RULES, World


def csv(stored: Stored) -> list[NewArtifact]:
    return [NewArtifact("csv", stored, "text/csv")]


def test_a_claim_carries_everything_that_the_run_is_pinned_to(world: World) -> None:
    run_id = world.run()
    claimed = world.claim(run_id)
    assert world.bytes_of(claimed, "input") == INPUT
    assert claimed.files["input"].dataset_name == f"run-{run_id}-input"
    assert set(claimed.files) == {"input", "reference"}
    assert claimed.rules == RULES
    assert (claimed.ruleset_name, claimed.ruleset_version) == (f"run-{run_id}", 1)


def test_a_published_run_is_done_and_has_its_report(world: World) -> None:
    run_id = world.run()
    claimed = world.claim(run_id)
    attempts.enter_stage(world.context, claimed, "transform", 40)
    view = runs.find_run(world.context, world.ann, run_id)
    assert (view.state, view.stage, view.progress) == ("running", "transform", 40)
    assert world.publish(claimed)
    view = runs.find_run(world.context, world.ann, run_id)
    assert (view.state, view.stage, view.progress, view.row_count) == ("succeeded", "done", 100, 2)
    assert runs.report_file(world.context, world.ann, run_id).path.read_bytes() == b"total\n2\n4\n"


def test_of_two_attempts_at_once_exactly_one_gets_the_run(world: World) -> None:
    for _ in range(5):
        run_id = world.run()
        start = threading.Barrier(2)
        claims: list[object] = []

        def attempt(start: threading.Barrier, claims: list[object], run_id: str) -> None:
            dagster_run_id = new_id()
            attempts.begin(world.context, dagster_run_id, "here:1")
            start.wait()
            claims.append(attempts.claim(world.context, run_id, dagster_run_id))

        threads = [threading.Thread(target=attempt, args=(start, claims, run_id)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(claim is None for claim in claims) == 1


def test_a_finished_or_unknown_run_cannot_be_claimed(world: World) -> None:
    run_id = world.run()
    world.publish(world.claim(run_id))
    assert attempts.claim(world.context, run_id, new_id()) is None
    assert attempts.claim(world.context, new_id(), new_id()) is None


def test_nothing_that_a_zombie_writes_counts(world: World) -> None:
    run_id = world.run()
    zombie = world.claim(run_id, "first")
    world.age("first")
    assert reaper.reap(world.context)
    winner = world.claim(run_id, "second")
    assert not world.publish(zombie, b"old\n")
    assert not attempts.fail(world.context, zombie, DuplicateKeyError("A twice"))
    assert not attempts.release(world.context, zombie)
    with pytest.raises(ConflictError):
        attempts.enter_stage(world.context, zombie, "publish", 99)
    assert world.state(run_id) == "running"
    assert world.publish(winner, b"new\n")
    assert runs.report_file(world.context, world.ann, run_id).path.read_bytes() == b"new\n"
    assert world.sql("SELECT count(*) FROM artifacts") == [(1,)]


def test_an_attempt_that_was_given_up_cannot_claim_any_more(world: World) -> None:
    run_id = world.run()
    attempts.begin(world.context, "given-up", "here:1")
    attempts.end(world.context, "given-up", "lost")
    assert attempts.claim(world.context, run_id, "given-up") is None
    assert not attempts.beat(world.context, "given-up")


def test_a_failure_tells_the_user_why(world: World) -> None:
    run_id = world.run()
    assert attempts.fail(world.context, world.claim(run_id), DuplicateKeyError("key: A\0 is there twice"))
    view = runs.find_run(world.context, world.ann, run_id)
    assert view.state == "failed"
    assert view.error is not None
    assert view.error["code"] == "duplicate-key"
    with pytest.raises(ConflictError, match="failed"):
        runs.report_file(world.context, world.ann, run_id)


def test_rows_that_do_not_add_up_are_never_published(world: World) -> None:
    run_id = world.run()
    claimed = world.claim(run_id)
    report = claimed.files["input"]
    stored = Stored(report.digest, 1)
    lost = OUTCOME | {"used_count": 1}
    unfiled = OUTCOME | {"used_count": 1, "reject_count": 1}
    for outcome in (lost, unfiled):
        with pytest.raises(AccountingError):
            attempts.publish(
                world.context,
                claimed,
                artifacts=csv(stored),
                rejects=None,
                outcome=outcome,
            )
    assert world.state(run_id) == "running"


def test_a_report_that_is_not_in_storage_is_never_published(world: World) -> None:
    claimed = world.claim(world.run())
    with pytest.raises(ServiceError):
        attempts.publish(
            world.context,
            claimed,
            artifacts=csv(Stored("0" * 64, 1)),
            rejects=None,
            outcome=OUTCOME,
        )


def test_rejects_are_published_with_the_report(world: World) -> None:
    run_id = world.run()
    claimed = world.claim(run_id)
    stored = Stored(claimed.files["input"].digest, len(INPUT))
    outcome = OUTCOME | {"used_count": 1, "reject_count": 1}
    assert attempts.publish(
        world.context,
        claimed,
        artifacts=csv(stored),
        rejects=stored,
        outcome=outcome,
    )
    assert runs.find_run(world.context, world.ann, run_id).has_rejects
    assert runs.rejects_file(world.context, world.ann, run_id).size_bytes == len(INPUT)


def test_a_report_may_have_fewer_rows_than_were_used(world: World) -> None:
    claimed = world.claim(world.run())
    stored = Stored(claimed.files["input"].digest, len(INPUT))
    assert attempts.publish(
        world.context,
        claimed,
        artifacts=csv(stored),
        rejects=None,
        outcome=OUTCOME | {"row_count": 1},
    )


def test_a_failed_run_keeps_its_rejects(world: World) -> None:
    run_id = world.run()
    claimed = world.claim(run_id)
    stored = Stored(claimed.files["input"].digest, len(INPUT))
    known = {"input_count": 2, "used_count": 1, "reject_count": 1, "contracts": {}}
    error = ContractError("more than 0 rows were diverted")
    assert attempts.fail(world.context, claimed, error, rejects=stored, outcome=known)
    view = runs.find_run(world.context, world.ann, run_id)
    assert (view.state, view.has_rejects, view.reject_count, view.input_count) == ("failed", True, 1, 2)
    assert runs.rejects_file(world.context, world.ann, run_id).size_bytes == len(INPUT)
    assert not attempts.fail(world.context, claimed, error, rejects=stored, outcome=known), (
        "it is failed already"
    )


def test_a_released_run_is_taken_up_at_once_and_not_counted(world: World) -> None:
    run_id = world.run()
    claimed = world.claim(run_id, "first")
    assert attempts.release(world.context, claimed)
    attempts.end(world.context, "first", "done")
    assert [launch.run_id for launch in reaper.launchable(world.context)] == [run_id]
    assert world.sql("SELECT lost_attempts FROM runs") == [(0,)]
    assert world.claim(run_id).fence == claimed.fence + 1


def test_a_second_delivery_of_a_dagster_run_is_refused(world: World) -> None:
    assert attempts.begin(world.context, "d", "here:1")
    assert not attempts.begin(world.context, "d", "there:2")
    attempts.end(world.context, "d", "done")
    assert not attempts.begin(world.context, "d", "there:2")


def test_a_dagster_run_whose_worker_died_before_claiming_may_begin_again(world: World) -> None:
    assert attempts.begin(world.context, "d", "here:1")
    world.age("d")
    assert attempts.is_alive(world.context, "d") is False
    assert attempts.begin(world.context, "d", "there:2")
    assert attempts.is_alive(world.context, "d") is True


def test_a_dagster_run_that_claimed_never_begins_again(world: World) -> None:
    world.claim(world.run(), "d")
    world.age("d")
    assert not attempts.begin(world.context, "d", "there:2")


def test_beating_keeps_alive(world: World) -> None:
    assert attempts.is_alive(world.context, "d") is None
    attempts.begin(world.context, "d", "here:1")
    world.age("d")
    assert attempts.beat(world.context, "d")
    assert attempts.is_alive(world.context, "d") is True


def test_cancelling_ends_the_run_of_that_dagster_run_only(world: World) -> None:
    cancelled, other = world.run(), world.run()
    claimed = world.claim(cancelled, "d")
    world.claim(other, "e")
    assert attempts.cancel(world.context, "d")
    assert (world.state(cancelled), world.state(other)) == ("cancelled", "running")
    assert not world.publish(claimed)
    assert not attempts.cancel(world.context, "d")
    view = runs.find_run(world.context, world.ann, cancelled)
    assert view.error is not None
    assert view.error["detail"]


def test_cancelling_a_launch_that_nobody_claimed_goes_by_the_tag(world: World) -> None:
    run_id = world.run()
    reaper.mark_launched(world.context, run_id, None)
    assert not attempts.cancel(world.context, "d")
    assert attempts.cancel(world.context, "d", run_id)
    assert world.state(run_id) == "cancelled"


def test_cancelling_a_superfluous_launch_leaves_the_run_alone(world: World) -> None:
    run_id = world.run()
    world.claim(run_id, "winner")
    assert not attempts.cancel(world.context, "late", run_id)
    assert world.state(run_id) == "running"


def test_a_report_is_reportable_until_dagster_was_told(world: World) -> None:
    run_id = world.run()
    world.publish(world.claim(run_id, "d"))
    assert publications.unreported(world.context) == [], "its worker still lives and may tell"
    attempts.end(world.context, "d", "lost")
    (waiting,) = publications.unreported(world.context)
    assert waiting == publications.reportable(world.context, run_id)
    assert waiting.files["input"].dataset_name == f"run-{run_id}-input"
    assert waiting.rules.text == RULES.text
    assert waiting.outcome["preview"] == "a␀b?", "what PostgreSQL cannot store is replaced"
    publications.mark_reported(world.context, run_id)
    assert publications.unreported(world.context) == []


def test_a_run_whose_process_hangs_is_failed_and_its_claim_is_worth_nothing(world: World) -> None:
    run_id = world.run()
    claim = world.claim(run_id, "d")
    error = LimitError("The run took longer than its limit of 5 seconds.")
    assert attempts.give_up(world.context, "d", error)
    assert world.state(run_id) == "failed"
    assert not attempts.fail(world.context, claim, error)
    assert not attempts.give_up(world.context, "d", error), "it is failed already"
