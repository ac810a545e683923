from __future__ import annotations

import pytest

from reportgen_dagster.catalog import leases
from reportgen_dagster.catalog.leases import LEASE_SECONDS
from reportgen_dagster.services import attempts, reaper, runs
from tests.services.conftest import World


def test_a_living_run_is_left_alone(world: World) -> None:
    run_id = world.run()
    world.claim(run_id)
    assert reaper.reap(world.context) == []
    assert world.state(run_id) == "running"


def test_an_attempt_whose_process_was_killed_counts(world: World) -> None:
    run_id = world.run()
    world.claim(run_id, "d")
    attempts.end(world.context, "d", "lost")
    assert len(reaper.reap(world.context)) == 1
    assert world.state(run_id) == "accepted"
    assert world.sql("SELECT lost_attempts FROM runs") == [(1,)]


def test_an_expired_lease_counts_and_ends(world: World) -> None:
    run_id = world.run()
    world.claim(run_id, "d")
    world.age("d", LEASE_SECONDS + 1)
    reaper.reap(world.context)
    assert world.state(run_id) == "accepted"
    assert world.sql("SELECT lost_attempts FROM runs") == [(1,)]
    assert world.sql("SELECT ending FROM leases") == [("lost",)]
    assert reaper.reap(world.context) == []


@pytest.mark.parametrize("ending", ["interrupted", "done"])
def test_an_attempt_that_could_not_write_its_end_does_not_count(
    world: World, ending: attempts.Ending
) -> None:
    run_id = world.run()
    for number in range(4):
        world.claim(run_id, f"d{number}")
        attempts.end(world.context, f"d{number}", ending)
        assert "away" in reaper.reap(world.context)[0]
    assert world.state(run_id) == "accepted"
    assert world.sql("SELECT lost_attempts FROM runs") == [(0,)]


def test_the_third_lost_worker_fails_the_run(world: World) -> None:
    run_id = world.run()
    for number in range(3):
        assert world.state(run_id) == "accepted"
        world.claim(run_id, f"d{number}")
        attempts.end(world.context, f"d{number}", "lost")
        reaper.reap(world.context)
    view = runs.find_run(world.context, world.ann, run_id)
    assert view.state == "failed"
    assert view.finished_at is not None
    assert view.error is not None
    assert view.error["code"] == "worker-lost"


def test_nobody_is_dead_while_the_server_itself_is_young(world: World) -> None:
    run_id = world.run()
    world.claim(run_id, "d")
    world.age("d", 3600)
    world.restart_server()
    assert reaper.reap(world.context) == []
    assert world.state(run_id) == "running"
    assert attempts.is_alive(world.context, "d") is True


def test_a_run_that_was_given_back_is_launchable_at_once(world: World) -> None:
    run_id = world.run()
    world.claim(run_id, "d")
    assert reaper.launchable(world.context) == []
    attempts.end(world.context, "d", "lost")
    reaper.reap(world.context)
    assert [launch.run_id for launch in reaper.launchable(world.context)] == [run_id]


def test_an_accepted_run_is_launchable_when_nobody_launched_it_in_time(world: World) -> None:
    run_id = world.run()
    assert reaper.launchable(world.context) == []
    assert [launch.run_id for launch in reaper.launchable(world.context, older_than_seconds=0)] == [run_id]
    reaper.mark_launched(world.context, run_id, "d")
    world.sql("UPDATE runs SET accepted_at = accepted_at - interval '1 hour'")
    assert reaper.launchable(world.context) == []
    world.sql("UPDATE runs SET launched_at = launched_at - interval '11 seconds'")
    assert len(reaper.launchable(world.context)) == 1


def test_a_run_does_not_wait_for_a_clock_that_went_back(world: World) -> None:
    run_id = world.run()
    world.sql("UPDATE runs SET accepted_at = accepted_at + interval '1 hour'")
    assert [launch.run_id for launch in reaper.launchable(world.context)] == [run_id]
    reaper.mark_launched(world.context, run_id, "d")
    assert reaper.launchable(world.context) == []


def test_a_run_that_a_worker_is_about_to_claim_is_not_launched_again(world: World) -> None:
    run_id = world.run()
    reaper.mark_launched(world.context, run_id, "d")
    attempts.begin(world.context, "d", "here:1")
    assert reaper.launchable(world.context, older_than_seconds=0) == []


def test_later_launches_wait_longer(world: World) -> None:
    run_id = world.run()
    for _ in range(3):
        reaper.mark_launched(world.context, run_id, None)
    world.sql("UPDATE runs SET launched_at = launched_at - interval '29 seconds'")
    assert reaper.launchable(world.context) == []
    world.sql("UPDATE runs SET launched_at = launched_at - interval '1 second'")
    assert len(reaper.launchable(world.context)) == 1


def test_no_two_launches_of_a_run_have_the_same_name(world: World) -> None:
    run_id = world.run()
    names = [reaper.mark_launched(world.context, run_id, None) for _ in range(3)]
    world.claim(run_id, "d")
    assert reaper.mark_launched(world.context, run_id, None) == "", "it is not accepted any more"
    attempts.end(world.context, "d", "lost")
    reaper.reap(world.context)
    names += [reaper.mark_launched(world.context, run_id, None) for _ in range(3)]
    assert len(set(names)) == 6


def test_a_run_that_no_worker_takes_up_stays_accepted_however_long_workers_are_away(world: World) -> None:
    run_id = world.run()
    for _ in range(100):
        reaper.mark_launched(world.context, run_id, None)
    assert reaper.reap(world.context) == []
    assert world.state(run_id) == "accepted"


def test_a_late_mark_does_not_disturb_a_claimed_run(world: World) -> None:
    run_id = world.run()
    world.claim(run_id, "d")
    reaper.mark_launched(world.context, run_id, "d")
    assert world.sql("SELECT launches, dagster_run_id FROM runs") == [(0, "d")]


def test_of_two_reapers_one_works(world: World) -> None:
    run_id = world.run()
    world.claim(run_id, "d")
    attempts.end(world.context, "d", "lost")
    with world.context.catalog.transaction() as session:
        assert leases.try_lock(session, reaper.REAPER_LOCK)
        assert reaper.reap(world.context) == []
    assert len(reaper.reap(world.context)) == 1
