"""Whose turn it is, and who may have one more run at once."""

from __future__ import annotations

import threading

import pytest

from reportgen_dagster.errors import BadRequestError, NotFoundError
from reportgen_dagster.services import cancelling, launching, reaper, users
from reportgen_dagster.services.launching import Launch
from reportgen_dagster.services.users import UserChange, UserView
from tests.services.conftest import World


def _launch(world: World, run_id: str) -> Launch:
    launch = launching.launch_of(world.context, run_id)
    assert launch is not None
    return launch


def _share(world: World, email: str, **change: int) -> UserView:
    return users.change_user(world.context, users.id_of(world.context, email), UserChange(**change))


def _order(world: World, run_ids: list[str]) -> list[str]:
    """Return runs as Dagster's queue launches them: the highest priority first, of equals the eldest."""
    return sorted(run_ids, key=lambda run_id: -_launch(world, run_id).priority)


def test_whoever_launches_a_run_says_the_same_of_it(world: World) -> None:
    run_id = world.run()
    assert _launch(world, run_id).tags == {
        "reportgen/run_id": run_id,
        "reportgen/owner": world.ann,
        "reportgen/report": "default",
        "reportgen/trigger": "api",
        "reportgen/rules": f"run-{run_id}@1",
        "dagster/priority": "0",
    }
    assert reaper.launchable(world.context, older_than_seconds=0) == [_launch(world, run_id)]
    world.claim(run_id)
    assert launching.launch_of(world.context, run_id) is None


def test_the_first_run_of_a_user_goes_before_the_many_of_another(world: World) -> None:
    anns = [world.run() for _ in range(5)]
    world.claim(anns.pop(0))
    bobs = [world.run(world.bob) for _ in range(2)]
    assert _order(world, anns + bobs) == [bobs[0], anns[0], bobs[1], *anns[1:]]


def test_who_has_waited_is_not_overtaken_for_ever_by_users_who_come_one_by_one(world: World) -> None:
    """Two others who ask again as soon as they have their report leave the waiting runs their rounds."""
    waiting = [world.run() for _ in range(4)]
    served = []
    asking = [world.run(world.bob)]
    for _ in range(8):
        first, *_rest = _order(world, [*waiting, *asking])
        world.publish(world.claim(first))
        served.append(first)
        if first in waiting:
            waiting.remove(first)
        else:
            asking = [world.run(world.bob)]
    assert waiting == []


def test_a_run_that_lost_its_worker_keeps_its_turn(world: World) -> None:
    first, second = world.run(), world.run()
    before = _launch(world, first)
    world.claim(first, "d")
    world.age("d")
    reaper.reap(world.context)
    assert _launch(world, first) == before
    assert _order(world, [second, first]) == [first, second]


def test_cancelled_runs_cost_their_owner_no_turn(world: World) -> None:
    world.claim(world.run())
    cancelled = [world.run() for _ in range(10)]
    bob = world.run(world.bob)
    for run_id in cancelled:
        cancelling.cancel_run(world.context, world.ann, run_id)
    later = world.run()
    assert _launch(world, later).priority == _launch(world, bob).priority - 1


def test_a_user_with_priority_goes_first(world: World) -> None:
    _share(world, "bob@example.com", priority=1)
    bobs = [world.run(world.bob) for _ in range(3)]
    ann = world.run()
    assert _order(world, [ann, *bobs]) == [*bobs, ann]
    assert reaper.launchable(world.context, older_than_seconds=0)[0].run_id == bobs[0]


def _is_due(world: World, run_id: str) -> bool:
    with launching.deciding(world.context, run_id) as is_due:
        return is_due


def test_a_free_worker_is_for_the_run_whose_turn_it_is(world: World) -> None:
    world.claim(world.run())
    anns = [world.run() for _ in range(5)]
    bob = world.run(world.bob)
    assert _is_due(world, bob), "one worker is free, and the first of Bob goes before the second of Ann"
    assert not _is_due(world, anns[0])
    world.claim(bob)
    assert not _is_due(world, world.run(world.bob))


def test_who_asks_again_does_not_take_the_worker_from_who_waits(world: World) -> None:
    anns = [world.run() for _ in range(3)]
    world.publish(world.claim(anns[0]))
    for _ in range(2):
        world.publish(world.claim(world.run(world.bob)))
    assert not _is_due(world, world.run(world.bob)), "two runs of Ann wait for the two workers"
    world.publish(world.claim(anns[1]))
    world.publish(world.claim(anns[2]))
    assert _is_due(world, world.run(world.bob))


def test_runs_that_may_not_work_yet_stand_before_nobody(world: World) -> None:
    _share(world, "ann@example.com", max_runs=1)
    anns = [world.run() for _ in range(5)]
    world.claim(anns[0])
    assert not _is_due(world, anns[1])
    assert _is_due(world, world.run(world.bob))


def test_a_user_has_room_for_as_many_runs_as_there_are_workers(world: World) -> None:
    runs = [world.run() for _ in range(3)]
    assert [_is_due(world, run_id) for run_id in runs] == [True, True, False]
    world.publish(world.claim(runs[0]))
    assert _is_due(world, runs[2])
    assert launching.limits(world.context) == {}, "nobody has less than all"


def test_one_launch_is_decided_at_a_time(world: World) -> None:
    run_id = world.run()
    order = []

    def decide() -> None:
        with launching.deciding(world.context, run_id):
            order.append("second")

    second = threading.Thread(target=decide)
    with launching.deciding(world.context, None):
        second.start()
        while not world.sql("SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"):
            pass
        order.append("first")
    second.join()
    assert order == ["first", "second"]


def test_a_users_own_number_counts_at_once(world: World) -> None:
    runs = [world.run() for _ in range(2)]
    assert _is_due(world, runs[1])
    view = _share(world, " ANN@example.com", max_runs=1)
    assert (view.max_runs, view.priority) == (1, 0)
    assert not _is_due(world, runs[1])
    assert launching.limits(world.context) == {world.ann: 1}
    assert _share(world, "ann@example.com", max_runs=0).max_runs is None
    assert launching.limits(world.context) == {}


def test_a_share_that_cannot_be_is_refused(world: World) -> None:
    with pytest.raises(NotFoundError):
        _share(world, "nobody@example.com", priority=1)
    with pytest.raises(BadRequestError):
        _share(world, "ann@example.com", priority=1_001)
    with pytest.raises(BadRequestError):
        _share(world, "ann@example.com", max_runs=-1)
    assert {(user.email, user.priority, user.max_runs) for user in users.list_users(world.context)} == {
        ("ann@example.com", 0, None),
        ("bob@example.com", 0, None),
    }


def test_runs_that_wait_in_dagster_do_not_hide_others_from_the_sensor(world: World, monkeypatch) -> None:
    monkeypatch.setattr("reportgen_dagster.catalog.runs.BATCH", 3)
    queued = [world.run() for _ in range(4)]
    lost = world.run()
    world.sql("UPDATE runs SET accepted_at = accepted_at - interval '1 minute'")
    assert [launch.run_id for launch in reaper.launchable(world.context)] == queued[:3]
    reaper.mark_waiting(world.context, queued[:3])
    assert [launch.run_id for launch in reaper.launchable(world.context)] == [queued[3], lost]
