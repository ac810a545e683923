from __future__ import annotations

import pytest

from reportgen_dagster.errors import ConflictError, NotFoundError
from reportgen_dagster.identity import new_id
from reportgen_dagster.services import attempts, cancelling, reaper
from tests.services.conftest import World


def test_a_cancelled_run_is_neither_launched_claimed_nor_published(world: World) -> None:
    waiting, working = world.run(), world.run()
    claimed = world.claim(working, "d")
    for run_id in (waiting, working):
        view = cancelling.cancel_run(world.context, world.ann, run_id)
        assert (view.state, view.error["code"], view.finished_at is None) == ("cancelled", "cancelled", False)
    assert not world.publish(claimed)
    with pytest.raises(ConflictError):
        attempts.enter_stage(world.context, claimed, "transform", 50)
    attempts.end(world.context, "d", "lost")
    assert reaper.reap(world.context) == []
    assert reaper.launchable(world.context, older_than_seconds=0) == []
    assert attempts.claim(world.context, waiting, "e") is None
    assert world.sql("SELECT count(*) FROM artifacts") == [(0,)]


def test_a_finished_run_stays_what_it_is(world: World) -> None:
    run_id = world.run()
    world.publish(world.claim(run_id))
    with pytest.raises(ConflictError, match="succeeded"):
        cancelling.cancel_run(world.context, world.ann, run_id)
    assert world.state(run_id) == "succeeded"


def test_only_the_owner_cancels(world: World) -> None:
    run_id = world.run()
    for unknown in (run_id, new_id(), "../x"):
        with pytest.raises(NotFoundError):
            cancelling.cancel_run(world.context, world.bob, unknown)
    assert world.state(run_id) == "accepted"


def test_an_attempt_sees_that_its_run_was_cancelled(world: World) -> None:
    claimed, launched, other = world.run(), world.run(), world.run()
    world.claim(claimed, "d")
    for run_id in (claimed, launched):
        cancelling.cancel_run(world.context, world.ann, run_id)
    assert attempts.is_cancelled(world.context, "d", None)
    assert attempts.is_cancelled(world.context, "e", launched)
    assert not attempts.is_cancelled(world.context, "e", None)
    assert not attempts.is_cancelled(world.context, "e", other)


def test_who_cancelled_is_known(world: World) -> None:
    own, other = world.run(), world.run()
    world.claim(own, "d")
    assert attempts.claim(world.context, other, "d"), (
        "a Dagster run that makes several reports claims several"
    )
    cancelling.cancel_run(world.context, world.ann, own)
    assert cancelling.is_cancelled_by_owner(world.context, own)
    assert not attempts.is_cancelled(world.context, "d", None, by_operator=True)
    attempts.cancel(world.context, "d")
    assert not cancelling.is_cancelled_by_owner(world.context, other)
    assert attempts.is_cancelled(world.context, "d", None, by_operator=True)
